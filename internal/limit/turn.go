package limit

import (
	"context"
	"fmt"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/lifecycle"
)

// Place is what a call gives up while it waits, such as a worker's slot.
type Place interface {
	// Leave gives it up, and returns the context of the wait, whose end is the
	// end of the call: one that has ended already says that it cannot wait here.
	// began is whether the call has made attempts. It does not block.
	Leave(ctx context.Context, began bool) (context.Context, context.CancelFunc)
	// Return blocks until it has it again. On error, when ctx has ended, it has
	// not.
	Return(ctx context.Context) error
}

// Turn is one call's way through the limits of its key. It is used by one
// goroutine at a time.
type Turn struct {
	limiter *Limiter
	key     string
	place   Place
	flow    *flow // where the attempt under way is counted; nil when it is not
	grant   grant
	began   bool // an attempt was made
}

var _ call.Turns = (*Turn)(nil)

// Turn begins a call of a key. The place is left while the call waits.
func (l *Limiter) Turn(key string, p Place) *Turn { return &Turn{limiter: l, key: key, place: p} }

// Begin implements call.Turns. The error is a *call.Failure when the deadline
// comes first, or is bound to; ErrFull when the call may not wait here; or the
// cause of ctx.
func (t *Turn) Begin(ctx context.Context, notBefore time.Time) error {
	now := time.Now()
	if !notBefore.After(now) {
		f := t.limiter.find(t.key)
		if f == nil {
			t.began = true
			return nil
		}
		ok := f.queue.Len() == 0
		if ok {
			t.grant, ok, _ = f.permit(now)
		}
		if ok && f.short(now) {
			f.poke()
		}
		f.mu.Unlock()
		if ok {
			t.flow, t.began = f, true
			return nil
		}
	}
	return t.wait(ctx, notBefore)
}

// wait is the long way: without a place, in the key's queue.
func (t *Turn) wait(ctx context.Context, notBefore time.Time) error {
	f := t.limiter.flow(t.key)
	room := f.admit(t.began)
	f.mu.Unlock()
	if !room && !t.began {
		return ErrFull
	}
	defer f.dismiss()
	w := &waiter{notBefore: notBefore, place: t.place}
	if !room { // it must wait here, for it has made attempts; so that no other comes in its place
		w.place = stay{}
	}
	for {
		if err := t.await(ctx, f, w); err != nil {
			return err
		}
		if f.confirm(w) {
			t.flow, t.grant, t.began = f, w.grant, true
			return nil
		}
		w.again = true
	}
}

// await waits for a turn without the place, and returns with it.
func (t *Turn) await(ctx context.Context, f *flow, w *waiter) error {
	ctx, end := w.place.Leave(ctx, t.began)
	defer end()
	if d := time.Until(w.notBefore); d > 0 {
		_ = lifecycle.Sleep(ctx, d)
	}
	if err := f.enter(ctx, w); err != nil {
		return err
	}
	select {
	case <-w.ready:
	case <-ctx.Done():
		return f.giveUp(ctx, w)
	}
	if err := w.place.Return(ctx); err != nil {
		f.handBack(w)
		return f.cause(ctx)
	}
	return nil
}

// End implements call.Turns.
func (t *Turn) End(a call.Attempt) (held bool) {
	v := judge(a)
	f, g := t.flow, t.grant
	counted := f != nil
	t.flow, t.grant = nil, grant{}
	switch {
	case counted:
		f.mu.Lock()
	case v == broken || v == failed || v == busy || v == away:
		f = t.limiter.flow(t.key)
	default:
		if f = t.limiter.find(t.key); f == nil {
			return false
		}
	}
	defer f.mu.Unlock()
	now := time.Now()
	f.ended(v, a, g, now)
	if counted {
		f.end(g, now)
	}
	f.poke()
	return v == busy || v == away
}

// The methods below are without the flow's mu, unless they say otherwise.

// admit lets a call wait, and reports whether there is room for it; one that
// has begun waits without room. The caller holds mu.
func (f *flow) admit(began bool) (room bool) {
	most := f.limiter.opts.Backlog
	if n := f.record.Policy.Backlog; n > 0 {
		most = n
	}
	room = f.parked < most && f.limiter.waiting.Load() < int64(f.limiter.opts.MaxWaiting)
	if room || began {
		f.parked++
		f.limiter.waiting.Add(1)
	}
	return room
}

