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
	p := New(2)
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

func TestCloseWaitsForJobs(t *testing.T) {
	t.Parallel()
	p := New(4)
	var ran atomic.Int32
	for range 100 {
		p.Go(func() { ran.Add(1) })
	}
	p.Close()
	if n := ran.Load(); n != 100 {
		t.Errorf("%d of 100 jobs ran before Close returned", n)
	}
}

func BenchmarkPool(b *testing.B) {
	b.Run("kept", func(b *testing.B) {
		p := New(64)
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
