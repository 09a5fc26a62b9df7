package pool

import (
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPoolRunsJobsSideBySide(t *testing.T) {
	t.Parallel()
	p := New(Options{Keep: 2})
	var together sync.WaitGroup
	together.Add(10)
	for range 10 {
		p.Go(func() {
			together.Done()
			together.Wait() // for all the others
		})
	}
	together.Wait()
	p.Close()
}

func TestPoolRunsAllWithinItsLimit(t *testing.T) {
	t.Parallel()
	for _, keep := range []int{0, 2, 10} {
		p := New(Options{Limit: 3, Keep: keep})
		var running, most, ran atomic.Int32
		var all sync.WaitGroup
		for range 1000 {
			all.Add(1)
			p.Go(func() {
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
		if ran.Load() != 1000 || most.Load() > 3 {
			t.Errorf("keep %d: %d jobs ran, %d at a time", keep, ran.Load(), most.Load())
		}
	}
}

func TestPoolKeepsNoMoreThanAsked(t *testing.T) {
	t.Parallel()
	p := New(Options{Keep: 2})
	defer p.Close()
	var done sync.WaitGroup
	for range 50 {
		done.Add(1)
		p.Go(done.Done)
	}
	done.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle > 2 {
		t.Errorf("%d goroutines are kept", p.idle)
	}
}

func TestCloseDropsWhatWaits(t *testing.T) {
	t.Parallel()
	p := New(Options{Limit: 1})
	hold, held := make(chan struct{}), make(chan struct{})
	p.Go(func() { close(held); <-hold })
	<-held
	var late atomic.Bool
	p.Go(func() { late.Store(true) })
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
	p.Go(func() { late.Store(true) })
	if late.Load() {
		t.Error("a job ran after Close")
	}
}

func BenchmarkPool(b *testing.B) {
	b.Run("kept", func(b *testing.B) {
		p := New(Options{Keep: 64})
		defer p.Close()
		each(b, p.Go)
	})
	b.Run("new", func(b *testing.B) { each(b, func(job func()) { go job() }) })
}

// each runs jobs with deep stacks, 64 at a time.
func each(b *testing.B, run func(func())) {
	b.ReportAllocs()
	slots := make(chan struct{}, 64)
	for b.Loop() {
		slots <- struct{}{}
		run(func() {
			deep(60)
			<-slots
		})
	}
}

//go:noinline
func deep(n int) byte {
	var frame [256]byte
	if n > 0 {
		frame[n%len(frame)] = deep(n - 1)
	}
	return frame[0]
}
