// Package lifecycle starts the services of a program in order, tells whether
// they are ready, and stops them in reverse order within a deadline.
//
//	start:  A ── ready ──► B ── ready ──► C ── ready ──► the group is ready
//	stop:   C, then B, then A: Run's context ends, Run returns, Stop is called
//
// A group stops when its context ends, on a signal, or when a service returns.
// From then on it has the drain time; after that, or on a second signal, it
// returns without those that still run.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options set up a Group; the zero value is good.
type Options struct {
	Drain        time.Duration    // time for all services to stop; 0 is 25 s
	StartTimeout time.Duration    // time for one service to be ready; 0 is 60 s
	Signals      <-chan os.Signal // the first one stops, the second one forces; nil is none
	Logger       *slog.Logger     // nil is slog.Default()
}

// How long services have to return once the drain time is over: what is left
// to them is to notice.
const grace = time.Second

// Group is an ordered set of services. Its methods are safe for concurrent
// use, except that Add comes before Run.
type Group struct {
	options Options

	mu      sync.Mutex
	members []*member // guarded by mu until Run, then fixed
	phase   Phase     // guarded by mu
	running bool      // guarded by mu
}

// member is a service and how far it is.
type member struct {
	Service
	state   State              // guarded by Group.mu
	cancel  context.CancelFunc // ends Run's context; set by the goroutine of Group.Run
	started bool               // Start has succeeded; owned by the goroutine of Group.Run
	exited  chan struct{}      // closed when Run (or what leave took) has returned; nil before it was called
	failure *serviceError      // why Run failed, or nil; read after exited
}

// NewGroup returns a group without services.
func NewGroup(o Options) *Group {
	if o.Drain <= 0 {
		o.Drain = 25 * time.Second
	}
	if o.StartTimeout <= 0 {
		o.StartTimeout = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Group{options: o, phase: Starting}
}

// Add appends services: each starts after those before it and stops before
// them.
func (g *Group) Add(services ...Service) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range services {
		g.members = append(g.members, &member{Service: s, state: StateWaiting})
	}
}

// Run starts the services and returns when all have stopped. It returns nil
// when the group was asked to stop, by ctx or a signal, or a service finished
// the work; else the first error, with the name of its service. Run is called
// once.
func (g *Group) Run(ctx context.Context) error {
	if err := g.claim(); err != nil {
		return err
	}
	stopping, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	drain, endDrain := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endDrain(nil)
	r := &run{Group: g, stopping: stopping, stop: stop, drain: drain, endDrain: endDrain}
	watching := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() { r.watch(watching) })
	defer watcher.Wait()
	defer close(watching)

	if r.startAll() {
		g.setPhase(Ready)
		<-stopping.Done()
	}
	g.setPhase(Draining)
	err := r.stopAll()
	g.setPhase(Stopped)
	return err
}

func (g *Group) claim() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running {
		return errors.New("run services: group has been run before")
	}
	for _, m := range g.members {
		if err := m.validate(); err != nil {
			return fmt.Errorf("run services: %w", err)
		}
	}
	g.running = true
	return nil
}

// run is the state of one Run.
type run struct {
	*Group
	stopping context.Context // ends, with the cause, when the group must stop
	stop     context.CancelCauseFunc
	drain    context.Context // ends when no more waiting is allowed
	endDrain context.CancelCauseFunc
}

// serviceError is the failure of one service.
type serviceError struct {
	name string
	err  error
}

func (e *serviceError) Error() string { return "service " + e.name + ": " + e.err.Error() }
func (e *serviceError) Unwrap() error { return e.err }

// watch turns signals and the deadline into the ends of the two contexts. It
// lasts as long as Run does, so that even a Start that is stuck can be left.
func (r *run) watch(done <-chan struct{}) {
	stopping := r.stopping.Done()
	deadline := make(<-chan time.Time)
	for signals := 0; ; {
		select {
		case s := <-r.options.Signals:
			if signals++; signals > 1 {
				r.endDrain(ErrForced)
				continue
			}
			r.options.Logger.Info("stopping, a second signal stops at once",
				slog.String("signal", s.String()), slog.Duration("drain", r.options.Drain))
			r.stop(&SignalError{Signal: s})
		case <-stopping:
			stopping = nil
			timer := time.NewTimer(r.options.Drain)
			defer timer.Stop()
			deadline = timer.C
		case <-deadline:
			r.endDrain(ErrDrainTimeout)
		case <-done:
			return
		}
	}
}

// call is a function of a service that runs in its own goroutine, because it
// may not heed its context.
type call struct {
	done chan struct{}
	err  error // read after done
}

func begin(ctx context.Context, f func(context.Context) error) *call {
	c := &call{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = f(ctx)
	}()
	return c
}

// leave makes abandon wait for the call, as it does for Run, and name its
// service if it does not return.
func (m *member) leave(c *call) { m.exited, m.cancel, m.started = c.done, func() {}, false }

// startAll reports whether every service is ready; if not, the cause of
// stopping says why.
func (r *run) startAll() bool {
	for _, m := range r.members {
		if r.stopping.Err() != nil {
			return false
		}
		r.setState(m, StateStarting)
		if err := r.startOne(m); err != nil {
			r.stop(&serviceError{m.Name, err})
			return false
		}
		if r.stopping.Err() == nil {
			r.setState(m, StateReady)
		}
	}
	return r.stopping.Err() == nil
}

