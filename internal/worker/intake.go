package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"callfleet/internal/lifecycle"
	"callfleet/internal/queue"
	"callfleet/internal/worker/slot"
)

// maxReceive bounds one receipt, so that a large fleet member leaves something
// to the others when a backlog is short.
const maxReceive = 512

// gatherPart is the part of the slots that is gathered before the next receipt
// from a backlog.
const gatherPart = 4

// maxComing bounds the tasks of the waiting queue that have not come to their
// turn yet: they have a lease and perhaps no slot, but no place to wait either.
// They have slots before new tasks do, so that they are a part of them at most.
const (
	maxComing  = 32
	comingPart = 4
)

// intake is where tasks come from.
type intake struct {
	queue queue.Consumer
	name  string // of the queue, as traces have it
	// places are the slots, where each task has one from its receipt. Those of
	// tasks that come back are held until they come to their turn.
	places *slot.Set
	back   bool // its tasks were set aside, and come back for a slot
}

// takeAll receives from all queues until ctx ends.
func (w *Worker) takeAll(ctx, work context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	intakes := []*intake{{queue: w.deps.Tasks, name: "tasks", places: w.slots}}
	if w.deps.Waiting != nil {
		coming := slot.New(min(max(w.opts.Slots/comingPart, 1), maxComing), nil)
		intakes = append(intakes, &intake{queue: w.deps.Waiting, name: "tasks-waiting", places: coming, back: true})
	}
	errs := make([]error, len(intakes))
	var all sync.WaitGroup
	for i, from := range intakes {
		all.Go(func() {
			defer cancel() // one that cannot go on ends the worker
			errs[i] = w.takeIn(ctx, work, from)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// takeIn receives as many tasks as there are free places, never more. While
// there is a backlog it gathers some places first: a request for each task
// would cost the broker as much as the task.
func (w *Worker) takeIn(ctx, work context.Context, from *intake) error {
	trouble, gather := newPauses(), 1
	for {
		free, err := from.places.Wait(ctx, gather)
		if err != nil {
			return nil
		}
		asked := min(free, maxReceive)
		deliveries, err := from.queue.Receive(ctx, asked)
		gather = 1
		if len(deliveries) == asked {
			gather = min(max(1, from.places.Total()/gatherPart), maxReceive)
		}
		switch {
		case err == nil:
			trouble = newPauses()
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, queue.ErrClosed), errors.Is(err, queue.ErrNotFound):
			return fmt.Errorf("receive %s: %w", from.name, err)
		default:
			pause := trouble.next()
			w.log.WarnContext(ctx, "receiving tasks again after an error", "queue", from.name, "error", err, "pause", pause)
			_ = lifecycle.Sleep(ctx, pause)
		}
		from.places.Take(len(deliveries))
		for _, d := range deliveries {
			w.running.Add(1)
			w.hands.Go(func() { w.handle(work, from, d) })
		}
	}
}

// enter blocks until the task has its slot.
func (w *Worker) enter(ctx context.Context, j *job) error {
	if !j.from.back {
		return w.slots.Enter(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.jobs.park(j, cancel, unbounded)
	defer w.jobs.unpark(j)
	return place{w, j}.Return(ctx)
}

// come gives up the place of a task that has come back, at its turn.
func (j *job) come() {
	if j.coming {
		j.coming = false
		j.from.places.Release()
	}
}
