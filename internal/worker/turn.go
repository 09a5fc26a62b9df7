package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/limit"
	"callfleet/internal/queue"
)

// place is the slot of a job, which it gives up while it waits for its turn:
// slots count calls, and calls that wait must not keep others from theirs. The
// sweepers go on with its lease and its heartbeats.
type place struct {
	worker *Worker
	job    *job
}

var _ limit.Place = place{}

// Leave implements limit.Place.
func (p place) Leave(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	p.worker.jobs.park(p.job, cancel)
	p.job.placed = false
	p.worker.slots.Release()
	return ctx, func() {
		p.worker.jobs.park(p.job, nil)
		cancel(nil)
	}
}

// Return implements limit.Place.
func (p place) Return(ctx context.Context) error {
	err := p.worker.slots.Reclaim(ctx)
	p.job.placed = err == nil
	return err
}

// turns are those of the call's flow key: the request's, the template's, or the
// host that it goes to.
func (w *Worker) turns(j *job, r call.Rendered) (call.Turns, error) {
	if w.deps.Limits == nil {
		return nil, nil
	}
	key := cmp.Or(j.task.FlowKey, r.Flow, limit.HostKey(r.URL))
	if err := call.ValidateFlowKey(key); err != nil {
		return nil, &call.Failure{Name: call.RenderFailed, Cause: "read request: flowKey: " + err.Error()}
	}
	if j.seat != nil {
		return w.deps.Limits.Turn(key, j.seat), nil
	}
	return w.deps.Limits.Turn(key, place{w, j}), nil
}

// park keeps how to end the wait of a job; nil when it is over.
func (r *registry) park(j *job, unpark context.CancelCauseFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j.unpark = unpark
	if r.gone && unpark != nil {
		unpark(errLeaving)
	}
}

// leave ends the waits of all jobs, and of those to come.
func (r *registry) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
	for _, j := range r.jobs {
		if j.unpark != nil {
			j.unpark(errLeaving)
		}
	}
}

// postponed says when a task comes back for which there is no room here. The
// clock of its heartbeats runs on meanwhile: it is set anew before.
func (w *Worker) postponed(ctx context.Context, j *job) settlement {
	if j.task.Token != "" {
		s := w.try(ctx, j, "heartbeat", func(ctx context.Context) error {
			return w.deps.Reporter.Heartbeat(ctx, j.task.Token)
		})
		if s.kind != recorded {
			return s
		}
	}
	w.stats.postponed.Add(1)
	return settlement{kind: postpone, delay: w.opts.HeartbeatEvery/2 + rand.N(w.opts.HeartbeatEvery/2)}
}

// publishLater puts the task on the queue once more, with its deadline, and
// takes the delivery off it: handed back, it would be counted until it is dead.
// A crash between the two makes it two tasks with one Idempotency-Key.
func (w *Worker) publishLater(ctx context.Context, j *job, delay time.Duration) error {
	d := j.delivery
	if w.deps.Later == nil {
		return d.Retry(ctx, delay)
	}
	t, err := call.DecodeTask(d.Body)
	if err != nil {
		return err
	}
	t.Deadline = j.deadline // the message is new, the task is not
	body, err := call.EncodeTask(t)
	if err != nil {
		return fmt.Errorf("postpone task: %w", err)
	}
	err = w.deps.Later.Publish(ctx, queue.Message{ID: laterID(d), Body: body, Group: d.Group, Headers: d.Headers, Delay: delay})
	switch {
	case errors.Is(err, queue.ErrTooLarge): // or the queue knows no delays
		return d.Retry(ctx, delay)
	case err != nil:
		return fmt.Errorf("postpone task: %w", err)
	}
	return d.Ack(ctx)
}

// laterID is the dedup id of a delivery that is published again.
func laterID(d *queue.Delivery) string {
	if d.ID == "" {
		return ""
	}
	id, _, _ := strings.Cut(d.ID, "/")
	return id + "/" + strconv.FormatInt(d.Sent.UnixNano(), 36)
}
