package ecs

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/ecs/ecstest"
)

func TestAnIdleTaskAsksForNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, ProtectionOptions{})
		time.Sleep(time.Hour)
		b.stop()
		b.asked(t, "")
	})
}

// On with the first call, renewed at half, off after a while of idleness: at
// these moments and no others.
func TestProtectionFollowsTheWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, ProtectionOptions{})
		began := time.Now()
		time.Sleep(time.Minute)
		b.p.Set(true)
		b.asked(t, "on 10")
		time.Sleep(12 * time.Minute)
		b.asked(t, "on 10, on 10, on 10")
		b.p.Set(false)
		time.Sleep(5*time.Second - 1)
		b.asked(t, "on 10, on 10, on 10")
		time.Sleep(time.Nanosecond)
		b.asked(t, "on 10, on 10, on 10, off")
		time.Sleep(time.Hour)
		b.p.Set(true)
		b.p.Set(true) // no edge
		b.asked(t, "on 10, on 10, on 10, off, on 10")
		want := []time.Duration{time.Minute, 6 * time.Minute, 11 * time.Minute, 13*time.Minute + 5*time.Second, 73*time.Minute + 5*time.Second}
		for i, c := range b.agent.Calls() {
			if at := c.At.Sub(began); at != want[i] {
				t.Errorf("request %d came after %s, want %s", i, at, want[i])
			}
		}
	})
}

// A task that always has some short call must not be protected for ever. It is
// again when one of them becomes long.
func TestShortWorkIsNotProtectedForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var long atomic.Pointer[time.Time]
		b := setup(t, ProtectionOptions{Oldest: func() time.Time {
			if at := long.Load(); at != nil {
				return *at
			}
			return time.Now().Add(-time.Second)
		}})
		flicker := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
				b.p.Set(false)
				b.p.Set(true)
			}
		}
		b.p.Set(true)
		flicker(time.Hour)
		b.asked(t, "on 10")

		began := time.Now()
		long.Store(&began)
		time.Sleep(20*time.Second + lookEvery)
		b.asked(t, "on 10, on 10")
		time.Sleep(5 * time.Minute)
		b.asked(t, "on 10, on 10, on 10")
		long.Store(nil)
		flicker(9 * time.Minute)
		if b.agent.Until().Before(time.Now()) {
			t.Error("a protection was taken off that had not ended")
		}
		flicker(time.Hour)
		b.asked(t, "on 10, on 10, on 10")

		// It has ended by itself: there is nothing to take off, and the next call
		// after a rest begins anew.
		b.p.Set(false)
		time.Sleep(time.Minute)
		b.asked(t, "on 10, on 10, on 10")
		b.p.Set(true)
		b.asked(t, "on 10, on 10, on 10, on 10")
		b.p.Set(false)
		time.Sleep(time.Minute)
		b.asked(t, "on 10, on 10, on 10, on 10, off")
	})
}

// A thousand short calls in a row are one period of work.
func TestFlickerIsOnePeriod(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, ProtectionOptions{Expiry: 90 * time.Second, IdleFor: 2 * time.Second})
		for range 1000 {
			b.p.Set(true)
			synctest.Wait()
			time.Sleep(time.Millisecond)
			b.p.Set(false)
			time.Sleep(time.Millisecond)
		}
		b.asked(t, "on 1")
		// A call too short to be seen starts the wait anew all the same.
		time.Sleep(1500 * time.Millisecond)
		b.p.Set(true)
		b.p.Set(false)
		time.Sleep(1500 * time.Millisecond)
		b.asked(t, "on 1")
		time.Sleep(time.Second)
		b.asked(t, "on 1, off")
	})
}

