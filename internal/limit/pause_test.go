package limit

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/call"
)

// busyOnce answers the first call as given, and later ones with 200.
func busyOnce(first call.Attempt) func(time.Time) call.Attempt {
	answered := false
	return func(time.Time) call.Attempt {
		if !answered {
			answered = true
			return first
		}
		return call.Attempt{Status: 200}
	}
}

// A 403 pauses a key if it says for how long, and is no sign of trouble else.
func TestForbidden(t *testing.T) {
	t.Parallel()
	if got := judge(call.Attempt{Status: 403, RetryAfter: time.Minute, Asked: true}); got != busy {
		t.Errorf("403 for a minute: %d, want busy", got)
	}
	if got := judge(call.Attempt{Status: 403}); got != passed {
		t.Errorf("403: %d, want passed", got)
	}
}

func TestRetryAfterPausesTheWholeFleet(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]Policy{"no policy": {}, "rate": {Rate: 100}, "concurrency": {Concurrency: 20}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 10*time.Millisecond)
				if !p.IsZero() {
					f.set("api", p)
				}
				f.answer = busyOnce(call.Attempt{Status: 429, RetryAfter: 7 * time.Second, Asked: true})
				a, b := f.join("a"), f.join("b")
				if err := a.call(t.Context(), "api"); err != nil { // it is answered 429
					t.Fatal(err)
				}
				asked := time.Now()
				synctest.Wait()
				a.load("api", 20)
				b.load("api", 20)
				time.Sleep(30 * time.Second)
				if n := f.within(asked, 7*time.Second); n != 0 {
					t.Errorf("%d calls within the 7 s", n)
				}
				// It goes on slowly, and comes back to its full pace.
				first, second, later := f.within(asked.Add(7*time.Second), time.Second), f.within(asked.Add(8*time.Second), time.Second),
					f.within(asked.Add(17*time.Second), time.Second)
				if first == 0 || first > 25 || second <= first || later < 95 {
					t.Errorf("%d calls in the first second after it, %d in the second, %d later: want a ramp", first, second, later)
				}
				f.end(a, b)
			})
		})
	}
}

// A pause that comes while four workers call at their full pace ends all of it:
// what is under way goes on, and no turn that was given out is used.
func TestRetryAfterInFullSwing(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]Policy{"no policy": {}, "rate": {Rate: 100}, "both": {Rate: 200, Concurrency: 8}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 30*time.Millisecond)
				if !p.IsZero() {
					f.set("api", p)
				}
				began := time.Now()
				var asked time.Time
				f.answer = func(time.Time) call.Attempt {
					f.mu.Lock()
					defer f.mu.Unlock()
					if now := time.Now(); asked.IsZero() && now.Sub(began) > 5*time.Second {
						asked = now
						return call.Attempt{Status: 429, RetryAfter: 7 * time.Second, Asked: true}
					}
					return call.Attempt{Status: 200}
				}
				var all []*member
				for _, id := range []string{"a", "b", "c", "d"} {
					m := f.join(id)
					m.load("api", 10)
					all = append(all, m)
				}
				time.Sleep(20 * time.Second)
				if asked.IsZero() {
					t.Fatal("no call was answered 429")
				}
				before := f.within(asked.Add(-time.Second), time.Second)
				// Those at the very moment are on their way already.
				if n := f.within(asked.Add(time.Millisecond), 7*time.Second-time.Millisecond); n != 0 {
					t.Errorf("%d calls within the 7 s", n)
				}
				if first := f.within(asked.Add(7*time.Second), time.Second); first == 0 || first > before/2 {
					t.Errorf("%d calls in the first second after it, %d in the last one before: want a ramp", first, before)
				}
				f.end(all...)
			})
		})
	}
}

func TestPauseGrowsWhenNoTimeIsNamed(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var r Record
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		r.Hold(now, 0, false)
		r.Hold(now.Add(time.Millisecond), 0, false) // another that was under way
		if got := r.Until.Sub(now); got != want*time.Second {
			t.Errorf("pause %d is %s, want %ds", i+1, got, want)
		}
		now = r.Until
	}
	r.Passed(now, "a")
	r.Hold(now, 0, false)
	if got := r.Until.Sub(now); got != time.Second {
		t.Errorf("after an answer the pause is %s, want 1s", got)
	}
}

func TestHoldIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var r Record
	r.Hold(now, 1<<62, true)
	if got := r.Until.Sub(now); got != maxAsked {
		t.Errorf("paused for %s, want %s", got, maxAsked)
	}
	if r.Resume(now); r.State(now.Add(rampTime)) != Open {
		t.Errorf("state %s after resume", r.State(now.Add(rampTime)))
	}
}

// A call that cannot begin before its deadline is told at once; one that might
// is told at its deadline.
func TestDeadlineWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Millisecond)
		f.set("stopped", Policy{Paused: true})
		f.answer = busyOnce(call.Attempt{Status: 503, RetryAfter: time.Minute, Asked: true})
		m := f.join("a")
		_ = m.call(t.Context(), "held")
		for key, want := range map[string]time.Duration{"held": 0, "stopped": 10 * time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			began := time.Now()
			err := m.call(ctx, key)
			cancel()
			var failure *call.Failure
			if !errors.As(err, &failure) || failure.Name != call.RateLimited || time.Since(began) != want {
				t.Errorf("%s: %v after %s, want RateLimited after %s", key, err, time.Since(began), want)
			}
		}
		f.end(m)
	})
}

// A 503 that asks for nothing is its call's own trouble, unless most calls get
// one: then the circuit opens.
func TestTurnedAway(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name        string
		every       int // that is turned away
		least, most int // calls
	}{
		{"some", 10, 9_500, 10_000},
		{"all", 1, 20, 60},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 10*time.Millisecond)
				var n atomic.Int64
				f.answer = func(time.Time) call.Attempt {
					if n.Add(1)%int64(row.every) == 0 {
						return call.Attempt{Status: 503}
					}
					return call.Attempt{Status: 200}
				}
				m := f.join("a")
				m.load("api", 10)
				<-time.After(10 * time.Second)
				if calls := len(f.begun()); calls < row.least || calls > row.most {
					t.Errorf("%d calls in 10 s, want %d to %d", calls, row.least, row.most)
				}
				f.end(m)
			})
		})
	}
	turn := (&Limiter{flows: map[string]*flow{}}).Turn("api", free{})
	if !turn.End(call.Attempt{Status: 503}) {
		t.Error("a 503 counts as an attempt")
	}
}

func TestCircuit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 10*time.Millisecond)
		began := time.Now()
		const down = 30 * time.Second
		f.answer = func(now time.Time) call.Attempt {
			if now.Sub(began) < down {
				return call.Attempt{Failure: call.ConnectionFailed}
			}
			return call.Attempt{Status: 200}
		}
		var all []*member
		for _, id := range []string{"a", "b", "c", "d"} {
			m := f.join(id)
			m.load("api", 10)
			all = append(all, m)
		}
		time.Sleep(2 * time.Minute)
		// 40 calls, five from each until it has opened; then one at a time.
		if n := f.within(began.Add(500*time.Millisecond), down); n < 3 || n > 6 {
			t.Errorf("%d probes in %s, want 3 to 6: after 1, 2, 4, 8 and 16 s", n, down)
		}
		healed := began.Add(62 * time.Second)
		if first, later := f.within(healed.Add(-30*time.Second), 60*time.Second), f.within(healed.Add(30*time.Second), 10*time.Second); first == 0 || later < 10_000 {
			t.Errorf("%d calls after it healed, %d in 10 s later: want all of them", first, later)
		}
		f.end(all...)
	})
}

func TestCircuitOpensByPart(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var h health
	for i := range tripCalls - 1 {
		if h.note(failed, now) {
			t.Fatalf("open after %d calls", i+1)
		}
	}
	if !h.note(failed, now) {
		t.Errorf("closed after %d errors", tripCalls)
	}
	for range 100 { // half of them
		if h.note(failed, now) || h.note(passed, now) {
			t.Fatal("open though half of the calls are answered")
		}
	}
	for i := range tripInRow {
		if got, want := h.note(broken, now), i == tripInRow-1; got != want {
			t.Errorf("open %t after %d broken connections", got, i+1)
		}
	}
}

