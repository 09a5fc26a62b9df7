// Package backend opens what a program's URLs name: the queue, the template
// store and the Step Functions API. It is the one place where a backend's name
// is looked at; whoever holds a Backend cannot tell which it got.
package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/nats-io/nats.go"

	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
	"callfleet/internal/stepfn"
	"callfleet/internal/template/store"
	"callfleet/internal/template/store/filestore"
	"callfleet/internal/template/store/natsstore"
)

// The queues of the fleet.
const (
	Requests = "requests"
	Tasks    = "tasks"
	Results  = "results" // a feed
)

// StateMachine is the name of the state machine that makes one call.
const StateMachine = "call-api"

// Where cmd/stepfunctions listens when nothing is configured.
const (
	DefaultQueue         = "nats://127.0.0.1:4222"
	DefaultStepFunctions = "http://127.0.0.1:8083"
)

// The schemes that a URL of each kind may have.
var (
	QueueSchemes         = []string{"nats"}
	TemplateSchemes      = []string{"nats", "file"}
	StepFunctionsSchemes = []string{"http", "https"}
)

// Options say what to open.
type Options struct {
	Queue         string // nats://host:port
	Templates     string // nats://host:port, file://dir; "" is the queue's
	StepFunctions string // http://host:port; "" opens none
	StateMachine  string // name or ARN; StateMachine if empty
	Region        string // of the ARN of a name; us-east-1 if empty
	AccountID     string // of the ARN of a name; 000000000000 if empty
	// Embedded is a connection to a broker in this process, used in place of
	// Queue.
	Embedded *nats.Conn
	// Transport carries the requests to a Step Functions server in this
	// process; nil goes over the network.
	Transport http.RoundTripper
	// Lease is how long a task stays with its worker without being extended.
	Lease time.Duration
	// Connections is the number of idle connections kept to Step Functions.
	Connections int
	Name        string // of the program, for the broker's listings
	Logger      *slog.Logger
}

// Backend is what was opened. Its methods are safe for concurrent use.
type Backend struct {
	// Templates keeps the templates.
	Templates store.Store
	// Executions is the state machine StateMachine; nil without a URL.
	Executions *stepfn.Client

	options Options
	broker  *natsqueue.Broker
	close   []func()
}

// Consumer is a queue's consumer that also tells how many messages wait.
type Consumer interface {
	queue.Consumer
	queue.Depth
}

// Open connects to the queue and the template store, and makes a client of
// Step Functions (which is not asked anything yet).
func Open(ctx context.Context, o Options) (*Backend, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	b := &Backend{options: o}
	if err := b.open(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *Backend) open(ctx context.Context) error {
	nc, err := b.connect(ctx, b.options.Queue)
	if err != nil {
		return err
	}
	if b.broker, err = natsqueue.New(ctx, nc, natsqueue.Options{Logger: b.options.Logger}); err != nil {
		return err
	}
	if b.Templates, err = b.openTemplates(ctx, nc); err != nil {
		return fmt.Errorf("open templates: %w", err)
	}
	if b.options.StepFunctions == "" {
		return nil
	}
	if b.Executions, err = b.openStepFunctions(); err != nil {
		return err
	}
	b.close = append(b.close, b.Executions.Close)
	return nil
}

func (b *Backend) connect(ctx context.Context, at string) (*nats.Conn, error) {
	if b.options.Embedded != nil && at == b.options.Queue {
		return b.options.Embedded, nil
	}
	options := append(natsqueue.ConnectOptions(b.options.Name), nats.Timeout(5*time.Second))
	if deadline, ok := ctx.Deadline(); ok {
		options = append(options, nats.Timeout(time.Until(deadline)))
	}
	nc, err := nats.Connect(at, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to the broker %s: %w: start one with \"stepfunctions\", or say with CALLFLEET_QUEUE where it is", redact(at), err)
	}
	b.close = append(b.close, nc.Close)
	return nc, nil
}

func (b *Backend) openTemplates(ctx context.Context, nc *nats.Conn) (store.Store, error) {
	at := b.options.Templates
	if at == "" || at == b.options.Queue {
		return natsstore.New(ctx, nc, natsstore.Options{})
	}
	u, err := url.Parse(at)
	if err != nil {
		return nil, errors.New("the URL is not valid")
	}
	switch u.Scheme {
	case "file":
		files, err := filestore.New(strings.TrimPrefix(at, "file://"))
		if err != nil {
			return nil, err
		}
		b.close = append(b.close, func() { _ = files.Close() }) // only reads and whole writes: nothing is lost
		return files, nil
	case "nats":
		other, err := b.connect(ctx, at)
		if err != nil {
			return nil, err
		}
		return natsstore.New(ctx, other, natsstore.Options{})
	}
	return nil, fmt.Errorf("unknown scheme %q", u.Scheme)
}

func (b *Backend) openStepFunctions() (*stepfn.Client, error) {
	region := orDefault(b.options.Region, "us-east-1")
	arn := orDefault(b.options.StateMachine, StateMachine)
	if !strings.HasPrefix(arn, "arn:") {
		arn = fmt.Sprintf("arn:aws:states:%s:%s:stateMachine:%s", region, orDefault(b.options.AccountID, "000000000000"), arn)
	}
	return stepfn.New(stepfn.Options{
		Config: aws.Config{Region: region}, Endpoint: b.options.StepFunctions, StateMachine: arn, Connections: b.options.Connections, Transport: b.options.Transport,
	})
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func redact(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return "(URL that cannot be read)"
	}
	return u.Redacted()
}

// Publisher opens a queue for publishing, and makes it if it is missing.
func (b *Backend) Publisher(ctx context.Context, name string) (queue.Publisher, error) {
	p, err := b.broker.Publisher(ctx, name)
	if err != nil {
		return nil, err // not p: a nil *Publisher is no nil queue.Publisher
	}
	return p, nil
}

// Consumer opens a queue for receiving.
func (b *Backend) Consumer(ctx context.Context, name string) (Consumer, error) {
	c, err := b.broker.Consumer(ctx, name, natsqueue.ConsumerOptions{Lease: b.options.Lease})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// PublishResults opens the feed of outcomes for publishing.
func (b *Backend) PublishResults(ctx context.Context) (queue.Publisher, error) {
	p, err := b.broker.FeedPublisher(ctx, Results)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// ConsumeResults opens the outcomes of one run.
func (b *Backend) ConsumeResults(ctx context.Context, run string) (queue.Feed, error) {
	c, err := b.broker.FeedConsumer(ctx, Results, run)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Close closes what Open opened; the embedded connection is its owner's.
func (b *Backend) Close() {
	for _, f := range b.close {
		f()
	}
	b.close = nil
}
