package slot

import (
	"container/list"
	"context"
)

// lending is what a set lends to the calls of batches: slots that no task has.
// A task that comes is admitted before anything is lent, and waits at most until
// the first borrower has made its call. So batches use what is free, keep nobody
// from their slots, and there are never more calls at once than slots.
type lending struct {
	lent      int       // slots at borrowers
	entering  list.List // chan struct{}: tasks that wait for a slot to come back, closed when they have it
	borrowing list.List // chan struct{}: borrowers that wait, closed when they have their slot
}

// Enter blocks until the slot that was taken for a task is not lent. It returns
// the cause of ctx when that ends first.
func (s *Set) Enter(ctx context.Context) error {
	s.mu.Lock()
	if s.lent <= s.free+s.entering.Len() {
		s.mu.Unlock()
		return nil
	}
	return s.queue(ctx, &s.entering)
}

// Borrow implements batch.Lanes.
func (s *Set) Borrow(ctx context.Context) error {
	s.mu.Lock()
	if s.borrowing.Len() == 0 && s.canLend() {
		s.change(0, 1)
		s.mu.Unlock()
		return nil
	}
	return s.queue(ctx, &s.borrowing)
}

// Keep implements batch.Lanes.
func (s *Set) Keep() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entering.Len() == 0 && s.lent <= s.free
}

// GiveBack implements batch.Lanes.
func (s *Set) GiveBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change(0, -1)
	s.balance()
}

// canLend reports whether a slot has neither task nor borrower. The caller holds
// mu.
func (s *Set) canLend() bool { return s.entering.Len() == 0 && s.lent < s.free }

// balance gives what has come back to those who wait. The caller holds mu.
func (s *Set) balance() {
	for s.entering.Len() > 0 && s.lent < s.free+s.entering.Len() {
		close(s.entering.Remove(s.entering.Front()).(chan struct{}))
	}
	for s.borrowing.Len() > 0 && s.canLend() {
		s.change(0, 1)
		close(s.borrowing.Remove(s.borrowing.Front()).(chan struct{}))
	}
}

// queue waits on a list until it is served. The caller holds mu, which is
// released.
func (s *Set) queue(ctx context.Context, on *list.List) error {
	served := make(chan struct{})
	place := on.PushBack(served)
	s.mu.Unlock()
	select {
	case <-served:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-served: // at this moment: it is passed on
		if on == &s.borrowing {
			s.change(0, -1)
		}
	default:
		on.Remove(place)
	}
	s.balance()
	return context.Cause(ctx)
}
