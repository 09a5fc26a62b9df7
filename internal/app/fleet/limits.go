package fleet

import (
	"context"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"callfleet/internal/lifecycle"
	"callfleet/internal/limit"
	"callfleet/internal/limit/store/memory"
)

// maxFlows is how many flow keys have series of their own: hosts come from
// templates. The others are one, of the name otherFlows.
const (
	maxFlows   = 100
	otherFlows = "other"
)

// limits is the service that shares limits with the fleet. It starts before the
// worker and outlasts its drain.
func (m *Member) limits() lifecycle.Service {
	return lifecycle.Service{
		Name: "limits",
		Start: func(ctx context.Context) (err error) {
			if m.limiter, err = m.newLimiter(ctx); err == nil {
				m.flowMetrics, err = observeFlows(otel.GetMeterProvider(), m.limiter)
			}
			return err
		},
		Run:  func(ctx context.Context) error { return m.limiter.Run(ctx) },
		Stop: func(context.Context) error { return m.flowMetrics.Unregister() },
	}
}

// newLimiter loads the flow keys before any call is made. Without a place for
// them the worker keeps to itself what it learns: it has no policies then, but
// it leaves an API alone that asks for it.
func (m *Member) newLimiter(ctx context.Context) (*limit.Limiter, error) {
	options := limit.Options{MaxWaiting: m.options.Waiting, Backlog: (m.options.Waiting + 1) / 2, Logger: m.options.Logger}
	flows, err := m.backend.Flows(ctx)
	if err != nil {
		return nil, err
	}
	l, err := limit.New(flows, options)
	if err != nil {
		return nil, err
	}
	err = l.Load(ctx)
	if err == nil || ctx.Err() != nil || m.backend.FlowTable() == "" {
		return l, err
	}
	log := m.options.Logger
	if log == nil {
		log = slog.Default()
	}
	log.WarnContext(ctx, "limits are not shared with the fleet, and policies are not known: this worker keeps its own", "error", err)
	return limit.New(memory.New(), options)
}

// states are told as numbers, the worse the higher.
var states = map[limit.State]int64{limit.Open: 0, limit.Ramp: 1, limit.Held: 2, limit.Tripped: 3, limit.Paused: 4}

// observeFlows tells the flow keys' backlog, pace and state.
func observeFlows(mp metric.MeterProvider, l *limit.Limiter) (metric.Registration, error) {
	meter := mp.Meter("callfleet/internal/app/fleet")
	waiting, err := meter.Int64ObservableGauge("callfleet.flow.waiting", metric.WithUnit("{call}"),
		metric.WithDescription("Calls that wait for their turn in this worker, by flow key."))
	if err != nil {
		return nil, fmt.Errorf("make metrics of flows: %w", err)
	}
	rate, err := meter.Float64ObservableGauge("callfleet.flow.rate", metric.WithUnit("{call}/s"),
		metric.WithDescription("Attempts per second that began in this worker lately, by flow key."))
	if err != nil {
		return nil, fmt.Errorf("make metrics of flows: %w", err)
	}
	state, err := meter.Int64ObservableGauge("callfleet.flow.state", metric.WithUnit("1"),
		metric.WithDescription("State of a flow key: 0 open, 1 going on slowly, 2 paused by the API, 3 circuit open, 4 paused by its owner."))
	if err != nil {
		return nil, fmt.Errorf("make metrics of flows: %w", err)
	}
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		var others limit.Status
		for i, s := range l.Statuses() {
			if i >= maxFlows {
				others.Waiting += s.Waiting
				others.Begun += s.Begun
				continue
			}
			flow := metric.WithAttributes(attribute.String("callfleet.flow", s.Key))
			o.ObserveInt64(waiting, int64(s.Waiting), flow)
			o.ObserveFloat64(rate, s.Begun, flow)
			o.ObserveInt64(state, states[s.State], flow)
		}
		if others.Waiting > 0 || others.Begun > 0 {
			flow := metric.WithAttributes(attribute.String("callfleet.flow", otherFlows))
			o.ObserveInt64(waiting, int64(others.Waiting), flow)
			o.ObserveFloat64(rate, others.Begun, flow)
		}
		return nil
	}, waiting, rate, state)
}

// Flows are the flow keys as the member sees them; nil before it has started.
func (m *Member) Flows() []limit.Status {
	if m.limiter == nil {
		return nil
	}
	return m.limiter.Statuses()
}
