// Package fleet wires a fleet member: a starter that turns requests into
// executions, a worker that makes the calls, or both, on one backend.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/app/backend"
	"callfleet/internal/auth"
	"callfleet/internal/batch"
	"callfleet/internal/claim"
	"callfleet/internal/ecs"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress"
	"callfleet/internal/lifecycle"
	"callfleet/internal/limit"
	"callfleet/internal/relay"
	"callfleet/internal/starter"
	"callfleet/internal/template"
	"callfleet/internal/worker"
)

// Options are the settings of a fleet member; zero values are the defaults of
// the packages that use them.
type Options struct {
	Start, Call    bool // roles
	Slots          int
	HTTPTimeout    time.Duration
	HeartbeatEvery time.Duration
	Drain          time.Duration
	StartRate      *float64 // starts per second, 0 is no limit; nil is what the Step Functions API allows an account
	MaxBacklog     int
	Waiting        int                   // calls that wait for their turn beside the slots
	ClaimAbove     int                   // bytes of an answer's body that travel
	BlobLimit      int                   // bytes of the largest body that is kept
	Egress         *egress.Policy        // where calls may go; nil is public addresses alone
	Task           *ecs.Environment      // protected from scale-in while it makes calls; nil outside ECS
	Protection     ecs.ProtectionOptions // of Task; what work is long is Drain, unless said
	Auth           *auth.Authority       // gives calls their secrets, and is closed with the member; nil fails calls that need any
	Logger         *slog.Logger
	Tracers        trace.TracerProvider // nil is OpenTelemetry's global one
}

// Member is a fleet member.
type Member struct {
	options  Options
	open     func(context.Context) (*backend.Backend, error)
	backend  *backend.Backend
	renderer *template.Renderer
	caller   *httpcall.Client
	claims   *claim.Checker // bound to the backend's store
	leaving  chan struct{}  // closed when the member is told to stop

	limiter     *limit.Limiter      // set when the service of its name starts
	flowMetrics metric.Registration // likewise

	protection *ecs.Protection               // nil without one
	worker     atomic.Pointer[worker.Worker] // nil until it has started
}

// New checks the options and opens nothing; open is called when the member
// starts.
func New(open func(context.Context) (*backend.Backend, error), o Options) (*Member, error) {
	if !o.Start && !o.Call {
		return nil, errors.New("make fleet member: a role is needed")
	}
	claims := claim.New(claim.Options{MaxBlob: int64(o.BlobLimit)})
	caller, err := httpcall.New(httpcall.Options{
		Slots: o.Slots, Timeout: o.HTTPTimeout, MaxBody: o.ClaimAbove, Claims: claims, MaxClaim: int64(o.BlobLimit),
		Egress: o.Egress, Auth: o.Auth, TracerProvider: o.Tracers,
	})
	if err != nil {
		return nil, err
	}
	m := &Member{
		options: o, open: open, caller: caller, claims: claims,
		renderer: template.NewRenderer(template.Options{References: claims}), leaving: make(chan struct{}),
	}
	protection := o.Protection
	protection.Oldest, protection.Long, protection.Logger = m.oldest, cmp.Or(protection.Long, o.Drain), o.Logger
	m.protection = o.Task.Protection(protection)
	return m, nil
}

// oldest is when the call began that has been under way longest; the zero time
// is none.
func (m *Member) oldest() time.Time {
	if w := m.worker.Load(); w != nil {
		return w.Oldest()
	}
	return time.Time{}
}

// Renderer and Caller are the member's call path, for those who call without a
// queue.
func (m *Member) Renderer() *template.Renderer { return m.renderer }

// Caller makes the member's HTTP requests.
func (m *Member) Caller() *httpcall.Client { return m.caller }

// Services are the member's services, in the order in which they start. The
// worker comes before the starter: nothing is handed off before somebody can
// take it.
func (m *Member) Services() []lifecycle.Service {
	services := []lifecycle.Service{{
		Name: "backend",
		Start: func(ctx context.Context) (err error) {
			if m.backend, err = m.open(ctx); err == nil {
				m.claims.Bind(m.backend.Blobs)
			}
			return err
		},
		Stop: func(context.Context) error {
			m.caller.Close()
			if o := m.options; o.Auth != nil {
				o.Auth.Close()
			}
			m.backend.Close()
			return nil
		},
	}}
	if m.options.Call && m.protection != nil { // before the worker, to outlast its drain
		services = append(services, lifecycle.Service{Name: "protection", Run: m.protection.Run})
	}
	if m.options.Call {
		services = append(services, m.limits(), m.service("worker", m.newWorker))
	}
	if m.options.Start {
		services = append(services, m.service("backlog", m.newBacklog), m.service("relay", m.newRelay), m.service("starter", m.newStarter))
	}
	return append(services, m.intake())
}