// What waits is bounded, by key and in all; a call that has begun may stay.
func TestFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Millisecond)
		f.set("api", Policy{Paused: true, Backlog: 3})
		m := f.join("a")
		m.load("api", 3)
		synctest.Wait()
		if err := m.call(t.Context(), "api"); !errors.Is(err, ErrFull) {
			t.Errorf("fourth call: %v, want ErrFull", err)
		}
		if err := Resume(t.Context(), f.store, "api"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := m.call(t.Context(), "api"); err != nil {
			t.Errorf("call after resume: %v", err)
		}
		f.end(m)
	})
}

func TestHostKey(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://API.example.com/a?b": "api.example.com", "http://me:pw@h:8080": "h:8080", "https://[::1]:1/": "[::1]:1", "x": "",
		"https://h?q=a@b/c": "h", "https://h#x@y": "h",
		"https://H./": "h", "https://h.:8443/": "h:8443", "https://h:/": "h", "https://[::ffff:1.2.3.4]:1": "[::ffff:1.2.3.4]:1",
	} {
		if got := HostKey(url); got != want {
			t.Errorf("HostKey(%s) = %q, want %q", url, got, want)
		}
	}
}

func TestPolicyCheck(t *testing.T) {
	t.Parallel()
	if err := (Policy{Rate: 50, Period: time.Minute, Concurrency: 8, Paused: true, Backlog: 10}).Check(); err != nil {
		t.Error(err)
	}
	for _, p := range []Policy{{Rate: -1}, {Rate: maxRate + 1}, {Period: -1}, {Period: 25 * time.Hour}, {Concurrency: -1}, {Backlog: -1}} {
		if p.Check() == nil {
			t.Errorf("%+v passes", p)
		}
	}
}

// A record that says nothing any more is removed, and forgotten.
func TestRecordsAreCleanedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Millisecond)
		f.set("kept", Policy{Rate: 5})
		f.answer = busyOnce(call.Attempt{Status: 429, RetryAfter: time.Second, Asked: true})
		m := f.join("a")
		for range 3 { // one is held, two wait for it
			_ = m.call(t.Context(), "api")
		}
		_ = m.call(t.Context(), "kept")
		synctest.Wait()
		if s := m.Statuses(); len(s) != 2 {
			t.Errorf("statuses %+v, want two", s)
		}
		time.Sleep(5 * time.Minute)
		all, err := List(t.Context(), f.store)
		if err != nil || len(all) != 1 || all[0].Key != "kept" || len(all[0].Members) != 0 {
			t.Errorf("the store has %+v, %v; want the policy alone", all, err)
		}
		m.mu.RLock()
		if len(m.flows) != 1 {
			t.Errorf("%d keys are known, want 1", len(m.flows))
		}
		m.mu.RUnlock()
		f.end(m)
	})
}

// While the store is away, calls of a limited key wait for it; others do not.
func TestStoreIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Millisecond)
		f.set("limited", Policy{Rate: 100})
		m := f.join("a")
		m.kill()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var failure *call.Failure
		if err := m.call(ctx, "limited"); !errors.As(err, &failure) || failure.Name != call.RateLimited {
			t.Errorf("limited: %v, want RateLimited at the deadline", err)
		}
		if err := m.call(t.Context(), "other"); err != nil {
			t.Errorf("other: %v", err)
		}
		// What an API asks for is kept here all the same.
		f.answer = busyOnce(call.Attempt{Status: 503, RetryAfter: time.Minute, Asked: true})
		_ = m.call(t.Context(), "other")
		held, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.call(held, "other"); !errors.As(err, &failure) || failure.Name != call.RateLimited {
			t.Errorf("other: %v, want RateLimited", err)
		}
		f.end(m)
	})
}
