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

	"callfleet/internal/blob"
	"callfleet/internal/queue"
	"callfleet/internal/stepfn"
	"callfleet/internal/template/store"
	"callfleet/internal/template/store/dynamostore"
	"callfleet/internal/template/store/filestore"
	"callfleet/internal/template/store/natsstore"
)

// The queues of the fleet.
const (
	Requests = "requests"
	Tasks    = "tasks"
	Waiting  = "tasks-waiting" // tasks that wait for their turn in numbers; see Backend.Waiting
	Results  = "results"       // a feed
)

// The names of the state machines that make one call, and a batch of them.
const (
	StateMachine      = "call-api"
	BatchStateMachine = "call-batch"
)

// Where cmd/stepfunctions listens when nothing is configured.
const (
	DefaultQueue         = "nats://127.0.0.1:4222"
	DefaultStepFunctions = "http://127.0.0.1:8083"
)

// The schemes that a URL of each kind may have.
var (
	QueueSchemes         = []string{"nats", "sqs"}
	TemplateSchemes      = []string{"nats", "dynamodb", "file"}
	StepFunctionsSchemes = []string{"http", "https", "aws"}
	BlobSchemes          = []string{"nats", "s3", "file"}
)

// Options say what to open.
type Options struct {
	Queue         string // nats://host:port, sqs://prefix
	Templates     string // nats://host:port, dynamodb://table, file://dir; "" is the queue's
	StepFunctions string // http://host:port, aws:; "" opens none
	Blobs         string // nats://host:port, s3://bucket, file://dir; "" is that of a queue on NATS, else none
	BlobExpiry    time.Duration
	StateMachine  string // name or ARN; StateMachine if empty
	BatchMachine  string // name or ARN, a name is of the account and region of StateMachine; BatchStateMachine if empty
	Region        string // of the ARN of a name, unless it is AWS's; us-east-1 if empty
	AccountID     string // of the ARN of a name, unless it is AWS's; 000000000000 if empty
	// Embedded is a connection to a broker in this process, used in place of
	// Queue.
	Embedded *nats.Conn
	// AWS is used in place of what the environment says; nil loads that.
	AWS *aws.Config
	// Transport carries the requests to a Step Functions server in this
	// process; nil goes over the network.
	Transport http.RoundTripper
	// Lease is how long a task stays with its worker without being extended.
	Lease time.Duration
	// Connections is the number of idle connections kept to Step Functions.
	Connections int
	// ReportRate bounds the SendTask* requests per second, of each; nil is
	// AWS's quota on AWS, and no limit elsewhere.
	ReportRate *float64
	Name       string // of the program, for the broker's listings
	Logger     *slog.Logger
}

// Backend is what was opened. Its methods are safe for concurrent use.
type Backend struct {
	// Templates keeps the templates.
	Templates store.Store
	// Blobs keeps bodies that are too large to travel; nil without a place.
	Blobs blob.Store
	// Executions is the state machine StateMachine; nil without a URL.
	Executions *stepfn.Client
	// Batches is the state machine BatchMachine, with the connections of
	// Executions; nil without a URL.
	Batches *stepfn.Client
	// System is the broker as OpenTelemetry's messaging.system names it.
	System string
	// StartRate is how many executions the Step Functions API lets an account
	// start per second; 0 is as many as it can.
	StartRate float64

	options Options
	queues  queueBroker
	cloud   *aws.Config // loaded by the first part that is on AWS
	close   []func()
}

