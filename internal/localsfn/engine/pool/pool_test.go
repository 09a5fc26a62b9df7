package pool

import (
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPoolRunsAllWithinItsLimit(t *testing.T) {
	t.Parallel()
	p := New(3)
	var running, most, ran atomic.Int32
	var all sync.WaitGroup
	for range 100 {
		all.Add(1)
		p.Submit(func() {
			defer all.Done()
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			ran.Add(1)
			running.Add(-1)
		})
	}
	all.Wait()
	p.Close()
	if ran.Load() != 100 || most.Load() > 3 {
		t.Errorf("%d jobs ran, %d at a time", ran.Load(), most.Load())
	}
}

func TestCloseDropsWhatWaits(t *testing.T) {
	t.Parallel()
	p := New(1)
	hold, held := make(chan struct{}), make(chan struct{})
	p.Submit(func() { close(held); <-hold })
	<-held
	var late atomic.Bool
	p.Submit(func() { late.Store(true) })
	closed := make(chan struct{})
	go func() { defer close(closed); p.Close() }()
	for { // until Close has dropped the line
		p.mu.Lock()
		done := p.closed
		p.mu.Unlock()
		if done {
			break
		}
	}
	close(hold)
	<-closed
	p.Submit(func() { late.Store(true) })
	if late.Load() {
		t.Error("a job ran after Close")
	}
}
