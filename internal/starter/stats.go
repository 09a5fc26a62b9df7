package starter

import (
	"context"
	"math"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"callfleet/internal/pace"
)

// Stats is what a starter has done since it was made.
type Stats struct {
	Started   uint64 // executions started, or found started
	Throttled uint64 // starts refused for the quota, and tried again
	Errors    uint64 // starts that failed otherwise, and were tried again
	Rejected  uint64 // requests moved to the dead-letter queue
}

type stats struct{ started, throttled, errors, rejected atomic.Uint64 }

func newStats(mp metric.MeterProvider, p *pace.Pace) (*stats, error) {
	s := &stats{}
	meter := mp.Meter(scope)
	_, err := meter.Int64ObservableCounter("callfleet.starter.requests",
		metric.WithUnit("{request}"), metric.WithDescription("Tries to start an execution, by outcome."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for name, n := range map[string]*atomic.Uint64{
				"started": &s.started, "throttled": &s.throttled, "error": &s.errors, "rejected": &s.rejected,
			} {
				o.Observe(int64(n.Load()), metric.WithAttributes(attribute.String("outcome", name)))
			}
			return nil
		}))
	if err != nil {
		return nil, err
	}
	_, err = meter.Float64ObservableGauge("callfleet.starter.limit",
		metric.WithUnit("{request}/s"), metric.WithDescription("Present rate limit of this starter, while there is one."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			if r := p.Limit(); !math.IsInf(r, 1) {
				o.Observe(r)
			}
			return nil
		}))
	return s, err
}

func (s *stats) snapshot() Stats {
	return Stats{Started: s.started.Load(), Throttled: s.throttled.Load(), Errors: s.errors.Load(), Rejected: s.rejected.Load()}
}
