package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"callfleet/internal/app/backend"
)

// How often the broker is asked for its counts, and for how long they are told
// when it does not answer. Counts that are told for ever would hide that.
const (
	countEvery   = 15 * time.Second
	countTimeout = 5 * time.Second
	countsLast   = 4 * countEvery
)

// counts are the messages of a queue by what they wait for.
type counts struct {
	visible  int // for a consumer
	inFlight int // for their consumer, or parked by it
	delayed  int // for their time
}

// countFunc asks the broker for the counts of a queue.
type countFunc func(ctx context.Context, queue string) (counts, error)

// counting is how the broker counts; nil when it does not.
func counting(b *backend.Backend) countFunc {
	sqs := b.SQS()
	if sqs == nil {
		return nil
	}
	return func(ctx context.Context, queue string) (counts, error) {
		c, err := sqs.Counts(ctx, queue)
		return counts{visible: c.Visible, inFlight: c.InFlight, delayed: c.Delayed}, err
	}
}

// backlog tells as a metric how many messages are on the fleet's queues. Whoever
// collects gets what was counted last: the broker is asked at the same pace
// however many collect.
type backlog struct {
	queues []string
	count  countFunc // nil counts nothing
	meters metric.MeterProvider
	log    *slog.Logger

	mu   sync.Mutex
	last map[string]counted // guarded by mu; by queue
}

// counted are counts and their age.
type counted struct {
	counts
	at time.Time
}

// newBacklog makes the service of role start. Each of the fleet's starters tells
// the same: their highest is the number.
func (m *Member) newBacklog(context.Context) (runner, func() error, error) {
	b := &backlog{
		queues: []string{backend.Requests, backend.Tasks}, count: counting(m.backend), meters: otel.GetMeterProvider(), log: m.options.Logger,
	}
	if b.log == nil {
		b.log = slog.Default()
	}
	if m.backend.StepFunctionsOnAWS() {
		b.queues = append(b.queues, backend.Results)
	}
	return b, func() error { return nil }, nil
}

// Run counts until ctx ends.
func (b *backlog) Run(ctx context.Context) error {
	if b.count == nil {
		<-ctx.Done()
		return nil
	}
	b.last = make(map[string]counted, len(b.queues))
	_, err := b.meters.Meter("callfleet/internal/app/fleet").Int64ObservableGauge("callfleet.queue.messages",
		metric.WithUnit("{message}"), metric.WithDescription("Messages on the fleet's queues, by what they wait for."),
		metric.WithInt64Callback(b.observe))
	if err != nil {
		return fmt.Errorf("make metric of the backlog: %w", err)
	}
	ticks := time.NewTicker(countEvery)
	defer ticks.Stop()
	for {
		for _, q := range b.queues {
			b.ask(ctx, q)
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (b *backlog) ask(ctx context.Context, queue string) {
	once, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	c, err := b.count(once, queue)
	if err != nil {
		if ctx.Err() == nil {
			b.log.Debug("counting the messages again later", "queue", queue, "error", err)
		}
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last[queue] = counted{c, time.Now()}
}

func (b *backlog) observe(_ context.Context, o metric.Int64Observer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for queue, c := range b.last {
		if time.Since(c.at) > countsLast {
			continue
		}
		for state, n := range map[string]int{"visible": c.visible, "in_flight": c.inFlight, "delayed": c.delayed} {
			o.Observe(int64(n), metric.WithAttributes(
				attribute.String("messaging.destination.name", queue), attribute.String("state", state)))
		}
	}
	return nil
}
