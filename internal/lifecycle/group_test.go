package lifecycle

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/evidence"
)

// journal notes what services do, in order.
type journal struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) check(t *testing.T, want ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.lines, want) {
		t.Errorf("services did\n  %s\nwant\n  %s", strings.Join(j.lines, "\n  "), strings.Join(want, "\n  "))
	}
}

// service runs until it is stopped, and notes every step.
func (j *journal) service(name string) Service {
	return Service{
		Name:  name,
		Start: func(context.Context) error { j.note(name + " start"); return nil },
		Run: func(ctx context.Context) error {
			j.note(name + " run")
			<-ctx.Done()
			j.note(name + " returns")
			return nil
		},
		Stop: func(context.Context) error { j.note(name + " stop"); return nil },
	}
}

// bundle is a group under test, and what a test does to it.
type bundle struct {
	*Group
	journal
	signals chan os.Signal
	result  chan error
}

func setup(t *testing.T, o Options) *bundle {
	b := &bundle{signals: make(chan os.Signal, 2), result: make(chan error, 1)}
	o.Signals = b.signals
	o.Logger = evidence.Logger(t)
	b.Group = NewGroup(o)
	return b
}

// start runs the group and returns when nothing moves any more; it needs a
// synctest bubble.
func (b *bundle) start(ctx context.Context) {
	go func() { b.result <- b.Run(ctx) }()
	synctest.Wait()
}

func TestServicesStartInOrderAndStopInReverse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Options{})
		b.Add(b.service("a"), b.service("b"))
		ctx, cancel := context.WithCancel(t.Context())
		b.start(ctx)
		if got := b.Readiness(ctx); !got.Ready {
			t.Errorf("readiness = %+v, want ready", got)
		}
		cancel()
		if err := <-b.result; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if got := b.journal.lines; !slices.Equal(got[len(got)-4:], []string{"b returns", "b stop", "a returns", "a stop"}) {
			t.Errorf("stopped as %v", got)
		}
		if got := slices.Index(b.journal.lines, "a start"); got != 0 {
			t.Errorf("a did not start first: %v", b.journal.lines)
		}
	})
}

func TestNextServiceWaitsUntilFormerIsReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Options{})
		begin := time.Now()
		slow := b.service("slow")
		slow.Ready = func(context.Context) error {
			if time.Since(begin) < 3*time.Second {
				return errors.New("still loading")
			}
			return nil
		}
		var after time.Duration
		b.Add(slow, Service{Name: "next", Start: func(context.Context) error { after = time.Since(begin); return nil }})
		ctx, cancel := context.WithCancel(t.Context())
		b.start(ctx)
		got := b.Readiness(ctx)
		if got.Ready || got.Phase != Starting || got.Checks[0].State != StateStarting || got.Checks[1].State != StateWaiting {
			t.Errorf("readiness while starting = %+v", got)
		}
		time.Sleep(4 * time.Second) // the bubble's clock
		synctest.Wait()
		if after < 3*time.Second || after > 3200*time.Millisecond {
			t.Errorf("next service started after %s, want just after 3s", after)
		}
		cancel()
		if err := <-b.result; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestServiceThatIsNeverReadyFailsTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Options{StartTimeout: 5 * time.Second})
		stuck := b.service("stuck")
		stuck.Ready = func(context.Context) error { return errors.New("no broker") }
		b.Add(b.service("a"), stuck, b.service("never"))
		b.start(t.Context())
		err := <-b.result
		if err == nil || err.Error() != "service stuck: not ready after 5s: no broker" {
			t.Errorf("Run = %v", err)
		}
		if slices.Contains(b.journal.lines, "never start") || !slices.Contains(b.journal.lines, "a stop") {
			t.Errorf("services did %v, want a stopped and never not started", b.journal.lines)
		}
	})
}

func TestFirstErrorWinsWithItsService(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Options{})
		errBroken, errLater := errors.New("broken pipe"), errors.New("later")
		later := b.service("later")
		later.Stop = func(context.Context) error { return errLater }
		b.Add(later, Service{Name: "bad", Run: func(context.Context) error {
			time.Sleep(time.Second) // the bubble's clock
			return errBroken
		}}, b.service("c"))
		b.start(t.Context())
		err := <-b.result
		if !errors.Is(err, errBroken) || errors.Is(err, errLater) || err.Error() != "service bad: broken pipe" {
			t.Errorf("Run = %v, want service bad: broken pipe", err)
		}
	})
}

func TestFailedStartStopsOnlyWhatWasStarted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Options{})
		bad := b.service("bad")
		bad.Start = func(context.Context) error { return errors.New("port taken") }
		b.Add(b.service("a"), bad, b.service("c"))
		b.start(t.Context())
		if err := <-b.result; err == nil || err.Error() != "service bad: start: port taken" {
			t.Errorf("Run = %v", err)
		}
		b.check(t, "a start", "a run", "a returns", "a stop")
	})
}

func TestFinishedServiceEndsTheGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Options{})
		b.Add(b.service("a"), Service{Name: "job", Run: func(context.Context) error { return nil }})
		b.start(t.Context())
		if err := <-b.result; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		b.check(t, "a start", "a run", "a returns", "a stop")
	})
}

func TestSignalDrainsAndIsTheCause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Options{})
		var cause error
		b.Add(Service{Name: "a", Run: func(ctx context.Context) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			if DrainContext(ctx).Err() != nil {
				t.Error("drain context has ended with Run's")
			}
			return ctx.Err()
		}})
		b.start(t.Context())
		b.signals <- syscall.SIGTERM
		if err := <-b.result; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		var s *SignalError
		if !errors.As(cause, &s) || s.Signal != syscall.SIGTERM {
			t.Errorf("cause = %v, want SIGTERM", cause)
		}
	})
}

func TestDrainDeadlineNamesWhoStillRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Options{Drain: 10 * time.Second})
		release := make(chan struct{})
		var drained error
		b.Add(b.service("a"),
			Service{Name: "deaf", Run: func(context.Context) error { <-release; return nil }},
			Service{Name: "slow", Run: func(ctx context.Context) error {
				<-DrainContext(ctx).Done()
				drained = context.Cause(DrainContext(ctx))
				return nil
			}})
		ctx, cancel := context.WithCancel(t.Context())
		b.start(ctx)
		begin := time.Now()
		cancel()
		synctest.Wait()
		if got := b.Readiness(t.Context()); got.Ready || got.Phase != Draining {
			t.Errorf("readiness while draining = %+v", got)
		}
		err := <-b.result
		if !errors.Is(err, ErrDrainTimeout) || !strings.HasSuffix(err.Error(), "after 10s: still running: deaf") {
			t.Errorf("Run = %v, want a drain timeout that names deaf", err)
		}
		if took := time.Since(begin); took != 10*time.Second+grace {
			t.Errorf("Run returned after %s, want %s", took, 10*time.Second+grace)
		}
		if !errors.Is(drained, ErrDrainTimeout) {
			t.Errorf("cause of the drain context = %v, want ErrDrainTimeout", drained)
		}
		close(release)
	})
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Options{})
		var drained error
		b.Add(Service{Name: "slow", Run: func(ctx context.Context) error {
			<-DrainContext(ctx).Done()
			drained = context.Cause(DrainContext(ctx))
			return nil
		}})
		b.start(t.Context())
		begin := time.Now()
		b.signals <- os.Interrupt
		synctest.Wait()
		b.signals <- os.Interrupt
		if err := <-b.result; !errors.Is(err, ErrForced) {
			t.Errorf("Run = %v, want ErrForced", err)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("Run returned after %s, want at once", took)
		}
		synctest.Wait()
		if !errors.Is(drained, ErrForced) {
			t.Errorf("cause of the drain context = %v, want ErrForced", drained)
		}
	})
}

func TestSignalWhileStartingStopsTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Options{})
		waiting := b.service("waiting")
		waiting.Start = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		b.Add(b.service("a"), waiting, b.service("c"))
		b.start(t.Context())
		b.signals <- os.Interrupt
		if err := <-b.result; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		b.check(t, "a start", "a run", "a returns", "a stop")
	})
}

// What does not heed its context is left behind, and named.
func TestStuckServicesAreLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		stuck := func(context.Context) error { <-release; return nil }
		for name, row := range map[string]struct {
			service Service
			signals int
			want    string
		}{
			"start, second signal": {Service{Name: "x", Start: stuck}, 2, ErrForced.Error()},
			"stop, second signal":  {Service{Name: "x", Stop: stuck}, 2, ErrForced.Error()},
			"run, second signal":   {Service{Name: "x", Run: stuck}, 2, ErrForced.Error()},
			"start, deadline":      {Service{Name: "x", Start: stuck}, 1, "drain deadline passed after 25s: still running: x"},
			"stop, deadline":       {Service{Name: "x", Stop: stuck}, 1, "drain deadline passed after 25s: still running: x"},
			"run, deadline":        {Service{Name: "x", Run: stuck}, 1, "drain deadline passed after 25s: still running: x"},
		} {
			b := setup(t, Options{})
			b.Add(b.service("a"), row.service)
			b.start(t.Context())
			for range row.signals {
				b.signals <- os.Interrupt
				synctest.Wait()
			}
			if err := <-b.result; err == nil || err.Error() != row.want {
				t.Errorf("%s: Run = %v, want %s", name, err, row.want)
			}
			stopped := slices.Contains(b.lines, "a stop")
			if wantStop := row.signals == 1; stopped != wantStop {
				t.Errorf("%s: a stopped %v, want %v", name, stopped, wantStop)
			}
		}
		close(release)
	})
}

func TestErrorWhileDrainingIsReturned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Options{})
		b.Add(Service{Name: "a", Run: func(ctx context.Context) error {
			<-ctx.Done()
			return errors.New("flush: disk full")
		}})
		ctx, cancel := context.WithCancel(t.Context())
		b.start(ctx)
		cancel()
		if err := <-b.result; err == nil || err.Error() != "service a: flush: disk full" {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestRunRefusesBadGroups(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		service Service
		want    string
	}{
		"no name": {Service{Run: func(context.Context) error { return nil }}, "run services: service without a name"},
		"empty":   {Service{Name: "x"}, "run services: service x has nothing to start, run or stop"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewGroup(Options{})
			g.Add(row.service)
			if err := g.Run(t.Context()); err == nil || err.Error() != row.want {
				t.Errorf("Run = %v, want %s", err, row.want)
			}
		})
	}
}

func TestRunIsCalledOnce(t *testing.T) {
	t.Parallel()
	g := NewGroup(Options{})
	g.Add(Service{Name: "job", Run: func(context.Context) error { return nil }})
	if err := g.Run(t.Context()); err != nil {
		t.Fatalf("first Run = %v", err)
	}
	if err := g.Run(t.Context()); err == nil {
		t.Error("second Run = nil, want an error")
	}
}

func TestDrainContextOutsideGroupNeverEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := DrainContext(ctx).Err(); err != nil {
		t.Errorf("drain context has ended: %v", err)
	}
}

func TestNotifyPassesSignalsOn(t *testing.T) {
	t.Parallel()
	signals, stop := Notify()
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case s := <-signals:
		if s != syscall.SIGTERM {
			t.Errorf("signal = %v, want SIGTERM", s)
		}
	case <-time.After(10 * time.Second):
		t.Error("no signal arrived")
	}
}
