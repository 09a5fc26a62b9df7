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

// maxParked is how many tasks of the tasks queue wait in one worker. JetStream
// writes down all that is leased from a queue ten times a second, and the
// queue's other calls wait for that: 0.1 ms for each thousand. Fewer would send
// short queues of a limited key the long way, too.
const maxParked = 128

// unbounded is for those that wait here however many do.
const unbounded = -1

// Leave implements limit.Place. A task that is set aside has made no attempts,
// so that nothing is lost but its rendering; its slot is kept until it is.
func (p place) Leave(ctx context.Context, began bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	w, most := p.worker, unbounded
	if !began && w.canSetAside(p.job) {
		most = maxParked
	}
	if !w.jobs.park(p.job, cancel, most) {
		cancel(errAside)
		return ctx, func() {}
	}
	p.job.placed = false
	w.slots.Release()
	return ctx, func() {
		w.jobs.unpark(p.job)
		cancel(nil)
	}
}

// canSetAside reports whether the task may wait on another queue than this one.
// Large ones don't: to publish them costs more than they do here, and with a
// deadline they might not fit.
func (w *Worker) canSetAside(j *job) bool {
	return w.deps.Waiting != nil && !j.from.back && len(j.delivery.Body) <= w.deps.Later.Limits().MaxBytes/2
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

// park keeps how to end the wait of a job. It reports false when as many of the
// tasks queue wait as may.
func (r *registry) park(j *job, unpark context.CancelCauseFunc, most int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.gone:
		unpark(errLeaving)
	case most != unbounded && r.parked >= most:
		return false
	}
	j.unpark = unpark
	if !j.from.back {
		r.parked++
	}
	return true
}

// unpark notes that the wait is over.
func (r *registry) unpark(j *job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j.unpark = nil
	if !j.from.back {
		r.parked--
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

// again has a task published once more: for later, when there is no room for it
// here, or set aside. The clock of its heartbeats runs on meanwhile: it is set
// anew before.
func (w *Worker) again(ctx context.Context, j *job, how settlementKind) settlement {
	if ctx.Err() != nil { // its lease is lost, or it is drained
		return w.interrupted(ctx)
	}
	if j.task.Token != "" {
		s := w.try(ctx, j, "heartbeat", func(ctx context.Context) error {
			return w.deps.Reporter.Heartbeat(ctx, j.task.Token)
		})
		if s.kind != recorded {
			return s
		}
	}
	if how == setAside {
		w.stats.setAside.Add(1)
		return settlement{kind: setAside}
	}
	w.stats.postponed.Add(1)
	return settlement{kind: postpone, delay: w.opts.HeartbeatEvery/2 + rand.N(w.opts.HeartbeatEvery/2)}
}

// publishLater publishes the task once more, with its deadline, and takes the
// delivery off its queue: handed back, it would be counted until it is dead.
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
		return fmt.Errorf("publish task again: %w", err)
	}
	err = w.deps.Later.Publish(ctx, queue.Message{ID: laterID(d), Body: body, Group: d.Group, Headers: d.Headers, Delay: delay})
	switch {
	case errors.Is(err, queue.ErrTooLarge): // or the queue knows no delays
		return d.Retry(ctx, delay)
	case err != nil:
		return fmt.Errorf("publish task again: %w", err)
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
