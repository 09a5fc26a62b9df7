package sqsqueue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"callfleet/internal/queue/sqsqueue/dedup"
	"callfleet/internal/queue/sqsqueue/message"
	"callfleet/internal/queue/sqsqueue/request"
)

const (
	defaultMaxDeliver = 10
	defaultLease      = 90 * time.Second
	defaultFeedLease  = 30 * time.Second
	defaultWait       = 20 * time.Second // the most that SQS waits
	defaultLinger     = 5 * time.Millisecond
)

// Options tune a Broker. Only Prefix has no default.
type Options struct {
	// Prefix begins the name of every queue: with "calls" the queue "tasks" is
	// calls-tasks.
	Prefix string
	// FIFO uses FIFO queues, whose names end in ".fifo".
	FIFO bool
	// MaxDeliver is how often a message is received before it goes to the
	// dead-letter queue; 10 if 0, no limit if negative.
	MaxDeliver int
	// Wait is how long a receipt waits at SQS for messages; 20 s if 0, which
	// is also the most.
	Wait time.Duration
	// Linger is how long a send, delete or extension waits for others to share
	// its request with; 5 ms if 0, not at all if negative.
	Linger time.Duration
	// FeedLease is how long an event stays with the reader of a feed before it
	// is delivered again; 30 s if 0.
	FeedLease time.Duration
	// Logger hears of outages and of messages that could not be dead-lettered;
	// slog.Default if nil.
	Logger *slog.Logger
}

// withDefaults fills in the zero values, or says what is wrong.
func (o Options) withDefaults() (Options, error) {
	var errs []error
	if !isName(o.Prefix) {
		errs = append(errs, fmt.Errorf("prefix %q: want letters, digits, - and _", o.Prefix))
	}
	if o.Wait < 0 || o.Wait > defaultWait {
		errs = append(errs, fmt.Errorf("wait %s: want 0 to %s", o.Wait, defaultWait))
	}
	if o.FeedLease < 0 || o.FeedLease > maxVisibility {
		errs = append(errs, fmt.Errorf("feed lease %s: want 0 to %s", o.FeedLease, maxVisibility))
	}
	o.MaxDeliver = orDefault(o.MaxDeliver, defaultMaxDeliver)
	o.Wait = message.WholeSeconds(orDefault(o.Wait, defaultWait))
	o.Linger = max(orDefault(o.Linger, defaultLinger), 0)
	o.FeedLease = orDefault(o.FeedLease, defaultFeedLease)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, errors.Join(errs...)
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// Broker makes publishers and consumers. It is safe for concurrent use, and
// holds nothing that must be closed but idle connections.
type Broker struct {
	sqs     *request.Client
	options Options
	names   names
	ids     *dedup.Memories // of the ids that were published on standard queues
}

// New makes a Broker. SQS is not asked anything yet.
func New(cfg aws.Config, o Options) (*Broker, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open SQS: %w", err)
	}
	if cfg.Region == "" {
		return nil, errors.New("open SQS: no region: set AWS_REGION, or a region in the profile")
	}
	return &Broker{
		sqs: request.New(cfg, o.Linger), options: o, ids: dedup.New(),
		names: names{prefix: o.Prefix, fifo: o.FIFO},
	}, nil
}

// Publisher opens a queue for publishing. ErrNotFound if there is none.
func (b *Broker) Publisher(ctx context.Context, name string) (*Publisher, error) {
	q, err := b.open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open queue %s: %w", name, err)
	}
	return newPublisher(b, q), nil
}

// ConsumerOptions are those of one consumer.
type ConsumerOptions struct {
	// Lease is 90 s if 0, rounded up to whole seconds, and at most 12 h.
	Lease time.Duration
}

// Consumer opens a queue for receiving. ErrNotFound if there is none. A
// dead-letter queue is opened by its own name ("tasks-dlq").
func (b *Broker) Consumer(ctx context.Context, name string, o ConsumerOptions) (*Consumer, error) {
	lease := message.WholeSeconds(orDefault(o.Lease, defaultLease))
	if lease < 0 || lease > maxVisibility {
		return nil, fmt.Errorf("open queue %s: lease %s: want 1s to %s", name, o.Lease, maxVisibility)
	}
	q, err := b.open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open queue %s: %w", name, err)
	}
	maxDeliver := b.options.MaxDeliver
	if isDeadLetters(q.Name) {
		maxDeliver = -1 // there is nowhere further to go
	}
	return newConsumer(b, q, lease, maxDeliver), nil
}

// open looks a queue of the fleet up.
func (b *Broker) open(ctx context.Context, name string) (Info, error) {
	full, err := b.names.queue(name)
	if err != nil {
		return Info{}, err
	}
	return b.describe(ctx, full)
}
