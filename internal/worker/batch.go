package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/batch"
	"callfleet/internal/call"
	"callfleet/internal/lifecycle"
	"callfleet/internal/limit"
	"callfleet/internal/telemetry"
	"callfleet/internal/worker/slot"
)

// Batches makes the calls of batches and keeps what they came to; batch.Store
// is it. Safe for concurrent use.
type Batches interface {
	// Calls are those of a batch. The error is a *call.Failure, or the cause of ctx.
	Calls(ctx context.Context, b call.Batch) ([]call.BatchCall, error)
	// Run makes those that are not done, with the slot of the batch's task and
	// what is lent besides. The error is batch.ErrLeft, a *call.Failure, or the
	// cause of ctx.
	Run(ctx context.Context, work batch.Work) (call.Manifest, error)
}

const (
	// forResults is what is kept back of a batch's time for its results.
	forResults = 30 * time.Second
	// Of the answers of a batch, so many bytes may be in memory, shared by its
	// calls, but at least so many of each: larger bodies go into the blob store.
	batchMemory, leastInline = 16 << 20, 4 << 10
)

// callBatch makes the calls of a batch, and returns their manifest.
func (w *Worker) callBatch(ctx context.Context, j *job) ([]byte, error) {
	if w.deps.Batches == nil {
		return nil, &call.Failure{Name: call.BlobUnavailable,
			Cause: "this worker has no place for the progress of a batch: set CALLFLEET_BLOBS, such as s3://bucket"}
	}
	calls, err := w.deps.Batches.Calls(ctx, *j.task.Batch)
	if err != nil {
		return nil, err
	}
	m, err := w.deps.Batches.Run(ctx, batch.Work{
		ID: idempotencyKey(j.task), Calls: calls, Own: own{w.slots, j}, Lanes: w.slots, Leaving: w.leaving, Room: room(j),
		Call: func(ctx context.Context, c call.BatchCall, lane batch.Lane) (call.CallOutcome, error) {
			return w.callOf(ctx, j, c, lane)
		},
	})
	if err != nil {
		return nil, err
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attribute.Int("callfleet.batch.succeeded", m.Succeeded), attribute.Int("callfleet.batch.failed", m.Failed))
	}
	return call.EncodeManifest(m)
}

// callOf makes one call of a batch, as if it had come alone. The error is
// batch.ErrNotCalled, or says that it was broken off.
func (w *Worker) callOf(ctx context.Context, of *job, c call.BatchCall, lane batch.Lane) (call.CallOutcome, error) {
	j := w.jobOf(of, c, lane)
	callCtx, span := w.startCall(ctx, j)
	defer telemetry.End(span)
	output, err := w.call(callCtx, j)
	for errors.Is(err, limit.ErrFull) { // one that came alone would wait on the queue
		if err = w.waitForRoom(callCtx, j); err == nil {
			again := w.jobOf(of, c, lane)
			again.received, again.deadline = j.received, j.deadline
			output, err = w.call(callCtx, again)
		}
	}
	switch {
	case errors.Is(err, errLeaving):
		return call.CallOutcome{}, batch.ErrLeft
	case err != nil && ctx.Err() != nil && !isFailure(err):
		return call.CallOutcome{}, context.Cause(ctx)
	}
	o := call.CallOutcome{ID: c.ID, Output: output, Started: millisecond(j.received), Stopped: millisecond(time.Now())}
	f := call.AsFailure(err)
	late := isLate(f, of, j)
	if late && f.Name == call.DeadlineExceeded {
		f = &call.Failure{Name: f.Name, Cause: "the time of the batch was up: it was not called"}
	}
	if f != nil {
		o.Error, o.Cause = f.Name, f.Cause
	}
	markFailed(callCtx, f)
	w.stats.ended(f, time.Since(j.received))
	if late {
		return o, batch.ErrNotCalled
	}
	return o, nil
}

