package limit

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/lifecycle"
	"callfleet/internal/limit/store"
)

// distant is a store that takes its time.
type distant struct {
	store.Store
	takes time.Duration
}

func (d distant) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	_ = lifecycle.Sleep(ctx, d.takes)
	return d.Store.Put(ctx, key, value, revision)
}

// A limit that is never reached leaves the throughput as it is: tokens are
// leased before calls have to wait for them, however far away the store is.
func TestALimitThatIsNotReached(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		policy Policy
	}{
		{"rate", Policy{Rate: 100_000}},
		{"concurrency", Policy{Concurrency: 128}},
		{"both", Policy{Rate: 100_000, Concurrency: 128}},
		{"rate just above", Policy{Rate: 3_400}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			without, with := throughput(t, Policy{}), throughput(t, row.policy)
			t.Logf("%d calls without a limit, %d with", without, with)
			if with < without*95/100 {
				t.Errorf("%d calls with a limit that is not reached, %d without", with, without)
			}
		})
	}
}

// One that is reached lets as many calls begin as it says.
func TestALimitThatIsReached(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{500, 2_900} {
		calls := throughput(t, Policy{Rate: rate})
		if most := 4 * rate; calls < most*95/100 || calls > most*109/100 {
			t.Errorf("%d calls within 4 s at %d/s", calls, rate)
		}
	}
}

// throughput is how many calls of 5 ms one worker makes in 4 s, 16 at once.
func throughput(t *testing.T, p Policy) (calls int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 5*time.Millisecond)
		f.away = 10 * time.Millisecond
		f.set("api", p)
		m := f.join("a")
		m.load("api", 16)
		<-time.After(4 * time.Second)
		calls = len(f.begun())
		m.stop()
		f.all.Wait()
	})
	return calls
}
