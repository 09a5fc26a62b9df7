package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/batch"
	"callfleet/internal/call"
	"callfleet/internal/limit"
	"callfleet/internal/queue"
	"callfleet/internal/telemetry"
)

// job is one delivery under way. Its goroutine owns the fields, except those
// that the registry guards.
type job struct {
	delivery *queue.Delivery
	received time.Time
	cancel   context.CancelCauseFunc
	task     call.Task
	deadline time.Time   // the end of the task's budget
	placed   bool        // it has a slot
	inline   int         // of a call of a batch: bytes of the answer's body that travel
	seat     limit.Place // of a call of a batch; nil is the job's own slot

	slot     int                     // guarded by registry.mu; -1 when it has ended
	token    call.TaskToken          // written under registry.mu before its first heartbeat is due
	leaseEnd time.Time               // guarded by registry.mu
	lease    renewal                 // guarded by registry.mu
	beat     renewal                 // guarded by registry.mu
	unpark   context.CancelCauseFunc // guarded by registry.mu; nil while it does not wait for its turn
}

// settlement is what becomes of the message.
type settlement struct {
	kind   settlementKind
	reason string        // of reject
	delay  time.Duration // of handBack
}

type settlementKind int

const (
	leave    settlementKind = iota // the lease is another's: nothing is settled
	recorded                       // the outcome is recorded elsewhere: ack
	gone                           // nobody waits for the outcome: ack
	handBack                       // somebody else shall do it: retry
	postpone                       // there is no room to wait here: publish it again, for later
	reject                         // nobody can do it
)

// String is the kind as traces name it.
func (k settlementKind) String() string {
	switch k {
	case recorded:
		return "recorded"
	case gone:
		return "gone"
	case handBack:
		return "handed_back"
	case postpone:
		return "postponed"
	case reject:
		return "rejected"
	}
	return "lease_lost"
}

// handle is the life of one delivery, and the only goroutine of ours that a
// call has.
func (w *Worker) handle(work context.Context, d *queue.Delivery) {
	defer w.running.Done()
	ctx, cancel := context.WithCancelCause(work)
	defer cancel(nil)
	j := &job{delivery: d, received: time.Now(), cancel: cancel, placed: true}
	defer func() {
		if j.placed {
			w.slots.release()
		}
	}()
	w.jobs.add(j, w.deps.Tasks.Lease())
	s := w.process(ctx, j)
	// Settling takes far less than what is left of the lease.
	w.jobs.remove(j)
	w.settle(ctx, j, s)
}

// process brings the delivery to its end and says how to settle it.
func (w *Worker) process(ctx context.Context, j *job) (s settlement) {
	if s, ok := w.decode(j); !ok {
		return s
	}
	ctx, span := w.startProcess(ctx, j)
	defer func() { endProcess(span, s) }()
	if j.delivery.Attempt > 1 {
		w.stats.redelivered.Add(1)
	}
	if j.delivery.Attempt > 1 || j.task.Batch != nil { // that a batch is not in vain is worth a request
		if s, ok := w.probe(ctx, j); !ok {
			return s
		}
	}
	w.jobs.watch(j, w.firstBeat(j))
	if w.slots.enter(ctx) != nil {
		return w.interrupted(ctx)
	}
	output, err := w.call(ctx, j)
	switch {
	case errors.Is(err, limit.ErrFull):
		return w.postponed(ctx, j)
	case errors.Is(err, errLeaving), errors.Is(err, batch.ErrLeft):
		w.stats.handedBack.Add(1)
		return settlement{kind: handBack}
	}
	if err != nil && ctx.Err() != nil && !isFailure(err) {
		return w.interrupted(ctx)
	}
	if errors.Is(context.Cause(ctx), queue.ErrLeaseLost) {
		return w.interrupted(ctx)
	}
	return w.report(ctx, j, output, call.AsFailure(err))
}

// decode reads the task and sets its budget; ok is false when the message can
// be done by nobody.
func (w *Worker) decode(j *job) (s settlement, ok bool) {
	t, err := call.DecodeTask(j.delivery.Body)
	switch {
	case err != nil:
		return settlement{kind: reject, reason: err.Error()}, false
	case t.Token == "" && t.ID == "":
		return settlement{kind: reject, reason: "the task has neither a token nor an id: there is nowhere to report to"}, false
	case t.Token == "" && w.deps.Results == nil:
		return settlement{kind: reject, reason: "the task has no token, and this worker has no results queue to report to"}, false
	case t.Token != "" && w.deps.Reporter == nil:
		return settlement{kind: reject, reason: "the task has a token, and this worker has no Step Functions API to report to"}, false
	}
	if err := checkBatch(t); err != nil {
		return settlement{kind: reject, reason: err.Error()}, false
	}
	j.task = t
	j.deadline = w.deadline(j)
	return settlement{}, true
}

