package starter

import (
	"context"
	"sync"
	"time"

	"callfleet/internal/queue"
)

// room lets batches through while the calls that wait on the tasks queue are few.
// The gate counts messages; a batch is one message and many calls, and its
// task's clock runs while it waits. Tasks that wait are taken for batches of the
// same size, since a queue tells only how many there are.
type room struct {
	tasks queue.Depth // nil: there always is room
	limit int         // calls

	mu     sync.Mutex
	credit int       // calls that may still be started; guarded by mu
	looked time.Time // guarded by mu
}

// take reports whether a batch of so many calls may start. One batch always may
// when nothing waits.
func (r *room) take(ctx context.Context, calls int) bool {
	if r.tasks == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.credit < calls && time.Since(r.looked) >= gatePoll {
		depth, err := r.tasks.Depth(ctx)
		r.looked = time.Now()
		r.credit = r.limit - depth*calls
		if err != nil {
			r.credit = 0
		} else if depth == 0 {
			r.credit = max(r.credit, calls)
		}
	}
	if r.credit < calls {
		return false
	}
	r.credit -= calls
	return true
}

// hold keeps a batch until there is room for it. Its errors are those of
// holder.pause.
func (s *Starter) hold(ctx context.Context, h *holder, calls int) error {
	for !s.room.take(ctx, calls) {
		if err := h.pause(ctx, gatePoll); err != nil {
			return err
		}
	}
	return nil
}
