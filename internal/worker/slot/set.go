// Package slot counts the calls of a worker: those that may begin, those that
// come back after a wait, and what is lent to batches meanwhile.
package slot

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// Set counts the calls that may still begin. A free slot costs nothing. Its
// methods are safe for concurrent use.
type Set struct {
	total int
	edge  func(busy bool) // called under mu, so that edges come in order; nil is nobody
	freed chan struct{}   // holds one signal

	mu      sync.Mutex
	free    int       // without a task; guarded by mu; below 0 when calls came back while tasks were received
	waiting list.List // guarded by mu: chan struct{}, calls that come back, closed when they have their slot
	lending           // guarded by mu
}

// New returns a set of n free slots. The edge is told when the first of them is
// in use and when none is any more, in this order, and must not block; nil is
// nobody.
func New(n int, edge func(busy bool)) *Set {
	return &Set{total: n, free: n, edge: edge, freed: make(chan struct{}, 1)}
}

// gatherFor is how long slots are gathered at most.
const gatherFor = 2 * time.Millisecond

// Wait blocks until a slot is free and returns how many are. With gather above
// 1 it waits for that many, but not for long. Only one goroutine may wait and
// take.
func (s *Set) Wait(ctx context.Context, gather int) (int, error) {
	var late <-chan time.Time
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		free := s.available()
		if free >= gather {
			return free, nil
		}
		if free > 0 && late == nil {
			timer := time.NewTimer(gatherFor)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-s.freed:
		case <-late:
			if free := s.available(); free > 0 {
				return free, nil
			}
			late = nil // a call came back and took what there was
		case <-ctx.Done():
		}
	}
}

// Total counts all of them.
func (s *Set) Total() int { return s.total }

func (s *Set) available() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.free
}

// Take takes n slots for tasks that came.
func (s *Set) Take(n int) {
	s.mu.Lock()
	s.change(-n, 0)
	s.mu.Unlock()
}

// change counts what is free and what is lent anew, and tells when that makes
// the worker busy or idle. The caller holds mu.
func (s *Set) change(free, lent int) {
	before := s.total - s.free + s.lent
	s.free += free
	s.lent += lent
	after := s.total - s.free + s.lent
	if s.edge != nil && (before == 0) != (after == 0) {
		s.edge(after != 0)
	}
}

// Reclaim takes one slot for a call that comes back, before any new task gets
// one. It blocks until there is one, or ctx ends.
func (s *Set) Reclaim(ctx context.Context) error {
	s.mu.Lock()
	if s.free > 0 {
		s.change(-1, 0)
		s.mu.Unlock()
		return s.admit(ctx)
	}
	got := make(chan struct{})
	place := s.waiting.PushBack(got)
	s.mu.Unlock()
	select {
	case <-got: // perhaps of a task that has not waited for what is lent
		return s.admit(ctx)
	case <-ctx.Done():
	}
	s.mu.Lock()
	select {
	case <-got: // at this moment
		s.mu.Unlock()
		s.Release()
	default:
		s.waiting.Remove(place)
		s.mu.Unlock()
	}
	return context.Cause(ctx)
}

// admit is Enter for a call that comes back: on error it has no slot.
func (s *Set) admit(ctx context.Context) error {
	err := s.Enter(ctx)
	if err != nil {
		s.Release()
	}
	return err
}

// Release gives one back.
func (s *Set) Release() {
	s.mu.Lock()
	if next := s.waiting.Front(); next != nil && s.free >= 0 {
		close(s.waiting.Remove(next).(chan struct{}))
		s.mu.Unlock()
		return
	}
	s.change(1, 0)
	s.balance()
	s.mu.Unlock()
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// InUse counts those that have a call, lent ones too.
func (s *Set) InUse() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total - s.free + s.lent - s.entering.Len()
}