// stay is the place of a call that keeps its own.
type stay struct{}

func (stay) Leave(ctx context.Context, _ bool) (context.Context, context.CancelFunc) {
	return ctx, func() {}
}
func (stay) Return(context.Context) error { return nil }

func (f *flow) dismiss() {
	f.limiter.waiting.Add(-1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parked--
}

// enter puts a call into the queue: at its end, or, when it had its turn
// before, at its front. A call that cannot begin before its deadline does not
// wait for it.
func (f *flow) enter(ctx context.Context, w *waiter) error {
	if ctx.Err() != nil {
		return f.cause(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		switch s := f.record.State(now); {
		case s == Held && f.record.Until.After(deadline):
			return f.failure(s, "until "+f.record.Until.UTC().Format(time.RFC3339)+", longer than the time left for the task")
		case s == Tripped && f.record.Cool.After(deadline):
			return f.failure(s, "and is tried again after the time of the task is up")
		}
	}
	w.ready, w.grant = make(chan struct{}), grant{}
	if w.again {
		w.queued = f.queue.PushFront(w)
	} else {
		w.queued = f.queue.PushBack(w)
	}
	f.poke()
	return nil
}

// giveUp takes a call out of the queue whose ctx has ended.
func (f *flow) giveUp(ctx context.Context, w *waiter) error {
	f.mu.Lock()
	if w.queued != nil {
		f.queue.Remove(w.queued)
		w.queued = nil
		f.mu.Unlock()
	} else { // its turn came at this moment
		f.mu.Unlock()
		f.handBack(w)
	}
	return f.cause(ctx)
}

// handBack gives back a turn that was not used.
func (f *flow) handBack(w *waiter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.abandon(w.grant)
	f.end(w.grant, time.Now())
	f.poke()
}

// abandon gives up a probe; the caller holds mu.
func (f *flow) abandon(g grant) {
	if g.probe {
		id := f.limiter.opts.ID
		f.change(func(r *Record) { r.Abandon(id) })
	}
}

// confirm reports whether the turn still holds now that the call has its place:
// in time, and with nothing in the way that has come up since.
func (f *flow) confirm(w *waiter) bool {
	f.mu.Lock()
	now := time.Now()
	s := f.record.State(now)
	ok := w.grant.until.IsZero() || now.Before(w.grant.until)
	switch s {
	case Paused, Held:
		ok = false
	case Tripped:
		ok = w.grant.probe
	}
	f.mu.Unlock()
	if !ok {
		f.handBack(w)
	}
	return ok
}

// ended takes in what an attempt has shown; the caller holds mu.
func (f *flow) ended(v verdict, a call.Attempt, g grant, now time.Time) {
	id, at := f.limiter.opts.ID, now.Round(0)
	trip := f.health.note(v, now)
	switch {
	case v == busy:
		f.abandon(g)
		f.change(func(r *Record) { r.Hold(at, a.RetryAfter, a.Asked) })
		f.blocks = nil
	case g.probe && (v == failed || v == broken || v == away), trip && f.record.Trips == 0:
		f.change(func(r *Record) { r.Trip(at, id) })
		f.blocks = nil
	case v == passed && (g.probe || f.record.Strikes > 0 && !now.Before(f.record.Until)):
		f.change(func(r *Record) { r.Passed(at, id) })
	case v == nothing:
		f.abandon(g)
	}
}

// cause says why a call that waited has ended: the cause of ctx, or, at its
// deadline, what it has waited for.
func (f *flow) cause(ctx context.Context) error {
	if ctx.Err() != context.DeadlineExceeded {
		return context.Cause(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failure(f.record.State(time.Now()), "and the time budget of the task is used up")
}

// failure is that of a call whose turn did not come; the caller holds mu.
func (f *flow) failure(s State, why string) *call.Failure {
	name, what := call.RateLimited, "is at its limit"
	switch s {
	case Paused:
		what = "is paused by its owner"
	case Held:
		what = "is paused by the API"
	case Tripped:
		name, what = call.CircuitOpen, "has its circuit open, because its destination fails,"
	}
	return &call.Failure{Name: name, Cause: fmt.Sprintf("wait for a turn: flow %s %s %s", f.key, what, why)}
}
