package relay

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// scope names the instrumentation.
const scope = "callfleet/internal/relay"

// Stats is what a relay has done since it was made.
type Stats struct {
	Relayed  uint64 // events published on their feeds
	Foreign  uint64 // events of executions that no producer has asked for, dropped
	Rejected uint64 // events moved to the dead-letter queue
	Errors   uint64 // events that could not be published, and were tried again
}

type stats struct{ relayed, foreign, rejected, errors atomic.Uint64 }

func newStats(mp metric.MeterProvider) (*stats, error) {
	s := &stats{}
	_, err := mp.Meter(scope).Int64ObservableCounter("callfleet.relay.events",
		metric.WithUnit("{event}"), metric.WithDescription("Execution status change events, by outcome."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for name, n := range map[string]*atomic.Uint64{"relayed": &s.relayed, "foreign": &s.foreign, "rejected": &s.rejected, "error": &s.errors} {
				o.Observe(int64(n.Load()), metric.WithAttributes(attribute.String("outcome", name)))
			}
			return nil
		}))
	return s, err
}

func (s *stats) snapshot() Stats {
	return Stats{Relayed: s.relayed.Load(), Foreign: s.foreign.Load(), Rejected: s.rejected.Load(), Errors: s.errors.Load()}
}
