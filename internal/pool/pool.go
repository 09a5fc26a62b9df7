// Package pool keeps goroutines for the next job. A call to an API through the
// AWS SDK or TLS runs deep, and a new goroutine would grow its stack anew for
// each.
package pool

import (
	"sync"
	"sync/atomic"
)

// Pool runs jobs, each on a goroutine of its own while it lasts. Its methods
// are safe for concurrent use, except that nothing comes after Close.
type Pool struct {
	jobs   chan func()   // taken by goroutines that wait
	closed chan struct{} // closed by Close
	keep   int32
	idle   atomic.Int32 // goroutines that wait, or are about to
	all    sync.WaitGroup
}

// New returns a pool that keeps up to so many goroutines without a job.
func New(keep int) *Pool {
	return &Pool{jobs: make(chan func()), closed: make(chan struct{}), keep: int32(keep)}
}

// Go runs job and does not wait for it, nor for a goroutine: there is no bound.
func (p *Pool) Go(job func()) {
	select {
	case p.jobs <- job:
	default:
		p.all.Go(func() { p.work(job) })
	}
}

func (p *Pool) work(job func()) {
	for {
		job()
		job = nil // what it held may be large
		if p.idle.Add(1) > p.keep {
			p.idle.Add(-1)
			return
		}
		select {
		case job = <-p.jobs:
			p.idle.Add(-1)
		case <-p.closed:
			return
		}
	}
}

// Close waits for the jobs that run and ends the goroutines.
func (p *Pool) Close() {
	close(p.closed)
	p.all.Wait()
}
