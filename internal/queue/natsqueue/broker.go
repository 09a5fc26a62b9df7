package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue/confirm"
)

const (
	defaultDedup         = 2 * time.Minute
	defaultDeadLetterAge = 14 * 24 * time.Hour
	defaultFeedLease     = 10 * time.Second
	defaultFeedIdle      = 7 * 24 * time.Hour
	maxDelay             = 15 * time.Minute
	maxHeaders           = 10
	// payloadReserve is kept free of the server's max payload for what travels
	// with a message: header framing, its id, and the reason on its way to the
	// dead-letter queue.
	payloadReserve = 8 << 10
)

// Options tune a Broker. The zero value is what the fleet runs with.
type Options struct {
	// Replicas of every stream that is made; 1 if 0.
	Replicas int
	// DedupWindow is how long a message ID is remembered; 2 minutes if 0,
	// which is also the least.
	DedupWindow time.Duration
	// DeadLetterAge is how long a dead-lettered message is kept; 14 days if 0,
	// for ever if negative.
	DeadLetterAge time.Duration
	// FeedLease is how long an event stays with the reader of a feed before it
	// is delivered again; 10 s if 0.
	FeedLease time.Duration
	// FeedIdle is how long a feed keeps events for a run whose reader is away;
	// 7 days if 0.
	FeedIdle time.Duration
	// MustExist makes a missing queue an ErrNotFound instead of creating it.
	MustExist bool
	// Logger hears of messages that could not be dead-lettered; slog.Default
	// if nil.
	Logger *slog.Logger
}

// withDefaults fills in the zero values, or says what is wrong.
func (o Options) withDefaults() (Options, error) {
	var errs []error
	if o.Replicas < 0 {
		errs = append(errs, fmt.Errorf("replicas %d: must not be negative", o.Replicas))
	}
	if o.DedupWindow != 0 && o.DedupWindow < defaultDedup {
		errs = append(errs, fmt.Errorf("dedup window %s: must be at least %s", o.DedupWindow, defaultDedup))
	}
	if o.FeedLease < 0 || o.FeedIdle < 0 {
		errs = append(errs, errors.New("feed lease and idle time: must not be negative"))
	}
	o.Replicas = orDefault(o.Replicas, 1)
	o.DedupWindow = orDefault(o.DedupWindow, defaultDedup)
	o.DeadLetterAge = max(orDefault(o.DeadLetterAge, defaultDeadLetterAge), 0)
	o.FeedLease = orDefault(o.FeedLease, defaultFeedLease)
	o.FeedIdle = orDefault(o.FeedIdle, defaultFeedIdle)
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

// Broker makes publishers and consumers on one connection. It is safe for
// concurrent use, owns nothing that outlives the connection, and is done when
// the owner of the connection closes that.
type Broker struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	options  Options
	confirms *confirm.Confirmer
	limits   queue.Limits
}

// New looks at the server behind nc. nc should reconnect for ever
// (ConnectOptions); the Broker survives restarts of the server.
func New(ctx context.Context, nc *nats.Conn, o Options) (*Broker, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open broker: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open broker: %w", err)
	}
	if _, err := js.AccountInfo(ctx); err != nil {
		return nil, fmt.Errorf("open broker %s: ask for JetStream (is it enabled there?): %w", nc.ConnectedUrlRedacted(), err)
	}
	confirms, err := confirm.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open broker: %w", err)
	}
	return &Broker{
		nc:       nc,
		js:       js,
		options:  o,
		confirms: confirms,
		limits: queue.Limits{
			MaxBytes:   int(nc.MaxPayload()) - payloadReserve,
			MaxHeaders: maxHeaders,
			MaxDelay:   maxDelay,
		},
	}, nil
}

// ConnectOptions are what a connection of a fleet program should be opened
// with: a name for the server's listings, and no end to reconnecting.
func ConnectOptions(name string) []nats.Option {
	return []nats.Option{
		nats.Name(name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(200 * time.Millisecond),
		nats.ReconnectJitter(200*time.Millisecond, time.Second),
	}
}

// Publisher opens a queue for publishing. The queue and its dead-letter queue
// are made if they are missing.
func (b *Broker) Publisher(ctx context.Context, name string) (*Publisher, error) {
	n, err := b.openQueue(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open queue %s: %w", name, err)
	}
	route := func(*queue.Message) string { return n.subject }
	return &Publisher{broker: b, names: n, limits: b.limits, route: route}, nil
}

// openQueue makes sure that the queue's streams exist.
func (b *Broker) openQueue(ctx context.Context, name string) (names, error) {
	n, err := queueNames(name)
	if err != nil {
		return names{}, err
	}
	if n.deadLetter {
		return n, b.ensureStream(ctx, b.deadLetterStream(n))
	}
	if err := b.ensureStream(ctx, b.queueStream(n)); err != nil {
		return names{}, err
	}
	return n, b.ensureDeadLetters(ctx, n)
}

// ensureDeadLetters makes sure that the dead-letter queue of n exists.
func (b *Broker) ensureDeadLetters(ctx context.Context, n names) error {
	dead, err := queueNames(n.queue + DeadLetterSuffix)
	if err != nil {
		return err
	}
	return b.ensureStream(ctx, b.deadLetterStream(dead))
}

func (b *Broker) queueStream(n names) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              n.stream,
		Description:       "Callfleet queue " + n.queue,
		Subjects:          []string{n.subject, n.later + "*"},
		Retention:         jetstream.WorkQueuePolicy,
		AllowMsgSchedules: true,
		Replicas:          b.options.Replicas,
		Duplicates:        b.options.DedupWindow,
	}
}

// deadLetterStream keeps its messages for a while, whoever has seen them.
func (b *Broker) deadLetterStream(n names) jetstream.StreamConfig {
	s := b.queueStream(n)
	s.Retention = jetstream.LimitsPolicy
	s.MaxAge = b.options.DeadLetterAge
	return s
}

// ensureStream creates the stream, or accepts one that is there: whoever runs
// the server may have sized it differently, but its kind must be right.
func (b *Broker) ensureStream(ctx context.Context, want jetstream.StreamConfig) error {
	have, err := b.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if b.options.MustExist {
			return fmt.Errorf("stream %s: %w", want.Name, queue.ErrNotFound)
		}
		have, err = b.js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // somebody else just made it
			have, err = b.js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", want.Name, err)
	}
	if got := have.CachedInfo().Config; got.Retention != want.Retention || got.AllowMsgSchedules != want.AllowMsgSchedules {
		return fmt.Errorf("stream %s exists for something else (retention %s, schedules %t; need %s, %t): remove it or use another queue name",
			want.Name, got.Retention, got.AllowMsgSchedules, want.Retention, want.AllowMsgSchedules)
	}
	return nil
}
