package starter

import (
	"context"
	"errors"
	"time"

	"callfleet/internal/lifecycle"
	"callfleet/internal/pace"
	"callfleet/internal/queue"
)

// extendTimeout bounds one try to extend a lease.
const extendTimeout = 5 * time.Second

// holder keeps the lease of a delivery that has to wait.
type holder struct {
	delivery *queue.Delivery
	every    time.Duration // a third of the lease
	due      time.Time     // of the next extension
}

func newHolder(d *queue.Delivery, lease time.Duration) *holder {
	return &holder{delivery: d, every: lease / 3, due: time.Now().Add(lease / 3)}
}

// pause waits for d. It returns queue.ErrLeaseLost, or ctx's error.
func (h *holder) pause(ctx context.Context, d time.Duration) error {
	for end := time.Now().Add(d); ; {
		_ = lifecycle.Sleep(ctx, min(time.Until(end), time.Until(h.due)))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := h.extend(ctx); err != nil {
			return err
		}
		if !time.Now().Before(end) {
			return nil
		}
	}
}

// turn waits until the pace lets one start through. Its errors are those of
// pause.
func (h *holder) turn(ctx context.Context, p *pace.Pace) error {
	for {
		err := p.WaitFor(ctx, max(time.Until(h.due), 0))
		if !errors.Is(err, pace.ErrBusy) {
			return err
		}
		if err := h.extend(ctx); err != nil {
			return err
		}
	}
}

// extend starts the lease anew when that is due. After an error that is tried
// again soon: two thirds of the lease are left for the broker to come back.
func (h *holder) extend(ctx context.Context) error {
	if time.Now().Before(h.due) {
		return nil
	}
	once, cancel := context.WithTimeout(ctx, extendTimeout)
	defer cancel()
	began := time.Now()
	err := h.delivery.Extend(once)
	if errors.Is(err, queue.ErrLeaseLost) {
		return err
	}
	if err != nil {
		h.due = time.Now().Add(h.every / 8)
		return nil
	}
	h.due = began.Add(h.every)
	return nil
}
