// Package crew runs jobs on goroutines that stay a moment for the next one. A
// request through the AWS SDK runs deep, and a new goroutine would grow its
// stack anew for each. Unlike a pool it needs no end: who is idle leaves.
package crew

import (
	"slices"
	"sync"
	"time"
)

// stay is how long a goroutine waits for another job.
const stay = 100 * time.Millisecond

// Crew runs jobs. The zero value is ready, and safe for concurrent use.
type Crew struct {
	mu   sync.Mutex
	idle []chan func() // guarded by mu: of goroutines that wait; each takes one job
}

// Go runs a job at once.
func (c *Crew) Go(job func()) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		next := c.idle[n-1] // who worked last: the others may leave
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		next <- job
		return
	}
	c.mu.Unlock()
	go c.work(job)
}

func (c *Crew) work(job func()) {
	next := make(chan func(), 1)
	leave := time.NewTimer(stay)
	defer leave.Stop()
	for job != nil {
		job()
		c.mu.Lock()
		c.idle = append(c.idle, next)
		c.mu.Unlock()
		leave.Reset(stay)
		select {
		case job = <-next:
		case <-leave.C:
			job = c.leave(next)
		}
	}
}

// leave takes a goroutine off the idle ones, or returns the job that it was
// given just now.
func (c *Crew) leave(next chan func()) func() {
	c.mu.Lock()
	i := slices.Index(c.idle, next)
	if i < 0 {
		c.mu.Unlock()
		return <-next
	}
	c.idle = slices.Delete(c.idle, i, i+1)
	c.mu.Unlock()
	return nil
}
