package limit

import (
	"container/list"
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"callfleet/internal/lifecycle"
	"callfleet/internal/limit/store"
)

const (
	// lead is how long before its tokens end a worker leases the next ones.
	lead = 100 * time.Millisecond
	// ahead is for how long tokens are leased that no call waits for yet; from
	// half of it on there are more. So calls of a key that is below its rate do
	// not wait for the store.
	ahead = 40 * time.Millisecond
	// lingers is how long a worker stays a member without calls.
	lingers = time.Second
	// never is later than any deadline.
	never = 24 * time.Hour
)

// flow is one key as this worker sees it.
type flow struct {
	limiter *Limiter
	key     string
	woken   chan struct{} // holds one signal for serve

	mu       sync.Mutex
	dead     bool            // guarded by mu: forgotten, find another
	record   Record          // guarded by mu: the last one seen, with our changes
	revision uint64          // guarded by mu: of the record in the store, 0 is none
	seen     uint64          // guarded by mu: the highest revision, removals included
	changes  []func(*Record) // guarded by mu: not in the store yet; each may be made twice
	queue    list.List       // guarded by mu: *waiter, those whose turn may come
	parked   int             // guarded by mu: calls that wait, for their turn or for their time
	running  int             // guarded by mu: calls under way
	blocks   []block         // guarded by mu: tokens leased, by time
	pace     pace            // guarded by mu: of the calls that take tokens
	probing  probing         // guarded by mu
	yield    bool            // guarded by mu: another has too little of the concurrency, this one more than its part
	serving  bool            // guarded by mu
	idle     time.Time       // guarded by mu: when the last call ended, zero while there are some
	health   health          // guarded by mu
	begun    meter           // guarded by mu
}

// probing is what this worker knows of its probe.
type probing int

const (
	noProbe      probing = iota
	probeLeased          // nobody has it yet
	probeRunning         // a call is it
)

// waiter is one call in the queue.
type waiter struct {
	notBefore time.Time
	again     bool          // it had its turn and could not use it
	ready     chan struct{} // closed when its turn has come
	grant     grant         // written before ready is closed
	queued    *list.Element // guarded by the flow's mu; nil when not in the queue
	place     Place
}

// grant is a turn. It must be used by a certain time, so that turns given out
// while the worker had no slot free don't come in a burst.
type grant struct {
	until time.Time // zero is any time
	probe bool
}

func newFlow(l *Limiter, key string) *flow {
	return &flow{limiter: l, key: key, woken: make(chan struct{}, 1)}
}

// The methods below are called with mu held, unless they say otherwise.

// adopt takes a record of the store, and makes our changes in it anew.
func (f *flow) adopt(r Record, e store.Entry) {
	if e.Revision <= f.seen {
		return
	}
	f.seen, f.record, f.revision = e.Revision, r, e.Revision
	if e.Value == nil {
		f.revision = 0
	}
	for _, change := range f.changes {
		change(&f.record)
	}
}

// change makes a change here at once, and in the store soon.
func (f *flow) change(c func(*Record)) {
	c(&f.record)
	f.changes = append(f.changes, c)
}

// poke has serve look again. It starts it when there is something to do.
func (f *flow) poke() {
	select {
	case f.woken <- struct{}{}:
	default:
	}
	if f.serving || f.queue.Len() == 0 && len(f.changes) == 0 {
		return
	}
	f.serving = true
	f.limiter.serve(f)
}

// permit begins a call if it may begin now; if not, again is when to look next.
func (f *flow) permit(now time.Time) (g grant, ok bool, again time.Time) {
	switch f.record.State(now) {
	case Paused:
		return g, false, now.Add(never)
	case Tripped:
		if f.probing != probeLeased {
			return g, false, now.Add(never)
		}
		f.probing = probeRunning
		f.begin(now)
		return grant{probe: true}, true, now
	case Held:
		return g, false, f.record.Until
	}
	if f.record.Policy.Concurrency > 0 {
		me := f.record.Members[f.limiter.opts.ID]
		if f.running >= me.Held || f.yield || !now.Before(me.Until) {
			return g, false, now.Add(never)
		}
	}
	if f.record.rate(now) > 0 {
		f.expire(now)
		if len(f.blocks) == 0 {
			return g, false, now.Add(never)
		}
		b := &f.blocks[0]
		if b.at.After(now) {
			return g, false, b.at
		}
		g.until = b.at.Add(late)
		b.at = b.at.Add(b.every)
		b.n--
		f.pace.calls++
	}
	f.begin(now)
	return g, true, now
}

