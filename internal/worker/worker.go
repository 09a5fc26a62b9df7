// Package worker is the fleet member that makes the calls: it takes tasks off
// the queue, renders them, calls the API, reports what came of it and settles
// the message, in that order, so that a crash anywhere loses nothing.
package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/call"
	"callfleet/internal/limit"
	"callfleet/internal/outage"
	"callfleet/internal/pool"
	"callfleet/internal/queue"
	"callfleet/internal/worker/slot"
)

// Renderer makes an HTTP request of a template and its params. The error is a
// *call.Failure. Safe for concurrent use.
type Renderer interface {
	Render(ctx context.Context, item, params json.RawMessage) (call.Rendered, error)
}

// Caller makes one HTTP request come to an answer within the deadline of ctx.
// Each attempt begins when turns lets it. The error is a *call.Failure, the
// cause of ctx when it was cancelled, or an error of turns. Safe for concurrent
// use.
type Caller interface {
	DoInTurn(ctx context.Context, r call.Rendered, idempotencyKey string, turns call.Turns) (call.Result, error)
}

// Reporter settles task tokens. call.ErrTaskGone says that nobody waits for
// the token any more; any other error is worth another try. Safe for
// concurrent use.
type Reporter interface {
	Succeed(ctx context.Context, token call.TaskToken, output []byte) error
	Fail(ctx context.Context, token call.TaskToken, f *call.Failure) error
	Heartbeat(ctx context.Context, token call.TaskToken) error
}

// Deps are what a worker works with.
type Deps struct {
	Tasks    queue.Consumer
	Results  queue.Publisher // takes the outcomes of tasks without a token; nil: such tasks are rejected
	Renderer Renderer
	Caller   Caller
	Reporter Reporter // nil: tasks with a token are rejected
	// Limits gives calls their turn. It must run as long as the worker. Nil is no
	// limits.
	Limits *limit.Limiter
	// Later takes tasks for which there is no room to wait here; nil leaves them
	// to the queue, where each receipt counts.
	Later queue.Publisher
	// Waiting is the queue of Later where that is one of its own, for tasks that
	// wait for their turn: many that are leased from Tasks would slow all others
	// down. Nil is that they don't, and Later is Tasks.
	Waiting queue.Consumer
	Batches Batches // nil: batches fail
}

