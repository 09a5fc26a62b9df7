package fault_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/machine/fault"
)

// TestMatches: "Errors", the names that stand for more than themselves.
func TestMatches(t *testing.T) {
	t.Parallel()
	faults := map[string]fault.Fault{
		"named": fault.New("E", ""), "nameless": {}, "timeout": fault.Timeout(false), "heartbeat": fault.Timeout(true),
		"large": fault.TooLarge("x"), "runtime": fault.InState("S", 1, expr.Runtime, ""), "intrinsic": fault.InState("S", 1, expr.IntrinsicFailure, ""),
	}
	cases := map[string][]string{
		"States.ALL":               {"named", "nameless", "timeout", "heartbeat", "large", "intrinsic"},
		"States.TaskFailed":        {"named", "nameless", "large", "intrinsic"},
		"States.Timeout":           {"timeout", "heartbeat"},
		"States.HeartbeatTimeout":  {"heartbeat"},
		"States.DataLimitExceeded": {"large"},
		"States.Runtime":           nil,
		"States.IntrinsicFailure":  {"intrinsic"},
		"E":                        {"named"},
		"":                         nil,
	}
	for name, matching := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := map[string]bool{}
			for _, m := range matching {
				want[m] = true
			}
			for which, f := range faults {
				if got := f.Matches([]string{"Other", name}); got != want[which] {
					t.Errorf("%s: %v", which, got)
				}
			}
		})
	}
}

func TestBackoffIsBounded(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	r := &asl.Retrier{Interval: time.Hour, BackoffRate: 10}
	for made := range int64(1000) {
		if d := fault.Backoff(r, made, random); d <= 0 || d > 99999999*time.Second {
			t.Fatalf("after %d attempts: %v", made, d)
		}
	}
}
