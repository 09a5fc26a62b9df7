package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/lifecycle"
	"callfleet/internal/queue"
)

const (
	// tryTimeout bounds one try of a report or a settlement.
	tryTimeout = 5 * time.Second
	// graceForReport is how long a report is tried at least, when the call has
	// used up the budget.
	graceForReport = 30 * time.Second
	// settleTries bounds the tries of a settlement; after them the message
	// comes again when the lease ends.
	settleTries = 3
)

// report says what came of the call, until somebody has recorded it.
func (w *Worker) report(ctx context.Context, j *job, output []byte, f *call.Failure) settlement {
	markFailed(ctx, f)
	ctx, span := w.startReport(ctx, j, f)
	send := func(ctx context.Context) error {
		switch {
		case j.task.Token == "":
			return w.publish(ctx, j, output, f)
		case f != nil:
			return w.deps.Reporter.Fail(ctx, j.task.Token, f)
		default:
			return w.deps.Reporter.Succeed(ctx, j.task.Token, output)
		}
	}
	s := w.try(ctx, j, "report", send)
	endReport(span, s)
	if s.kind == recorded && j.task.Batch == nil { // those of a batch are counted one by one
		w.stats.ended(f, time.Since(j.received))
	}
	return s
}

// try sends until it is recorded, nobody waits for it, or the job is
// interrupted or out of time. A try that is under way
// is not cut off by the shutdown: its outcome would be in doubt.
func (w *Worker) try(ctx context.Context, j *job, what string, send func(context.Context) error) settlement {
	giveUp := j.deadline
	if grace := time.Now().Add(graceForReport); grace.After(giveUp) {
		giveUp = grace
	}
	for wait := newPauses(); ; {
		err := w.once(ctx, send)
		switch {
		case err == nil:
			w.outage.Passed(ctx)
			return settlement{kind: recorded}
		case errors.Is(err, call.ErrTaskGone):
			return w.dropped()
		case time.Now().After(giveUp):
			w.log.WarnContext(ctx, "handing a task back that could not be reported", "step", what, "request", j.task.ID, "error", err)
			w.stats.handedBack.Add(1)
			return settlement{kind: handBack, delay: graceForReport}
		}
		pause := wait.next()
		w.outage.Failed(ctx, err, "step", what, "request", j.task.ID)
		_ = lifecycle.Sleep(ctx, pause)
		if ctx.Err() != nil {
			return w.interrupted(ctx)
		}
	}
}

// once sends when its turn comes, unless ctx ends first.
func (w *Worker) once(ctx context.Context, send func(context.Context) error) error {
	select {
	case w.reports <- struct{}{}: // even if ctx has ended: the call has not been in vain
	default:
		select {
		case w.reports <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { <-w.reports }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
	defer cancel()
	return send(ctx)
}

// publish sends the outcome of a task without a token to the results queue,
// where it is one per request id.
func (w *Worker) publish(ctx context.Context, j *job, output []byte, f *call.Failure) error {
	err := w.publishOutcome(ctx, j, output, f)
	if errors.Is(err, queue.ErrTooLarge) {
		f = &call.Failure{Name: call.ResponseTooLarge, Cause: fmt.Sprintf(
			"the output of %d bytes is more than the results queue takes", len(output))}
		err = w.publishOutcome(ctx, j, nil, f)
	}
	return err
}

func (w *Worker) publishOutcome(ctx context.Context, j *job, output []byte, f *call.Failure) error {
	o := call.Outcome{ID: j.task.ID, Status: call.StatusSucceeded, Output: output, Started: j.delivery.Sent, Stopped: time.Now()}
	if o.Started.IsZero() {
		o.Started = j.received
	}
	if f != nil {
		o.Status, o.Error, o.Cause = call.StatusFailed, string(f.Name), f.Cause
	}
	body, err := call.EncodeOutcome(o)
	if err != nil {
		return err
	}
	return w.deps.Results.Publish(ctx, queue.Message{ID: o.ID, Group: o.ID, Body: body})
}

// settle ends the delivery.
func (w *Worker) settle(ctx context.Context, j *job, s settlement) {
	d := j.delivery
	var settle func(context.Context) error
	switch s.kind {
	case leave:
		return
	case recorded, gone:
		settle = d.Ack
	case handBack:
		settle = func(ctx context.Context) error { return d.Retry(ctx, s.delay) }
	case postpone, setAside:
		settle = func(ctx context.Context) error { return w.publishLater(ctx, j, s.delay) }
	case reject:
		w.stats.rejected.Add(1)
		w.log.WarnContext(ctx, "moving a message to the dead-letter queue", "message", d.ID, "reason", s.reason)
		settle = func(ctx context.Context) error { return d.Reject(ctx, s.reason) }
	}
	ctx = context.WithoutCancel(ctx)
	var err error
	for wait, try := newPauses(), 1; try <= settleTries; try++ {
		once, cancel := context.WithTimeout(ctx, tryTimeout)
		err = settle(once)
		cancel()
		if err == nil || errors.Is(err, queue.ErrLeaseLost) {
			return
		}
		if try < settleTries {
			_ = lifecycle.Sleep(ctx, wait.next())
		}
	}
	w.log.WarnContext(ctx, "leaving a message to come again when its lease ends", "message", d.ID, "error", err)
}
