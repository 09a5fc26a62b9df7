// Package relay carries execution status change events from the one queue on
// which Step Functions puts those of all executions (by way of EventBridge) to
// the feeds on which each run's producer waits for its own.
package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	"callfleet/internal/lifecycle"
	"callfleet/internal/queue"
)

// Options are the settings of a Relay. The zero value of a field is the default
// named with it.
type Options struct {
	// Batch is the most events that are received and published together.
	// Default 100.
	Batch int
	// Batches is the number of batches under way at once. Default 16.
	Batches int
	// DrainTimeout is how long batches under way may go on after Run was told
	// to stop. Default 5 s.
	DrainTimeout time.Duration
	// Logger defaults to slog.Default.
	Logger *slog.Logger
	// MeterProvider defaults to the global one.
	MeterProvider metric.MeterProvider
}

func (o Options) withDefaults() Options {
	o.Batch = cmp.Or(o.Batch, 100)
	o.Batches = cmp.Or(o.Batches, 16)
	o.DrainTimeout = cmp.Or(o.DrainTimeout, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	return o
}

// receivePause is the time until events are received again after an error.
const receivePause = time.Second

// Relay publishes each event on the feed of its run, at least once.
type Relay struct {
	events queue.Consumer
	feed   queue.Publisher
	opts   Options
	log    *slog.Logger
	stats  *stats

	slots chan struct{}  // one token per free batch
	busy  sync.WaitGroup // batches under way
	told  limiter        // of the log of what is tried again
}

// New returns a relay that takes nothing before Run. feed is routed by the
// group of a message, which is the execution's name here.
func New(events queue.Consumer, feed queue.Publisher, o Options) (*Relay, error) {
	if events == nil || feed == nil {
		return nil, errors.New("make relay: a queue of events and a feed are needed")
	}
	if o.Batch < 0 || o.Batches < 0 || o.DrainTimeout < 0 {
		return nil, errors.New("make relay: options must not be negative")
	}
	if events.Lease() <= 0 {
		return nil, errors.New("make relay: the queue of events has no lease")
	}
	o = o.withDefaults()
	r := &Relay{events: events, feed: feed, opts: o, log: o.Logger, slots: make(chan struct{}, o.Batches)}
	for range o.Batches {
		r.slots <- struct{}{}
	}
	var err error
	if r.stats, err = newStats(o.MeterProvider); err != nil {
		return nil, fmt.Errorf("make relay: %w", err)
	}
	return r, nil
}

// Run relays events until ctx ends, lets the batches under way finish, and
// returns nil. It returns an error when the queue or the feed is closed under
// it, or when there is no such queue. Run may be called once.
func (r *Relay) Run(ctx context.Context) error {
	intake, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work, cancelWork := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelWork()
	err := r.takeIn(intake, work, stop)
	limit := time.AfterFunc(r.opts.DrainTimeout, cancelWork)
	r.busy.Wait()
	limit.Stop()
	if cause := context.Cause(intake); err == nil && ctx.Err() == nil && cause != nil {
		err = cause // a batch found the feed closed
	}
	return err
}

// takeIn receives no more than can be published.
func (r *Relay) takeIn(ctx, work context.Context, stop context.CancelCauseFunc) error {
	for {
		select {
		case <-r.slots:
		case <-ctx.Done():
			return nil
		}
		deliveries, err := r.events.Receive(ctx, r.opts.Batch)
		switch {
		case err == nil, ctx.Err() != nil:
		case errors.Is(err, queue.ErrClosed), errors.Is(err, queue.ErrNotFound):
			return fmt.Errorf("receive events: %w", err)
		default:
			r.log.WarnContext(ctx, "receiving events again after an error", "error", err, "pause", receivePause)
			_ = lifecycle.Sleep(ctx, receivePause)
		}
		if len(deliveries) == 0 {
			r.slots <- struct{}{}
			continue
		}
		r.busy.Go(func() {
			if err := r.relay(work, deliveries); err != nil {
				stop(err)
			}
			r.slots <- struct{}{}
		})
	}
}

// limiter lets something through once a minute.
type limiter struct {
	mu   sync.Mutex
	last time.Time // guarded by mu
}

func (l *limiter) pass() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.last) < time.Minute {
		return false
	}
	l.last = time.Now()
	return true
}

// Stats returns what the relay has done so far.
func (r *Relay) Stats() Stats { return r.stats.snapshot() }