// Options are the settings of a Worker. The zero value of a field is the
// default named with it.
type Options struct {
	// Slots is the number of calls at once. Default 64.
	Slots int
	// DrainTimeout is how long running calls may go on after Run was told to
	// stop. Default 20 s.
	DrainTimeout time.Duration
	// HeartbeatEvery is the longest time between heartbeats of a task that lasts
	// longer: a worker with few tasks sends them up to four times as often.
	// Default 20 s.
	HeartbeatEvery time.Duration
	// Budget bounds a task that names no timeout, from the moment it was sent.
	// Default 15 min.
	Budget time.Duration
	// MaxOutput is the largest output of a task, in bytes. Default 250 KiB,
	// what Step Functions takes with room for the state around it.
	MaxOutput int
	// Busy is told when the first task is taken and when the last one is settled,
	// in this order. It must not block. Default nobody is told.
	Busy func(busy bool)
	// System is the messaging.system of the spans. Default "nats".
	System string
	// Logger defaults to slog.Default.
	Logger *slog.Logger
	// TracerProvider and MeterProvider default to the global ones.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

func (o Options) withDefaults() Options {
	o.Slots = cmp.Or(o.Slots, 64)
	o.DrainTimeout = cmp.Or(o.DrainTimeout, 20*time.Second)
	o.HeartbeatEvery = cmp.Or(o.HeartbeatEvery, 20*time.Second)
	o.Budget = cmp.Or(o.Budget, 15*time.Minute)
	o.MaxOutput = cmp.Or(o.MaxOutput, 250<<10)
	o.System = cmp.Or(o.System, "nats")
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	return o
}

// scope names the instrumentation.
const scope = "callfleet/internal/worker"

// maxReports bounds the reports under way: when a slow API answers thousands
// of calls at once, they must not all open a connection and grow a stack to
// report.
const maxReports = 128

// keptHands is the number of goroutines kept for the next calls.
const keptHands = 256

// Causes of a cancelled call, besides queue.ErrLeaseLost and call.ErrTaskGone.
var (
	errDrained = errors.New("the worker is shutting down")
	errLeaving = errors.New("the worker takes nothing in any more") // of one that waits for its turn
	errAside   = errors.New("enough tasks wait here")               // of one that is about to
)

// Worker takes and makes calls.
type Worker struct {
	deps   Deps
	opts   Options
	log    *slog.Logger
	tracer trace.Tracer
	stats  *stats

	slots   *slot.Set
	jobs    *registry
	reports chan struct{}  // holds one token per report under way
	leaving chan struct{}  // closed when nothing is taken in any more
	running sync.WaitGroup // deliveries
	hands   *pool.Pool
	outage  *outage.Log // of reports and probes
}

// New returns a worker that takes nothing before Run.
func New(d Deps, o Options) (*Worker, error) {
	if d.Tasks == nil || d.Renderer == nil || d.Caller == nil || (d.Reporter == nil && d.Results == nil) {
		return nil, errors.New("make worker: Tasks, Renderer, Caller and one of Reporter and Results are needed")
	}
	if o.Slots < 0 || o.DrainTimeout < 0 || o.HeartbeatEvery < 0 || o.Budget < 0 || o.MaxOutput < 0 {
		return nil, errors.New("make worker: options must not be negative")
	}
	if d.Tasks.Lease() <= 0 {
		return nil, errors.New("make worker: the tasks queue has no lease")
	}
	if d.Waiting != nil && (d.Later == nil || d.Waiting.Lease() != d.Tasks.Lease()) {
		return nil, errors.New("make worker: Waiting needs Later, which publishes on it, and the lease of Tasks")
	}
	o = o.withDefaults()
	w := &Worker{
		deps: d, opts: o, log: o.Logger,
		tracer: o.TracerProvider.Tracer(scope),
		slots:  slot.New(o.Slots, o.Busy),
		jobs:   &registry{}, reports: make(chan struct{}, maxReports), leaving: make(chan struct{}),
		hands: pool.New(pool.Options{Keep: keptHands}),
		outage: outage.New(outage.Options{
			Failing: "outcomes cannot be reported: keeping them, and trying again until the time of their tasks is up",
			Working: "outcomes are reported again", Quiet: lastPause + 2*tryTimeout, Logger: o.Logger,
		}),
	}
	var err error
	if w.stats, err = newStats(o.MeterProvider, w.slots); err != nil {
		return nil, fmt.Errorf("make worker: %w", err)
	}
	return w, nil
}

// Run takes tasks until ctx ends, then lets running calls go on for
// DrainTimeout, hands the rest back, and returns nil. It returns an error when
// the queue is closed under it. Run may be called once.
func (w *Worker) Run(ctx context.Context) error {
	// Two contexts: ctx ends the intake, work ends the calls.
	work, cancelWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancelWork(nil)
	sweeping, endSweeps := context.WithCancel(context.WithoutCancel(ctx))
	var sweepers sync.WaitGroup
	for _, s := range []sweeper{w.leases(), w.heartbeats()} {
		sweepers.Go(func() { s.run(sweeping) })
	}
	err := w.takeAll(ctx, work)
	close(w.leaving)
	w.jobs.leave() // what waits can wait elsewhere
	w.drain(cancelWork)
	w.hands.Close()
	endSweeps()
	sweepers.Wait()
	return errors.Join(err, w.stats.close())
}

// drain waits for the running calls and cancels those that take too long.
func (w *Worker) drain(cancelWork context.CancelCauseFunc) {
	done := make(chan struct{})
	go func() {
		w.running.Wait()
		close(done)
	}()
	limit := time.NewTimer(w.opts.DrainTimeout)
	defer limit.Stop()
	select {
	case <-done:
		return
	case <-limit.C:
	}
	cancelWork(errDrained)
	<-done
}

// Oldest is when the task was received that has been under way longest; the zero
// time is that there is none.
func (w *Worker) Oldest() time.Time { return w.jobs.oldest() }

// Stats returns what the worker has done so far.
func (w *Worker) Stats() Stats { return w.stats.snapshot() }