func (f *flow) begin(now time.Time) {
	f.running++
	f.begun.add(now)
	f.idle = time.Time{}
}

// expire drops the tokens whose time is over.
func (f *flow) expire(now time.Time) {
	oldest := now.Add(-late)
	for len(f.blocks) > 0 {
		b := &f.blocks[0]
		for b.n > 0 && b.at.Before(oldest) {
			b.at = b.at.Add(b.every)
			b.n--
		}
		if b.n > 0 {
			return
		}
		f.blocks = f.blocks[1:]
	}
}

// tokens counts those leased, and says when the last one is due.
func (f *flow) tokens(now time.Time) (n int, last time.Time) {
	f.expire(now)
	for _, b := range f.blocks {
		n += b.n
		last = b.last()
	}
	return n, last
}

// short reports whether the tokens end soon, at the pace at which calls take
// them.
func (f *flow) short(now time.Time) bool {
	if f.pace.spare() == 0 {
		return false
	}
	n, _ := f.tokens(now)
	return n < f.pace.spare()/2
}

// dispatch gives turns to those who wait longest, and says when to look again.
func (f *flow) dispatch(now time.Time) (again time.Time) {
	for f.queue.Len() > 0 {
		g, ok, at := f.permit(now)
		if !ok {
			return at
		}
		w := f.queue.Remove(f.queue.Front()).(*waiter)
		w.queued, w.grant = nil, g
		close(w.ready)
	}
	return now.Add(never)
}

// end takes back a turn, used or not.
func (f *flow) end(g grant, now time.Time) {
	f.running--
	if g.probe && f.probing == probeRunning {
		f.probing = noProbe
	}
	if f.running == 0 && f.queue.Len() == 0 {
		f.idle = now
	}
}

// unused reports whether the flow can be forgotten here, and whether its record
// can be removed from the store. Without mu.
func (f *flow) unused(now time.Time) (forget, remove bool, revision uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.serving || f.parked > 0 || f.running > 0 || len(f.changes) > 0 || f.health.fresh(now) {
		return false, false, 0
	}
	if f.revision != 0 { // its removal comes by the watch
		return false, f.record.idle(now), f.revision
	}
	f.dead = true
	return true, false, 0
}

// serve gives the calls of the flow their turns, and leases what they need,
// until there are none. Without mu.
func (f *flow) serve(ctx context.Context) {
	for pause := firstRetry; ; {
		f.mu.Lock()
		now := time.Now()
		again := f.dispatch(now)
		need, at := f.plan(now)
		if !need && f.quiet() || ctx.Err() != nil {
			f.serving = false
			f.mu.Unlock()
			f.leave(ctx)
			return
		}
		f.mu.Unlock()
		if need {
			if err := f.lease(ctx); err == nil {
				f.limiter.outage.Passed(ctx)
				pause = firstRetry
				continue
			} else if ctx.Err() == nil {
				f.limiter.outage.Failed(ctx, err, "flow", f.key)
			}
			_ = lifecycle.Sleep(ctx, jitter(pause))
			pause = min(2*pause, longRetry)
			continue
		}
		if at.Before(again) {
			again = at
		}
		f.wait(ctx, time.Until(again))
	}
}

func (f *flow) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-f.woken:
	case <-t.C:
	case <-ctx.Done():
	}
}

// quiet reports whether nothing is left to serve.
func (f *flow) quiet() bool {
	_, member := f.record.Members[f.limiter.opts.ID]
	return f.queue.Len() == 0 && len(f.changes) == 0 && !member
}

// leave gives back what the worker has leased, when it is told to stop. Without
// mu.
func (f *flow) leave(ctx context.Context) {
	f.mu.Lock()
	nothing := f.quiet() || f.running > 0
	f.mu.Unlock()
	if ctx.Err() == nil || nothing {
		return
	}
	_ = f.lease(context.WithoutCancel(ctx)) // else its time ends
}

// jitter is d, give or take a half.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }
