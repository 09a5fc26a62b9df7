// Package pool runs jobs on a bounded number of goroutines.
package pool

import "sync"

// Pool runs jobs on at most limit goroutines; what comes on top waits in line.
type Pool struct {
	limit int

	mu      sync.Mutex
	running int      // guarded by mu
	waiting []func() // guarded by mu
	closed  bool     // guarded by mu
	wg      sync.WaitGroup
}

// New makes a pool of at most limit goroutines; it starts none.
func New(limit int) *Pool { return &Pool{limit: limit} }

// Submit takes a job unless the pool is closed. It does not block.
func (p *Pool) Submit(job func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if p.running >= p.limit {
		p.waiting = append(p.waiting, job)
		return
	}
	p.running++
	p.wg.Go(func() { p.work(job) })
}

func (p *Pool) work(job func()) {
	for job != nil {
		job()
		job = p.next()
	}
}

// next is the next job in line; without one the goroutine ends.
func (p *Pool) next() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 || p.closed {
		p.running--
		return nil
	}
	job := p.waiting[0]
	p.waiting[0] = nil
	p.waiting = p.waiting[1:]
	return job
}

// Close drops the jobs in line and waits for those that run.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed, p.waiting = true, nil
	p.mu.Unlock()
	p.wg.Wait()
}