func TestStoppingTakesTheProtectionOff(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fail func(*ecstest.Agent)
		want string
		left bool // the protection ends by itself
		took time.Duration
		warn string
	}{
		"at once":             {func(*ecstest.Agent) {}, "on 10, off", false, 0, ""},
		"after errors":        {func(a *ecstest.Agent) { a.Answer(2, 500, ecstest.Broken) }, "on 10, off, off, off", false, 300 * time.Millisecond, ""},
		"the agent is mute":   {func(a *ecstest.Agent) { a.Stall(1) }, "on 10, off", true, liftTimeout, "was not taken off: it ends by itself"},
		"the agent is broken": {func(a *ecstest.Agent) { a.Answer(100, 500, "") }, "on 10, off, off, off, off, off", true, liftTimeout, "answered with status 500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, ProtectionOptions{})
				b.p.Set(true)
				synctest.Wait()
				row.fail(b.agent)
				began := time.Now()
				b.stop()
				b.asked(t, row.want)
				if took := time.Since(began); took != row.took {
					t.Errorf("stopping took %s, want %s", took, row.took)
				}
				if left := !b.agent.Until().IsZero(); left != row.left {
					t.Errorf("protected until %s, want left = %t", b.agent.Until(), row.left)
				}
				if row.warn != "" && b.log.count(row.warn) != 1 || row.warn == "" && b.log.count("level=") != 0 {
					t.Errorf("log:\n%s", &b.log.all)
				}
			})
		})
	}
}

// What may help next time is asked again, ever more slowly, and told once.
func TestErrorsAreTriedAgain(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*ecstest.Agent){
		"server error":       func(a *ecstest.Agent) { a.Answer(5, 500, ecstest.Broken) },
		"throttled by ECS":   func(a *ecstest.Agent) { a.Answer(5, 400, ecstest.Throttled) },
		"throttled by agent": func(a *ecstest.Agent) { a.Answer(5, 429, "Too many requests") },
		"deployment":         func(a *ecstest.Agent) { a.Answer(5, 200, ecstest.Blocked) },
		"nonsense":           func(a *ecstest.Agent) { a.Answer(5, 200, "<html>") },
		"other state":        func(a *ecstest.Agent) { a.Answer(5, 200, `{"protection":{"ProtectionEnabled":false}}`) },
		"no answer":          func(a *ecstest.Agent) { a.Stall(5) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, ProtectionOptions{})
				fail(b.agent)
				b.p.Set(true)
				time.Sleep(time.Minute)
				b.asked(t, strings.TrimSuffix(strings.Repeat("on 10, ", 6), ", "))
				calls := b.agent.Calls()
				for i, bound := range []time.Duration{1, 2, 4, 8, 16} {
					took := calls[i+1].At.Sub(calls[i].At)
					if name == "no answer" {
						took -= agentTimeout
					}
					if bound *= time.Second; took < bound/2 || took > bound {
						t.Errorf("pause %d is %s, want %s to %s", i, took, bound/2, bound)
					}
				}
				if b.log.count("level=WARN") != 1 || b.log.count("can be set again") != 1 {
					t.Errorf("log:\n%s", &b.log.all)
				}
			})
		})
	}
}

// Edges do not hurry an agent that has trouble.
func TestFlickerDoesNotStormATroubledAgent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, ProtectionOptions{})
		b.agent.Answer(1000, 500, ecstest.Broken)
		for range 30 * 60 * 10 {
			b.p.Set(true)
			time.Sleep(50 * time.Millisecond)
			b.p.Set(false)
			time.Sleep(50 * time.Millisecond)
		}
		synctest.Wait()
		if n := len(b.agent.Calls()); n > 70 {
			t.Errorf("asked %d times within half an hour", n)
		}
	})
}

func TestHopelessIsSaidOnce(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		status       int
		body, advice string
	}{
		"no service": {200, ecstest.NotValid, "only tasks of a service are scaled in"},
		"denied":     {400, ecstest.Denied, "give the task role ecs:UpdateTaskProtection"},
		"no role":    {403, ecstest.Denied, "give the task role ecs:UpdateTaskProtection"},
		"old agent":  {404, "404 page not found", "update the container agent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, ProtectionOptions{})
				b.agent.Answer(1, row.status, row.body)
				for range 10 {
					b.p.Set(true)
					time.Sleep(time.Hour)
					b.p.Set(false)
					time.Sleep(time.Hour)
				}
				b.stop()
				b.asked(t, "on 10")
				if b.log.count("level=") != 1 || b.log.count(row.advice) != 1 {
					t.Errorf("log:\n%s", &b.log.all)
				}
			})
		})
	}
}

// An answer that is lost says nothing: the protection may be on, and must not
// be left behind.
func TestALostAnswerIsNoRefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, ProtectionOptions{})
		b.agent.AnswerAfter(http.StatusGatewayTimeout, "")
		b.p.Set(true)
		synctest.Wait()
		b.p.Set(false)
		time.Sleep(10 * time.Second)
		b.asked(t, "on 10, off")

		// The other way round: it may be off, and is asked for again.
		b.p.Set(true)
		synctest.Wait()
		b.p.Set(false)
		b.agent.AnswerAfter(http.StatusGatewayTimeout, "")
		time.Sleep(5 * time.Second)
		b.asked(t, "on 10, off, on 10, off")
		b.p.Set(true)
		time.Sleep(time.Second)
		b.asked(t, "on 10, off, on 10, off, on 10")
		if b.agent.Until().IsZero() {
			t.Error("the task is busy and not protected")
		}
	})
}

// A refused request has changed nothing: there is nothing to take off.
func TestNothingIsTakenOffThatWasRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, ProtectionOptions{})
		b.agent.Answer(1, 200, ecstest.Blocked)
		b.p.Set(true)
		synctest.Wait()
		b.p.Set(false)
		time.Sleep(time.Hour)
		b.stop()
		b.asked(t, "on 10")
	})
}

// Neither the work nor the end of the program waits for an agent that is mute.
func TestNobodyWaitsForTheAgent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, ProtectionOptions{})
		b.agent.Stall(1)
		began := time.Now()
		b.p.Set(true)
		synctest.Wait()
		b.p.Set(false)
		b.p.Set(true)
		b.stop()
		if took := time.Since(began); took != 0 {
			t.Errorf("took %s", took)
		}
		b.asked(t, "on 10, off")
	})
}

// The same over a real connection.
func TestProtectionOverHTTP(t *testing.T) {
	t.Parallel()
	agent := ecstest.New()
	e := FromEnv(getenv(agent.Serve(t)))
	if err := e.protect(t.Context(), true, 20*time.Minute); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(agent.Until()); left < 19*time.Minute || left > 20*time.Minute {
		t.Errorf("protected for %s, want 20m", left)
	}
	if err := e.protect(t.Context(), false, 0); err != nil {
		t.Fatal(err)
	}
	if got := agent.Sequence(); got != "on 20, off" || !agent.Until().IsZero() {
		t.Errorf("asked for %s, protected until %s", got, agent.Until())
	}
	agent.Answer(1, 400, ecstest.Denied)
	if err := e.protect(t.Context(), true, time.Minute); err == nil || adviceOn(err) == "" || !strings.Contains(err.Error(), "AccessDeniedException (status 400): not authorized") {
		t.Errorf("error = %v", err)
	}
	if p := FromEnv(getenv(map[string]string{metadataVariable: "http://agent"})).Protection(ProtectionOptions{}); p != nil {
		t.Error("a protection without an agent")
	}
}

// What an edge costs a worker that has one call at a time.
func BenchmarkSet(b *testing.B) {
	p := FromEnv(getenv(ecstest.Environment("http://agent"))).Protection(ProtectionOptions{})
	p.on, p.possible, p.renewAt, p.planned = true, true, time.Now().Add(time.Hour), time.Now()
	for b.Loop() {
		p.Set(true)
		p.Set(false)
	}
}