// isLate reports whether a call was not made because it had less time than a call
// has, for the time of its batch ends.
func isLate(f *call.Failure, of, j *job) bool {
	if f == nil || f.Attempts > 0 || !j.deadline.Equal(endOfCalls(of)) {
		return false
	}
	return f.Name == call.DeadlineExceeded || f.Name == call.RateLimited || f.Name == call.CircuitOpen
}

// endOfCalls is when no call of a batch is begun any more.
func endOfCalls(of *job) time.Time { return of.deadline.Add(-forResults) }

// jobOf is one call of a batch as a job.
func (w *Worker) jobOf(of *job, c call.BatchCall, lane batch.Lane) *job {
	j := &job{
		delivery: of.delivery, from: of.from, received: time.Now(), inline: max(batchMemory/of.task.Batch.Count, leastInline), seat: seat{w, lane},
		task: call.Task{ID: c.ID, Template: of.task.Template, Params: c.Params, FlowKey: c.FlowKey, Deadline: c.Deadline, Trace: c.Trace},
	}
	j.deadline = earliest(j.received.Add(w.opts.Budget), endOfCalls(of), c.Deadline)
	return j
}

// roomPause is the time between two looks for room to wait.
const roomPause = time.Second

// waitForRoom gives the lane up for a while. At the call's deadline it returns
// nil: the call says so itself.
func (w *Worker) waitForRoom(ctx context.Context, j *job) error {
	waiting, back := j.seat.Leave(ctx, false)
	_ = lifecycle.Sleep(waiting, min(roomPause, time.Until(j.deadline)))
	err := context.Cause(waiting)
	back()
	if err != nil {
		return err
	}
	return j.seat.Return(ctx)
}

// own is the slot of a batch's task, as a lane of its calls.
type own struct {
	slots *slot.Set
	job   *job
}

// Leave implements batch.Lane.
func (o own) Leave() {
	o.job.placed = false
	o.slots.Release()
}

// Return implements batch.Lane.
func (o own) Return(ctx context.Context) error {
	err := o.slots.Reclaim(ctx)
	o.job.placed = err == nil
	return err
}

// seat is the lane of a call, which it gives up while it waits for its turn.
type seat struct {
	worker *Worker
	lane   batch.Lane
}

var _ limit.Place = seat{}

// Leave implements limit.Place.
func (s seat) Leave(ctx context.Context, _ bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.lane.Leave()
	go func() {
		select {
		case <-s.worker.leaving:
			cancel(errLeaving)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// Return implements limit.Place.
func (s seat) Return(ctx context.Context) error { return s.lane.Return(ctx) }

// earliest is the first of times that are not zero.
func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}

// millisecond is t as outcomes have it.
func millisecond(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// startCall begins the span of a call of a batch. It is in the call's own trace,
// with a link to the batch.
func (w *Worker) startCall(ctx context.Context, j *job) (context.Context, trace.Span) {
	link := trace.LinkFromContext(ctx)
	if t := j.task.Trace; t != nil {
		ctx = telemetry.Extract(ctx, t.Parent, t.State)
	}
	ctx, span := w.tracer.Start(ctx, "process call", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(link))
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("callfleet.request.id", j.task.ID),
			attribute.String("callfleet.template", templateName(j.task.Template)),
			attribute.Int("callfleet.delivery.attempt", j.delivery.Attempt),
		)
	}
	return ctx, span
}

// checkBatch finds what makes a batch useless.
func checkBatch(t call.Task) error {
	if t.Batch != nil && t.ID == "" {
		return errors.New("the task is a batch without an id: its progress has no name")
	}
	if n := t.Batch; n != nil && t.TimeoutSeconds > 0 && time.Duration(t.TimeoutSeconds)*time.Second <= 2*forResults {
		return fmt.Errorf("the task is a batch with a time of %d seconds: give it more than %s", t.TimeoutSeconds, 2*forResults)
	}
	return nil
}
