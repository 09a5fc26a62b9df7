package worker

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"callfleet/internal/call"
	"callfleet/internal/worker/slot"
)

// Stats is what a worker has done since it was made.
type Stats struct {
	Slots, InFlight int
	Succeeded       uint64                      // answers reported
	Failed          map[call.FailureName]uint64 // failures reported, by name
	Retries         uint64                      // attempts after the first of a call
	Redelivered     uint64                      // deliveries after the first of a message
	Gone            uint64                      // tasks that nobody waited for any more
	LeaseLost       uint64                      // calls cancelled because another has the message
	HandedBack      uint64                      // messages given back undone
	Postponed       uint64                      // messages published again, to wait for their turn on the queue
	SetAside        uint64                      // messages published again, because enough of the tasks queue wait here
	Rejected        uint64                      // messages moved to the dead-letter queue
	Heartbeats      uint64
}

// named is what failures are counted under that templates have given a name to,
// of which there may be any number.
const named call.FailureName = "_OTHER"

// failureNames are counted one by one, others of ours under Internal.
var failureNames = [...]call.FailureName{
	call.TemplateNotFound, call.RenderFailed, call.EgressDenied, call.Timeout, call.ConnectionFailed,
	call.RateLimited, call.CircuitOpen, call.ResponseTooLarge, call.ResponseEncoded, call.SelectFailed, call.DeadlineExceeded, named, call.Internal,
}

// stats are counted with atomics and read by whoever collects.
type stats struct {
	slots *slot.Set

	succeeded, retries, redelivered, gone       atomic.Uint64
	leaseLost, handedBack, rejected, heartbeats atomic.Uint64
	postponed, setAside                         atomic.Uint64
	failed                                      [len(failureNames)]atomic.Uint64

	duration     metric.Float64Histogram
	registration metric.Registration
}

func newStats(mp metric.MeterProvider, s *slot.Set) (*stats, error) {
	st := &stats{slots: s}
	m := mp.Meter(scope)
	var err error
	if st.duration, err = m.Float64Histogram("messaging.process.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration from the receipt of a task to its recorded report.")); err != nil {
		return nil, err
	}
	inFlight, err := m.Int64ObservableUpDownCounter("callfleet.worker.calls.in_flight",
		metric.WithUnit("{call}"), metric.WithDescription("Calls under way."))
	if err != nil {
		return nil, err
	}
	limit, err := m.Int64ObservableUpDownCounter("callfleet.worker.slots",
		metric.WithUnit("{call}"), metric.WithDescription("Calls that may be under way at once."))
	if err != nil {
		return nil, err
	}
	calls, err := m.Int64ObservableCounter("callfleet.worker.calls",
		metric.WithUnit("{call}"), metric.WithDescription("Calls reported, by outcome."))
	if err != nil {
		return nil, err
	}
	events, err := m.Int64ObservableCounter("callfleet.worker.events",
		metric.WithUnit("{event}"), metric.WithDescription("What happened to calls and messages besides."))
	if err != nil {
		return nil, err
	}
	st.registration, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(inFlight, int64(s.InUse()))
		o.ObserveInt64(limit, int64(s.Total()))
		st.observe(func(n uint64, set metric.MeasurementOption) { o.ObserveInt64(calls, int64(n), set) },
			func(n uint64, set metric.MeasurementOption) { o.ObserveInt64(events, int64(n), set) })
		return nil
	}, inFlight, limit, calls, events)
	return st, err
}

func (s *stats) observe(calls, events func(uint64, metric.MeasurementOption)) {
	outcome := func(name string) metric.MeasurementOption {
		return metric.WithAttributes(attribute.String("outcome", name))
	}
	calls(s.succeeded.Load(), outcome("succeeded"))
	for i, name := range failureNames {
		if n := s.failed[i].Load(); n > 0 {
			calls(n, outcome(string(name)))
		}
	}
	for name, n := range map[string]*atomic.Uint64{
		"retry": &s.retries, "redelivery": &s.redelivered, "gone": &s.gone, "lease_lost": &s.leaseLost,
		"handed_back": &s.handedBack, "postponed": &s.postponed, "set_aside": &s.setAside, "rejected": &s.rejected, "heartbeat": &s.heartbeats,
	} {
		events(n.Load(), metric.WithAttributes(attribute.String("event", name)))
	}
}

func (s *stats) close() error {
	if err := s.registration.Unregister(); err != nil {
		return fmt.Errorf("end metrics of the worker: %w", err)
	}
	return nil
}

// retried counts the attempts of one call.
func (s *stats) retried(attempts int) {
	if attempts > 1 {
		s.retries.Add(uint64(attempts - 1))
	}
}

// ended counts a call that was reported; f is nil for an answer.
func (s *stats) ended(f *call.Failure, took time.Duration) {
	s.duration.Record(context.Background(), took.Seconds())
	if f == nil {
		s.succeeded.Add(1)
		return
	}
	counted := f.Name
	if !strings.HasPrefix(string(counted), "Callfleet.") {
		counted = named
	}
	for i, name := range failureNames {
		if name == counted {
			s.failed[i].Add(1)
			return
		}
	}
	s.failed[len(failureNames)-1].Add(1)
}

func (s *stats) snapshot() Stats {
	out := Stats{
		Slots: s.slots.Total(), InFlight: s.slots.InUse(),
		Succeeded: s.succeeded.Load(), Failed: map[call.FailureName]uint64{},
		Retries: s.retries.Load(), Redelivered: s.redelivered.Load(), Gone: s.gone.Load(),
		LeaseLost: s.leaseLost.Load(), HandedBack: s.handedBack.Load(), Postponed: s.postponed.Load(), SetAside: s.setAside.Load(), Rejected: s.rejected.Load(),
		Heartbeats: s.heartbeats.Load(),
	}
	for i, name := range failureNames {
		if n := s.failed[i].Load(); n > 0 {
			out.Failed[name] = n
		}
	}
	return out
}
