package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/engine/span"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/handoff"
	"callfleet/internal/localsfn/store"
	"callfleet/internal/pool"
	"callfleet/internal/queue"
)

// Caller calls the service of one task; *handoff.Handoff does.
type Caller interface {
	// Do blocks until the service has answered. The error is a
	// *handoff.Failure when the task has failed; anything else means the call
	// was given up and nothing is known. Safe for concurrent use.
	Do(ctx context.Context, c *handoff.Call) (expr.Value, error)
	// Reads reports whether Do changes nothing for this resource, and is soon
	// done. Such a task may be done before it is in the log.
	Reads(r asl.Resource) bool
}

// Options configure an engine. Store and Caller are required.
type Options struct {
	Store  *store.Store
	Caller Caller
	// Events gets the status-change events; nil for none.
	Events queue.Publisher
	// RunningEvents also reports the start of each execution, at most once.
	RunningEvents bool
	// Region and AccountID are in every ARN. Defaults us-east-1, 000000000000.
	Region, AccountID string
	// MaxHandoffs bounds the service calls in flight. Default 10,000: a Lambda
	// function may take minutes.
	MaxHandoffs int
	// KeepClosed and KeepFor bound the ended executions that stay in the log.
	// Defaults 100,000 and 90 days (AWS: 90 days).
	KeepClosed int
	KeepFor    time.Duration
	Logger     *slog.Logger
	Tracer     trace.TracerProvider // default: the global one
	// QueueSystem is the messaging.system of the configured broker. Default
	// "nats".
	QueueSystem string
}

// keptHandoffs is the number of goroutines kept for the next handoffs.
const keptHandoffs = 64

// What callers branch on. An error of the machine about a token comes as
// machine.ErrInvalidToken or machine.ErrTaskGone.
var (
	// ErrNotFound says that the log holds no such execution.
	ErrNotFound = store.ErrNotFound
	// ErrNameTaken says that an execution of that name has another input, or
	// has ended.
	ErrNameTaken = errors.New("the name of the execution is taken")
	// ErrClosed says that the engine was stopped.
	ErrClosed = errors.New("engine stopped")
)

// Engine runs executions. Its methods are safe for concurrent use.
type Engine struct {
	o        Options
	store    *store.Store
	log      *slog.Logger
	instance string
	shards   [shards]shard
	programs programs
	handoffs *pool.Pool
	outbox   *outbox
	spans    *span.Maker

	ctx    context.Context // ends when the engine stops
	stop   context.CancelCauseFunc
	wg     sync.WaitGroup // goroutines that are not handoffs
	marked chan struct{}  // closed when the log knows of this instance
	ready  chan struct{}  // closed when recovery is done
	closer sync.Once
}

// New checks o. It starts nothing and reads nothing: call Run.
func New(o Options) (*Engine, error) {
	if o.Store == nil || o.Caller == nil {
		return nil, errors.New("new engine: store and caller are required")
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.AccountID == "" {
		o.AccountID = "000000000000"
	}
	if o.MaxHandoffs == 0 {
		o.MaxHandoffs = 10_000
	}
	if o.KeepClosed == 0 {
		o.KeepClosed = 100_000
	}
	if o.KeepFor == 0 {
		o.KeepFor = 90 * 24 * time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.QueueSystem = cmp.Or(o.QueueSystem, "nats")
	if o.Tracer == nil {
		o.Tracer = otel.GetTracerProvider()
	}
	var id [6]byte
	_, _ = rand.Read(id[:])
	e := &Engine{o: o, store: o.Store, log: o.Logger, instance: hex.EncodeToString(id[:]),
		marked: make(chan struct{}), ready: make(chan struct{})}
	e.ctx, e.stop = context.WithCancelCause(context.Background())
	e.programs.all = map[string]*asl.Program{}
	e.handoffs = pool.New(pool.Options{Limit: o.MaxHandoffs, Keep: keptHandoffs})
	e.outbox = newOutbox(e)
	e.spans = span.New(o.Tracer, o.QueueSystem)
	for i := range e.shards {
		e.shards[i].live = map[store.Key]*live{}
	}
	return e, nil
}

// Run recovers what the log holds, publishes events, keeps the log within its
// limits and returns when ctx ends, after everything the engine started has
// stopped. Executions may be started and answered while Run recovers; before
// Run they wait for it.
func (e *Engine) Run(ctx context.Context) error {
	defer e.Close()
	unlink := context.AfterFunc(ctx, func() { e.stop(context.Cause(ctx)) })
	defer unlink()
	if err := e.recover(e.ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("recover executions: %w", err)
	}
	close(e.ready)
	e.housekeep(e.ctx)
	return nil
}

// begun waits until the log knows of this instance, so that no end it appends
// can go unreported, and says whether the engine may go on.
func (e *Engine) begun() bool {
	select {
	case <-e.marked:
		return e.ctx.Err() == nil
	case <-e.ctx.Done():
		return false
	}
}

// Ready is closed when recovery is done.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// Close stops the engine and waits for all it started. What was in flight goes
// on at the next start.
func (e *Engine) Close() {
	e.closer.Do(func() {
		e.stop(ErrClosed)
		for i := range e.shards {
			e.shards[i].stopTimers()
		}
		e.handoffs.Close()
		e.wg.Wait()
		e.outbox.checkpoint(context.Background())
	})
}

// seconds between the runs of housekeeping.
const (
	checkpointEvery = time.Second
	expireEvery     = 15 * time.Second
)

// housekeep writes the outbox's mark and expires executions until ctx ends.
func (e *Engine) housekeep(ctx context.Context) {
	mark, expire := time.NewTicker(checkpointEvery), time.NewTicker(expireEvery)
	defer mark.Stop()
	defer expire.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-mark.C:
			e.outbox.checkpoint(ctx)
		case now := <-expire.C:
			e.expire(ctx, now)
		}
	}
}

// expire removes what is beyond the limits and no engine needs.
func (e *Engine) expire(ctx context.Context, now time.Time) {
	l := store.Limits{Closed: e.o.KeepClosed, Age: e.o.KeepFor}
	others, err := e.store.Instances(ctx)
	if err != nil {
		e.log.WarnContext(ctx, "cannot read the marks of other engines; expiring nothing for now", "error", err)
		return
	}
	for _, i := range others {
		switch {
		case i.ID == e.instance:
		case e.outbox.replaced(i, now):
			err = errors.Join(err, e.store.ForgetInstance(ctx, i.ID))
		case l.Floor == 0 || i.Floor < l.Floor:
			l.Floor = max(i.Floor, 1)
		}
	}
	if err != nil {
		e.log.WarnContext(ctx, "cannot forget the mark of a dead engine; trying again later", "error", err)
	}
	n, err := e.store.Expire(ctx, l, now)
	if err != nil && ctx.Err() == nil {
		e.log.WarnContext(ctx, "cannot expire executions; trying again later", "error", err)
		return
	}
	if n > 0 {
		e.log.DebugContext(ctx, "expired executions", "count", n)
	}
}

// ARN is the execution's name on AWS.
func (e *Engine) ARN(k store.Key) string {
	return "arn:aws:states:" + e.o.Region + ":" + e.o.AccountID + ":execution:" + k.Machine + ":" + k.Name
}

// MachineARN is the state machine's name on AWS.
func (e *Engine) MachineARN(name string) string {
	return "arn:aws:states:" + e.o.Region + ":" + e.o.AccountID + ":stateMachine:" + name
}

// source is the randomness of decisions. Task tokens are made of it, so it has
// to be unpredictable.
type source struct{}

func (source) Uint64() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}