// deadline is the end of the budget: the task's timeout runs from when the
// message was sent. A little of it is kept back, for a report that comes after
// the state's own timeout says nothing to anybody.
func (w *Worker) deadline(j *job) time.Time {
	budget := w.opts.Budget
	if n := j.task.TimeoutSeconds; n > 0 {
		budget = time.Duration(n) * time.Second
		budget -= min(budget/20, time.Second)
	}
	began := j.delivery.Sent
	if began.IsZero() || began.After(j.received) {
		began = j.received
	}
	end := began.Add(budget)
	if d := j.task.Deadline; !d.IsZero() && d.Before(end) {
		end = d
	}
	return end
}

// probe asks whether anybody still waits for a task that was delivered before:
// the one who had it may have reported, and died before the ack. Without a
// token there is nobody to ask, and the Idempotency-Key has to do.
func (w *Worker) probe(ctx context.Context, j *job) (s settlement, ok bool) {
	if j.task.Token == "" {
		return settlement{}, true
	}
	s = w.try(ctx, j, "probe", func(ctx context.Context) error {
		return w.deps.Reporter.Heartbeat(ctx, j.task.Token)
	})
	return s, s.kind == recorded
}

// call renders and makes the call. A panic in it is its failure and nobody
// else's.
func (w *Worker) call(ctx context.Context, j *job) (output []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			// The value may hold data of the call; its type and the stack do not.
			w.log.ErrorContext(ctx, "a call panicked and was failed", "request", j.task.ID,
				"panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			output, err = nil, &call.Failure{Name: call.Internal, Cause: fmt.Sprintf("the call panicked (%T): see the worker's log", p)}
		}
	}()
	if !time.Now().Before(j.deadline) {
		return nil, &call.Failure{Name: call.DeadlineExceeded, Cause: fmt.Sprintf(
			"the task came to a worker %s after its time was up: it was not called", time.Since(j.deadline).Round(time.Millisecond))}
	}
	ctx, cancel := context.WithDeadline(ctx, j.deadline)
	defer cancel()
	if j.task.Batch != nil {
		return w.callBatch(ctx, j)
	}
	rendered, err := w.render(ctx, j)
	if err != nil {
		return nil, err
	}
	rendered.MaxInline = room(j)
	turns, err := w.turns(j, rendered)
	if err != nil {
		return nil, err
	}
	result, err := w.deps.Caller.DoInTurn(ctx, rendered, idempotencyKey(j.task), turns)
	if err != nil {
		var f *call.Failure
		if errors.As(err, &f) {
			w.stats.retried(f.Attempts)
		}
		return nil, err
	}
	markAnswered(ctx, result)
	w.stats.retried(result.Attempts)
	return call.EncodeResult(result, w.opts.MaxOutput)
}

// room is how much of the answer's body the state can take besides the task:
// the template and the input stay in it, and a state that grows too large ends
// its execution where nothing can catch it.
func room(j *job) int {
	if j.inline > 0 {
		return j.inline
	}
	if j.task.Token == "" {
		return 0
	}
	const around, least = 8 << 10, 1 << 10
	return max(call.MaxInputBytes-len(j.delivery.Body)-around, least)
}

func (w *Worker) render(ctx context.Context, j *job) (call.Rendered, error) {
	if trace.SpanFromContext(ctx).IsRecording() {
		var span trace.Span
		ctx, span = w.tracer.Start(ctx, "render")
		defer telemetry.End(span)
	}
	r, err := w.deps.Renderer.Render(ctx, j.task.Template, j.task.Params)
	// Neither is needed any more, and the call may wait for long.
	j.task.Template, j.task.Params = nil, nil
	if err != nil {
		markFailed(ctx, call.AsFailure(err))
	}
	return r, err
}

// idempotencyKey is the request id. A task without one, from a definition that
// does not pass it on, has its token to tell it from others, which is a secret.
func idempotencyKey(t call.Task) string {
	if t.ID != "" {
		return t.ID
	}
	sum := sha256.Sum256([]byte(t.Token))
	return hex.EncodeToString(sum[:16])
}

// interrupted says what becomes of a job whose context was cancelled.
func (w *Worker) interrupted(ctx context.Context) settlement {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, queue.ErrLeaseLost):
		w.stats.leaseLost.Add(1)
		return settlement{kind: leave}
	case errors.Is(cause, call.ErrTaskGone):
		return w.dropped()
	default:
		w.stats.handedBack.Add(1)
		return settlement{kind: handBack}
	}
}

// dropped is the end of a task that nobody waits for: it was settled before.
func (w *Worker) dropped() settlement {
	w.stats.gone.Add(1)
	return settlement{kind: gone}
}

func isFailure(err error) bool {
	var f *call.Failure
	return errors.As(err, &f)
}