func (r *run) startOne(m *member) error {
	ctx, cancel := context.WithTimeoutCause(r.stopping, r.options.StartTimeout,
		fmt.Errorf("not ready after %s", r.options.StartTimeout))
	defer cancel()
	if m.Start != nil {
		start := begin(ctx, m.Start)
		select {
		case <-start.done:
		case <-r.drain.Done():
			m.leave(start)
			return context.Cause(r.drain)
		}
		if start.err != nil {
			return fmt.Errorf("start: %w", start.err)
		}
	}
	m.started = true
	if m.Run != nil {
		r.runOne(m)
	}
	if m.Ready == nil {
		return nil
	}
	err := waitReady(ctx, m.Ready)
	if r.stopping.Err() != nil {
		return nil // the cause is the reason, not this
	}
	return err
}

// runOne calls Run in a goroutine that stopOne waits for.
func (r *run) runOne(m *member) {
	base := context.WithValue(context.WithoutCancel(r.stopping), drainKey{}, r.drain)
	ctx, cancel := context.WithCancelCause(base)
	m.cancel = func() { cancel(context.Cause(r.stopping)) }
	m.exited = make(chan struct{})
	go func() {
		defer close(m.exited)
		err := m.Run(ctx)
		switch {
		case err == nil:
			r.stop(errFinished)
		case ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))):
			// That is how it says that it was stopped.
		default:
			m.failure = &serviceError{m.Name, err}
			r.stop(m.failure)
		}
	}()
}

// waitReady asks until the answer is nil. It returns the last answer when ctx
// ends.
func waitReady(ctx context.Context, ready func(context.Context) error) error {
	const first, longest = 2 * time.Millisecond, 100 * time.Millisecond
	for pause := first; ; pause = min(2*pause, longest) {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// stopAll stops what was started, in reverse order, and returns the first
// error there was.
func (r *run) stopAll() error {
	var first error
	if cause := (*serviceError)(nil); errors.As(context.Cause(r.stopping), &cause) {
		first = cause
	}
	keep := func(err error) {
		switch {
		case first == nil:
			first = err
		case err != first:
			r.options.Logger.Warn("stop was not clean", slog.Any("error", err))
		}
	}
	for i := len(r.members) - 1; i >= 0; i-- {
		m := r.members[i]
		if r.drain.Err() != nil || !r.stopOne(m, keep) {
			keep(r.abandon(r.members[:i+1]))
			break
		}
	}
	return first
}

// stopOne reports whether the service has stopped before the drain ended.
func (r *run) stopOne(m *member, keep func(error)) bool {
	if m.exited != nil {
		r.setState(m, StateStopping)
		m.cancel()
		select {
		case <-m.exited:
		case <-r.drain.Done():
			return false
		}
		if m.failure != nil {
			keep(m.failure)
		}
	}
	if m.started && m.Stop != nil {
		stop := begin(r.drain, m.Stop)
		select {
		case <-stop.done:
		case <-r.drain.Done():
			m.leave(stop)
			return false
		}
		if stop.err != nil {
			keep(&serviceError{m.Name, fmt.Errorf("stop: %w", stop.err)})
		}
	}
	r.setState(m, StateStopped)
	return true
}

// abandon ends the contexts of all that is left and says which services did
// not stop. After a second signal it waits for nothing.
func (r *run) abandon(left []*member) error {
	for _, m := range left {
		if m.exited != nil {
			m.cancel()
		}
	}
	if cause := context.Cause(r.drain); errors.Is(cause, ErrForced) {
		return cause
	}
	late := r.waitGrace(left)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.drain), grace)
	defer cancel()
	for i := len(left) - 1; i >= 0; i-- {
		m := left[i]
		if !m.started || m.Stop == nil || slices.Contains(late, m.Name) {
			continue
		}
		stop := begin(ctx, m.Stop)
		select {
		case <-stop.done:
		case <-ctx.Done():
			late = append(late, m.Name)
			continue
		}
		if stop.err != nil {
			r.options.Logger.Warn("service did not stop cleanly", slog.String("service", m.Name), slog.Any("error", stop.err))
		}
	}
	if len(late) == 0 {
		return fmt.Errorf("%w after %s: the rest was cut short", ErrDrainTimeout, r.options.Drain)
	}
	return fmt.Errorf("%w after %s: still running: %s", ErrDrainTimeout, r.options.Drain, strings.Join(late, ", "))
}

// waitGrace returns the names of those that have not returned in time.
func (r *run) waitGrace(left []*member) (late []string) {
	over := time.NewTimer(grace)
	defer over.Stop()
	expired := false
	for i := len(left) - 1; i >= 0; i-- {
		m := left[i]
		if m.exited != nil && !expired {
			select {
			case <-m.exited:
			case <-over.C:
				expired = true
			}
		}
		if m.exited != nil && !isClosed(m.exited) {
			late = append(late, m.Name)
			continue
		}
		r.setState(m, StateStopped)
	}
	return late
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