// queueBroker has the fleet's queues.
type queueBroker interface {
	publisher(ctx context.Context, name string) (queue.Publisher, error)
	consumer(ctx context.Context, name string, lease time.Duration) (Consumer, error)
	feedPublisher(ctx context.Context, feed string) (queue.Publisher, error)
	feedConsumer(ctx context.Context, feed, run string) (queue.Feed, error)
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
	b := &Backend{options: o, cloud: o.AWS}
	if err := b.open(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *Backend) open(ctx context.Context) error {
	var err error
	if b.queues, err = b.openQueues(ctx); err != nil {
		return err
	}
	if b.Templates, err = b.openTemplates(ctx); err != nil {
		return fmt.Errorf("open templates: %w", err)
	}
	if b.Blobs, err = b.openBlobs(ctx); err != nil {
		return fmt.Errorf("open blobs (CALLFLEET_BLOBS): %w", err)
	}
	if b.options.StepFunctions == "" {
		return nil
	}
	if b.Executions, err = b.openStepFunctions(ctx); err != nil {
		return err
	}
	b.close = append(b.close, b.Executions.Close)
	b.Batches = b.Executions.With(sibling(b.Executions.Machine(), orDefault(b.options.BatchMachine, BatchStateMachine)))
	return nil
}

func (b *Backend) openQueues(ctx context.Context) (queueBroker, error) {
	if scheme(b.options.Queue) == "sqs" {
		return b.openSQS(ctx)
	}
	return b.openNATS(ctx)
}

func (b *Backend) openTemplates(ctx context.Context) (store.Store, error) {
	at := b.options.Templates
	if nats, ok := b.queues.(*natsBroker); ok && (at == "" || at == b.options.Queue) {
		return natsstore.New(ctx, nats.conn, natsstore.Options{})
	}
	switch s := scheme(at); s {
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
	case "dynamodb":
		cfg, err := b.awsConfig(ctx)
		if err != nil {
			return nil, err
		}
		return dynamostore.New(cfg, dynamostore.Options{Table: TableOf(at)})
	case "":
		return nil, errors.New("the URL is not valid")
	default:
		return nil, fmt.Errorf("unknown scheme %q", s)
	}
}

// TableOf is the table that a dynamodb:// URL names, "" for any other.
func TableOf(templates string) string {
	name, ok := strings.CutPrefix(templates, "dynamodb://")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(name, "/")
}

// IsSQS reports whether the URL of a queue is on SQS.
func IsSQS(queue string) bool { return scheme(queue) == "sqs" }

func (b *Backend) openStepFunctions(ctx context.Context) (*stepfn.Client, error) {
	if scheme(b.options.StepFunctions) == "aws" {
		return b.openAWSStepFunctions(ctx)
	}
	o := b.options
	region := orDefault(o.Region, "us-east-1")
	return stepfn.New(stepfn.Options{
		Config: aws.Config{Region: region}, Endpoint: o.StepFunctions, Connections: o.Connections, Transport: o.Transport,
		StateMachine: machineARN(orDefault(o.StateMachine, StateMachine), "aws", region, orDefault(o.AccountID, "000000000000")),
		ReportRate:   or(o.ReportRate, 0),
	})
}

// machineARN is the ARN of a state machine that is given by name or by ARN.
func machineARN(machine, partition, region, account string) string {
	if strings.HasPrefix(machine, "arn:") {
		return machine
	}
	return fmt.Sprintf("arn:%s:states:%s:%s:stateMachine:%s", partition, region, account, machine)
}

// sibling is the ARN of a state machine that is given by ARN, or by its name
// beside another one.
func sibling(of, machine string) string {
	if strings.HasPrefix(machine, "arn:") {
		return machine
	}
	return of[:strings.LastIndexByte(of, ':')+1] + machine
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func or(f *float64, fallback float64) float64 {
	if f == nil {
		return fallback
	}
	return *f
}

// scheme is that of a URL, "" when it cannot be read.
func scheme(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return ""
	}
	return u.Scheme
}

// Publisher opens a queue for publishing; on NATS it makes it if it is missing.
func (b *Backend) Publisher(ctx context.Context, name string) (queue.Publisher, error) {
	return b.queues.publisher(ctx, name)
}

// Consumer opens a queue for receiving.
func (b *Backend) Consumer(ctx context.Context, name string) (Consumer, error) {
	return b.queues.consumer(ctx, name, b.options.Lease)
}

// Waiting opens the queue for tasks that wait for their turn, and which are
// leased meanwhile: one of its own on NATS, where all that is leased from a queue
// slows its other messages down. The consumer is nil where it is the tasks queue.
func (b *Backend) Waiting(ctx context.Context) (queue.Publisher, Consumer, error) {
	if _, ok := b.queues.(*natsBroker); !ok {
		p, err := b.Publisher(ctx, Tasks)
		return p, nil, err
	}
	c, err := b.Consumer(ctx, Waiting)
	if err != nil {
		return nil, nil, err
	}
	p, err := b.Publisher(ctx, Waiting)
	if err != nil {
		return nil, nil, errors.Join(err, c.Close())
	}
	return p, c, nil
}

// PublishResults opens the feed of outcomes for publishing.
func (b *Backend) PublishResults(ctx context.Context) (queue.Publisher, error) {
	return b.queues.feedPublisher(ctx, Results)
}

// ConsumeResults opens the outcomes of one run.
func (b *Backend) ConsumeResults(ctx context.Context, run string) (queue.Feed, error) {
	return b.queues.feedConsumer(ctx, Results, run)
}

// Events opens the queue that EventBridge fills with the outcomes of all runs,
// for a relay to the feed. It is nil where Step Functions puts them on the feed
// by itself.
func (b *Backend) Events(ctx context.Context) (queue.Consumer, error) {
	if scheme(b.options.StepFunctions) != "aws" {
		return nil, nil
	}
	return b.queues.consumer(ctx, Results, 0)
}

// Close closes what Open opened; the embedded connection is its owner's.
func (b *Backend) Close() {
	for _, f := range b.close {
		f()
	}
	b.close = nil
}
