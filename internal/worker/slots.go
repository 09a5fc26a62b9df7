package worker

import (
	"container/list"
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// slots counts the calls that may still begin. A free slot costs nothing.
type slots struct {
	total int
	edge  func(busy bool) // called under mu, so that edges come in order; nil is nobody
	freed chan struct{}   // holds one signal

	mu      sync.Mutex
	free    int       // without a task; guarded by mu; below 0 when calls came back while tasks were received
	waiting list.List // guarded by mu: chan struct{}, calls that come back, closed when they have their slot
	lending           // guarded by mu
}

func newSlots(n int, edge func(busy bool)) *slots {
	return &slots{total: n, free: n, edge: edge, freed: make(chan struct{}, 1)}
}

// gatherFor is how long slots are gathered at most.
const gatherFor = 2 * time.Millisecond

// wait blocks until a slot is free and returns how many are. With gather above
// 1 it waits for that many, but not for long. Only one goroutine may wait and
// take.
func (s *slots) wait(ctx context.Context, gather int) (int, error) {
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

func (s *slots) available() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.free
}

func (s *slots) take(n int) {
	s.mu.Lock()
	s.change(-n, 0)
	s.mu.Unlock()
}

// change counts what is free and what is lent anew, and tells when that makes
// the worker busy or idle. The caller holds mu.
func (s *slots) change(free, lent int) {
	before := s.total - s.free + s.lent
	s.free += free
	s.lent += lent
	after := s.total - s.free + s.lent
	if s.edge != nil && (before == 0) != (after == 0) {
		s.edge(after != 0)
	}
}

// reclaim takes one slot for a call that comes back, before any new task gets
// one. It blocks until there is one, or ctx ends.
func (s *slots) reclaim(ctx context.Context) error {
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
		s.release()
	default:
		s.waiting.Remove(place)
		s.mu.Unlock()
	}
	return context.Cause(ctx)
}

// admit is enter for a call that comes back: on error it has no slot.
func (s *slots) admit(ctx context.Context) error {
	err := s.enter(ctx)
	if err != nil {
		s.release()
	}
	return err
}

func (s *slots) release() {
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

func (s *slots) inUse() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total - s.free + s.lent - s.entering.Len()
}

// pauses are the growing waits between tries of one operation.
type pauses struct{ bound time.Duration }

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

func newPauses() *pauses { return &pauses{bound: firstPause} }

// next is random between half the bound and the bound, which doubles.
func (p *pauses) next() time.Duration {
	d := p.bound/2 + rand.N(p.bound/2)
	p.bound = min(2*p.bound, lastPause)
	return d
}

// sleep returns early when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
