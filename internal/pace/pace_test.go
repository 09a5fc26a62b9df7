package pace_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/pace"
)

// pass counts the requests that go through within d when there is never a lack
// of them.
func pass(t *testing.T, p *pace.Pace, d time.Duration) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	n := 0
	for p.Wait(ctx) == nil {
		n++
	}
	return n
}

func within(t *testing.T, what string, got, least, most float64) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s: got %v, want %v to %v", what, got, least, most)
	}
}

func TestHoldsTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(300)
		within(t, "10 s", float64(pass(t, p, 10*time.Second)), 3020, 3031) // and the bucket
		time.Sleep(time.Minute)
		within(t, "a second after a rest", float64(pass(t, p, time.Second)), 320, 331)
	})
}

func TestSlowRates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(0.1)
		within(t, "35 s", float64(pass(t, p, 35*time.Second)), 4, 4)
		p.Throttled()
		if got := p.Limit(); got != 0.05 && got != 0.1 {
			t.Errorf("got %v a second, want no more than configured", got)
		}
	})
}

func TestHalvesAndComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(100)
		limit := func(what string, want float64) {
			t.Helper()
			within(t, what, p.Limit(), want-0.1, want+0.1)
		}
		p.Throttled()
		limit("the first throttling", 50)
		for range 10 { // under way at the first
			time.Sleep(90 * time.Millisecond)
			p.Throttled()
		}
		limit("more of the same", 50)
		time.Sleep(200 * time.Millisecond)
		limit("a step later", 53.5)
		p.Throttled()
		limit("throttled on the way back", 26.8)
		time.Sleep(10 * time.Second)
		limit("ten steps later", 58.15)
		time.Sleep(time.Hour)
		limit("a quiet hour", 100)
		for range 100 {
			p.Throttled()
			time.Sleep(time.Second)
		}
		within(t, "throttled for long", p.Limit(), 1, 4)
	})
}

func TestWithoutLimitSlowsToWhatItSaw(t *testing.T) {
	t.Parallel()
	for name, seconds := range map[string]float64{"in the first second": 0.5, "in a later one": 4.5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := pace.New(0)
				for range int(1000 * seconds) {
					if err := p.Wait(t.Context()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Millisecond)
				}
				if got := p.Limit(); !math.IsInf(got, 1) {
					t.Fatalf("got %v a second before any throttling, want no limit", got)
				}
				p.Throttled()
				within(t, "half of what was seen", p.Limit(), 490, 510)
				within(t, "a second at it", float64(pass(t, p, time.Second)), 480, 540)
				time.Sleep(15 * time.Second)
				within(t, "a while later", p.Limit(), 1400, 1800)
				time.Sleep(30 * time.Second)
				if got := p.Limit(); !math.IsInf(got, 1) {
					t.Errorf("got %v a second after a quiet time, want no limit", got)
				}
			})
		})
	}
}

func TestWithoutLimitAndThrottledWhileIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(0)
		p.Throttled()
		within(t, "the least", p.Limit(), 1, 1)
		time.Sleep(time.Minute)
		if got := p.Limit(); !math.IsInf(got, 1) {
			t.Errorf("got %v, want no limit again", got)
		}
	})
}

// Who waits is let through in the order of coming, at the rate of the moment.
func TestLineFollowsTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(10)
		var mu sync.Mutex
		var order []int
		var at []time.Duration
		began := time.Now()
		var line sync.WaitGroup
		for i := range 11 {
			line.Go(func() {
				if err := p.Wait(t.Context()); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order, at = append(order, i), append(at, time.Since(began))
			})
			synctest.Wait()
		}
		p.Throttled() // ten are in the line for a second
		line.Wait()
		for i, n := range order {
			if i != n {
				t.Fatalf("let through in the order %v", order)
			}
		}
		within(t, "seconds until the last", at[10].Seconds(), 1.8, 2)
	})
}

func TestWaitEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(0.01)
		if err := p.WaitFor(t.Context(), 0); err != nil {
			t.Errorf("the first: got %v, want its turn", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		short, cancelShort := context.WithTimeout(t.Context(), time.Second)
		defer cancelShort()
		began := time.Now()
		if err := p.Wait(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("ended: got %v", err)
		}
		if err := p.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("short: got %v", err)
		}
		if err := p.WaitFor(t.Context(), time.Second); !errors.Is(err, pace.ErrBusy) {
			t.Errorf("busy at the head: got %v", err)
		}
		var line sync.WaitGroup
		line.Go(func() { _ = p.WaitFor(t.Context(), 5*time.Second) })
		synctest.Wait()
		if err := p.WaitFor(t.Context(), time.Second); !errors.Is(err, pace.ErrBusy) {
			t.Errorf("busy in the line: got %v", err)
		}
		within(t, "seconds waited", time.Since(began).Seconds(), 3, 3)
		line.Wait()
		if err := pace.New(0).Wait(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("without a limit: got %v", err)
		}
	})
}

// bucket is a quota as AWS keeps it, for a whole account.
type bucket struct {
	size, refill float64

	mu     sync.Mutex
	tokens float64
	filled time.Time
}

func (b *bucket) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.tokens = min(b.size, b.tokens+b.refill*now.Sub(b.filled).Seconds())
	b.filled = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// Many programs, each of which believes that it has the quota of StartExecution
// for itself, come to use all of it, get about the same, and are refused little.
func TestManyShareOneQuota(t *testing.T) {
	t.Parallel()
	for _, programs := range []int{1, 5, 50} {
		synctest.Test(t, func(t *testing.T) {
			b := &bucket{size: 1300, refill: 300, filled: time.Now()}
			const settle, measure = 90 * time.Second, 2 * time.Minute
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), settle+measure)
			defer cancel()
			got, refused := make([]int, programs), make([]int, programs)
			var all sync.WaitGroup
			for i := range programs {
				all.Go(func() {
					time.Sleep(time.Duration(i) * 1300 * time.Millisecond) // they start one after the other
					p := pace.New(300)
					for p.Wait(ctx) == nil {
						ok := b.take()
						if !ok {
							p.Throttled()
						}
						switch {
						case time.Since(began) < settle:
						case ok:
							got[i]++
						default:
							refused[i]++
						}
					}
				})
			}
			all.Wait()
			least, most, sum, no := math.MaxInt, 0, 0, 0
			for i, n := range got {
				least, most, sum, no = min(least, n), max(most, n), sum+n, no+refused[i]
			}
			t.Logf("%d programs: %.0f a second, %.1f to %.1f each, %.1f %% refused", programs, float64(sum)/measure.Seconds(),
				float64(least)/measure.Seconds(), float64(most)/measure.Seconds(), 100*float64(no)/float64(sum+no))
			within(t, "a second", float64(sum)/measure.Seconds(), 280, 301)
			within(t, "the most over the least", float64(most)/float64(least), 1, 2.2)
			within(t, "refused", float64(no)/float64(sum+no), 0, 0.1)
		})
	}
}