// intake is the last service to start and the first to be told to stop. It
// tells the others: all of them stop taking in at once and drain side by side,
// because what one of them takes of the drain time would be missing to the next.
func (m *Member) intake() lifecycle.Service {
	return lifecycle.Service{Name: "intake", Run: func(ctx context.Context) error {
		<-ctx.Done()
		close(m.leaving)
		return nil
	}}
}

// untilLeaving runs r until ctx ends or the member is told to stop.
func (m *Member) untilLeaving(ctx context.Context, r runner) error {
	running, cancel := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		defer cancel()
		select {
		case <-m.leaving:
		case <-running.Done():
		}
	})
	defer watcher.Wait()
	defer cancel()
	if err := r.Run(running); err != nil && (running.Err() == nil || !errors.Is(err, context.Canceled)) {
		return err
	}
	return nil
}

// runner is a service's loop, ready to run.
type runner interface {
	Run(ctx context.Context) error
}

func (m *Member) service(name string, make func(context.Context) (runner, func() error, error)) lifecycle.Service {
	var (
		r     runner
		close func() error
	)
	return lifecycle.Service{
		Name:  name,
		Start: func(ctx context.Context) (err error) { r, close, err = make(ctx); return err },
		Run:   func(ctx context.Context) error { return m.untilLeaving(ctx, r) },
		Stop:  func(context.Context) error { return close() },
	}
}

func (m *Member) newWorker(ctx context.Context) (runner, func() error, error) {
	tasks, err := m.backend.Consumer(ctx, backend.Tasks)
	if err != nil {
		return nil, nil, err
	}
	results, err := m.backend.PublishResults(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, tasks.Close())
	}
	later, waiting, err := m.backend.Waiting(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, tasks.Close())
	}
	deps := worker.Deps{Tasks: tasks, Results: results, Renderer: m.renderer, Caller: m.caller, Limits: m.limiter, Later: later}
	closeAll := tasks.Close
	if waiting != nil {
		deps.Waiting, closeAll = waiting, func() error { return errors.Join(tasks.Close(), waiting.Close()) }
	}
	if m.backend.Executions != nil {
		deps.Reporter = m.backend.Executions
	}
	if m.backend.Blobs != nil {
		deps.Batches = batch.New(m.backend.Blobs)
	}
	options := worker.Options{
		Slots: m.options.Slots, DrainTimeout: m.options.Drain, HeartbeatEvery: m.options.HeartbeatEvery, Logger: m.options.Logger,
		TracerProvider: m.options.Tracers, System: m.backend.System,
	}
	if m.protection != nil {
		options.Busy = m.protection.Set
	}
	w, err := worker.New(deps, options)
	if err != nil {
		return nil, nil, errors.Join(err, closeAll())
	}
	m.worker.Store(w)
	return w, closeAll, nil
}

// newRelay brings outcomes from the queue that EventBridge fills to the feed,
// where there is such a queue.
func (m *Member) newRelay(ctx context.Context) (runner, func() error, error) {
	events, err := m.backend.Events(ctx)
	if err != nil {
		return nil, nil, err
	}
	if events == nil {
		return idle{}, func() error { return nil }, nil
	}
	feed, err := m.backend.PublishResults(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, events.Close())
	}
	r, err := relay.New(events, feed, relay.Options{Logger: m.options.Logger})
	if err != nil {
		return nil, nil, errors.Join(err, events.Close())
	}
	return r, events.Close, nil
}

// idle runs until it is stopped.
type idle struct{}

func (idle) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (m *Member) newStarter(ctx context.Context) (runner, func() error, error) {
	if m.backend.Executions == nil {
		return nil, nil, errors.New("role start needs Step Functions: set CALLFLEET_STEPFUNCTIONS")
	}
	requests, err := m.backend.Consumer(ctx, backend.Requests)
	if err != nil {
		return nil, nil, err
	}
	tasks, err := m.backend.Consumer(ctx, backend.Tasks) // for its depth alone
	if err != nil {
		return nil, nil, errors.Join(err, requests.Close())
	}
	closeBoth := func() error { return errors.Join(requests.Close(), tasks.Close()) }
	results, err := m.backend.PublishResults(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, closeBoth())
	}
	rate := m.backend.StartRate
	if m.options.StartRate != nil {
		rate = *m.options.StartRate
	}
	s, err := starter.New(requests, m.backend.Executions, starter.Options{
		Rate: rate, System: m.backend.System, Batches: m.backend.Batches, Tasks: tasks, MaxBacklog: m.options.MaxBacklog, Results: results, Logger: m.options.Logger,
		TracerProvider: m.options.Tracers,
	})
	if err != nil {
		return nil, nil, errors.Join(err, closeBoth())
	}
	return s, closeBoth, nil
}
