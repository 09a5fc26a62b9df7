package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/queue"
)

// registry holds the jobs under way, for the sweepers.
type registry struct {
	mu     sync.Mutex
	jobs   []*job // guarded by mu; a job knows its place
	leases clock  // guarded by mu
	beats  clock  // guarded by mu
	gone   bool   // guarded by mu: no job may wait for its turn any more
	parked int    // guarded by mu: jobs that wait, of the tasks queue
}

func (r *registry) add(j *job, lease time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j.slot = len(r.jobs)
	j.leaseEnd = j.received.Add(lease)
	r.jobs = append(r.jobs, j)
	r.leases.set(&j.lease, j, j.received.Add(spread(lease/3)))
}

// watch starts the heartbeats of a job that has a token.
func (r *registry) watch(j *job, first time.Time) {
	if j.task.Token == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	j.token = j.task.Token
	r.beats.set(&j.beat, j, first)
}

func (r *registry) remove(j *job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.jobs) - 1
	r.jobs[j.slot] = r.jobs[last]
	r.jobs[j.slot].slot = j.slot
	r.jobs[last] = nil
	r.jobs = r.jobs[:last]
	j.slot = -1
	r.leases.drop(&j.lease)
	r.beats.drop(&j.beat)
}

func (r *registry) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.jobs)
}

func (r *registry) oldest() (received time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range r.jobs {
		if received.IsZero() || j.received.Before(received) {
			received = j.received
		}
	}
	return received
}

// sweeper keeps one clock of all jobs: one goroutine takes those that are due
// and a few send for them, however many jobs there are. Leases and heartbeats
// have a sweeper each, so that a slow Step Functions API costs no lease.
type sweeper struct {
	jobs  *registry
	every time.Duration
	clock *clock // one of jobs
	// send renews the clock of one job, or cancels it. It returns how long the
	// renewal is good for; 0 asks for another try soon.
	send func(context.Context, *job) time.Duration
}

const (
	// senders bounds the renewals of one sweeper that are under way at once.
	senders = 64
	// gather is how far apart the looks at a clock are at least: what thousands
	// of waiting jobs need comes in small portions, but not one by one.
	gather = 50 * time.Millisecond
)

func (s sweeper) run(ctx context.Context) {
	longest := min(max(s.every/8, 5*time.Millisecond), time.Second) // jobs come meanwhile
	shortest := min(longest, gather)
	next := time.NewTimer(longest)
	defer next.Stop()
	var sending sync.WaitGroup
	defer sending.Wait()
	free := make(chan struct{}, senders)
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		due, wait := s.due(time.Now(), longest)
		for _, r := range due {
			free <- struct{}{}
			sending.Go(func() {
				s.renew(ctx, r)
				<-free
			})
		}
		next.Reset(max(wait, shortest))
	}
}

// due takes off the clock what is due, and returns how long it is to the next
// one, at most longest. Jobs that are not due cost nothing.
func (s sweeper) due(now time.Time, longest time.Duration) (due []*renewal, wait time.Duration) {
	s.jobs.mu.Lock()
	defer s.jobs.mu.Unlock()
	for s.clock.Len() > 0 {
		first := s.clock.renewals[0]
		if wait := first.at.Sub(now); wait > 0 {
			return due, min(wait, longest)
		}
		s.clock.drop(first)
		due = append(due, first)
	}
	return due, longest
}

func (s sweeper) renew(ctx context.Context, r *renewal) {
	j := r.job
	if !s.jobs.holds(j) { // it ended while others were renewed
		return
	}
	once, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	began := time.Now()
	next := began.Add(spread(s.send(once, j)))
	if !next.After(began) {
		next = time.Now().Add(s.every / 8)
	}
	s.jobs.mu.Lock()
	defer s.jobs.mu.Unlock()
	if j.slot >= 0 {
		s.clock.set(r, j, next)
	}
}

func (r *registry) holds(j *job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return j.slot >= 0
}

// leases is the sweeper that extends them.
func (w *Worker) leases() sweeper {
	lease := w.deps.Tasks.Lease()
	return sweeper{jobs: w.jobs, every: lease / 3, clock: &w.jobs.leases,
		send: func(ctx context.Context, j *job) time.Duration {
			began := time.Now()
			err := j.delivery.Extend(ctx)
			w.jobs.mu.Lock()
			if err == nil {
				j.leaseEnd = began.Add(lease)
			}
			lost := errors.Is(err, queue.ErrLeaseLost) || time.Now().After(j.leaseEnd)
			w.jobs.mu.Unlock()
			switch {
			case lost:
				j.cancel(queue.ErrLeaseLost)
			case err != nil:
				w.log.DebugContext(ctx, "extending a lease again", "message", j.delivery.ID, "error", err)
				return 0
			}
			return lease / 3
		}}
}

// heartbeats is the sweeper of the tasks that last.
func (w *Worker) heartbeats() sweeper {
	every := w.opts.HeartbeatEvery / hurry
	return sweeper{jobs: w.jobs, every: every, clock: &w.jobs.beats,
		send: func(ctx context.Context, j *job) time.Duration {
			err := w.deps.Reporter.Heartbeat(ctx, j.token)
			w.stats.heartbeats.Add(1)
			switch {
			case errors.Is(err, call.ErrTaskGone):
				j.cancel(call.ErrTaskGone)
			case err != nil:
				w.log.DebugContext(ctx, "sending a heartbeat again", "request", j.task.ID, "error", err)
				return 0
			}
			return w.beatEvery()
		}}
}

// A heartbeat is how a worker learns that an execution was stopped. A worker
// with few tasks asks more often, at most hurry times as often, and for all its
// tasks together at most beatsPerSecond: Step Functions counts those of the
// whole fleet.
const (
	hurry          = 4
	beatsPerSecond = 5
)

// beatEvery is the time between two heartbeats of one task.
func (w *Worker) beatEvery() time.Duration {
	every := w.opts.HeartbeatEvery
	return min(every, max(every/hurry, time.Duration(w.jobs.len())*time.Second/beatsPerSecond))
}

// firstBeat is one interval after the task was sent, for its clock began then;
// one that waited for long is due at once.
func (w *Worker) firstBeat(j *job) time.Time {
	from := j.received
	if sent := j.delivery.Sent; !sent.IsZero() && sent.Before(from) && j.delivery.Attempt == 1 {
		from = sent
	}
	return from.Add(spread(w.beatEvery()))
}

// spread shortens d by up to a fifth, so that jobs that came together are not
// due together for ever.
func spread(d time.Duration) time.Duration {
	if d <= 5 {
		return d
	}
	return d - rand.N(d/5)
}
