package worker

import (
	"container/heap"
	"time"
)

// renewal is one clock of a job: of its lease, or of its heartbeats.
type renewal struct {
	job   *job
	at    time.Time // when it is due
	place int       // in its clock, from 1; 0 is that it has none, as while it is renewed
}

// clock has the renewals of all jobs, the next one first.
type clock struct{ renewals []*renewal }

var _ heap.Interface = (*clock)(nil)

// set puts the renewal of a job on the clock.
func (c *clock) set(r *renewal, j *job, at time.Time) {
	r.job, r.at = j, at
	heap.Push(c, r)
}

// drop takes a renewal off the clock, if it is there.
func (c *clock) drop(r *renewal) {
	if r.place > 0 {
		heap.Remove(c, r.place-1)
	}
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (c *clock) Len() int           { return len(c.renewals) }
func (c *clock) Less(i, j int) bool { return c.renewals[i].at.Before(c.renewals[j].at) }
func (c *clock) Swap(i, j int) {
	c.renewals[i], c.renewals[j] = c.renewals[j], c.renewals[i]
	c.renewals[i].place, c.renewals[j].place = i+1, j+1
}

func (c *clock) Push(x any) {
	r := x.(*renewal)
	c.renewals = append(c.renewals, r)
	r.place = len(c.renewals)
}

func (c *clock) Pop() any {
	last := len(c.renewals) - 1
	r := c.renewals[last]
	c.renewals[last] = nil
	c.renewals = c.renewals[:last]
	r.place = 0
	return r
}
