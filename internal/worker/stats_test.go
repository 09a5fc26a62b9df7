package worker

import (
	"testing"

	"go.opentelemetry.io/otel/metric/noop"

	"callfleet/internal/call"
	"callfleet/internal/worker/slot"
)

// Templates give any names to failures: metrics count them as one.
func TestFailuresAreCounted(t *testing.T) {
	t.Parallel()
	s, err := newStats(noop.NewMeterProvider(), slot.New(1, func(bool) {}))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []call.FailureName{"NotFound", "Refused", call.SelectFailed, "Callfleet.New"} {
		s.ended(&call.Failure{Name: name}, 0)
	}
	got := s.snapshot().Failed
	if len(got) != 3 || got[named] != 2 || got[call.SelectFailed] != 1 || got[call.Internal] != 1 {
		t.Errorf("counted %v", got)
	}
}
