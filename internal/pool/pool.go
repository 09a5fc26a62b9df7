// Package pool runs jobs on goroutines that it keeps for the next job. A call
// to an API through the AWS SDK or TLS runs deep, and a new goroutine would
// grow its stack anew for each.
package pool

import "sync"

// Options are the settings of a Pool. The zero value keeps nothing and bounds
// nothing.
type Options struct {
	// Limit is the number of jobs that run at once; what comes on top waits in
	// line. 0 is no limit.
	Limit int
	// Keep is the number of goroutines that wait for a next job.
	Keep int
}

// Pool runs jobs. Its methods are safe for concurrent use.
type Pool struct {
	options Options
	all     sync.WaitGroup

	mu      sync.Mutex
	wake    sync.Cond // a job waits, or the pool is closed
	running int       // guarded by mu: goroutines, idle ones included
	idle    int       // guarded by mu: goroutines that wait and were not woken
	waiting []func()  // guarded by mu
	closed  bool      // guarded by mu
}

// New makes a pool; it starts nothing.
func New(o Options) *Pool {
	p := &Pool{options: o}
	p.wake.L = &p.mu
	return p
}

// Go takes a job, unless the pool is closed. It does not block.
func (p *Pool) Go(job func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
	case p.idle > 0:
		p.idle--
		p.waiting = append(p.waiting, job)
		p.wake.Signal()
	case p.options.Limit == 0 || p.running < p.options.Limit:
		p.running++
		p.all.Go(func() { p.work(job) })
	default:
		p.waiting = append(p.waiting, job)
	}
}

func (p *Pool) work(job func()) {
	for job != nil {
		job()
		job = nil // what it held may be large
		job = p.next()
	}
}

// next is the next job in line, or nil when the goroutine is not kept.
func (p *Pool) next() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if len(p.waiting) > 0 {
			job := p.waiting[0]
			p.waiting[0] = nil
			p.waiting = p.waiting[1:]
			return job
		}
		if p.closed || p.idle >= p.options.Keep {
			p.running--
			return nil
		}
		p.idle++
		p.wake.Wait()
	}
}

// Close drops the jobs in line, waits for those that run, and ends the
// goroutines.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed, p.waiting = true, nil
	p.wake.Broadcast()
	p.mu.Unlock()
	p.all.Wait()
}
