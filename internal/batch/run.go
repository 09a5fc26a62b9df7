package batch

import (
	"context"
	"errors"
	"sync"

	"callfleet/internal/call"
)

// ErrLeft says that a batch was left before it was done: what was made of it is
// in its journal.
var ErrLeft = errors.New("the batch was left before it was done")

// ErrNotCalled comes with the outcome of a call that was not made, because the
// batch had no time for it. It is in the results and not in the journal: should
// nobody get these results, whoever takes the batch up makes the call.
var ErrNotCalled = errors.New("the batch had no time for the call")

// Lanes lends the slots of a worker that nobody else has work for. Its methods
// are safe for concurrent use.
type Lanes interface {
	// Borrow blocks until there is a slot to lend. The error is the cause of ctx.
	Borrow(ctx context.Context) error
	// Keep reports whether who has borrowed a slot may make another call with it.
	Keep() bool
	// GiveBack ends what Borrow has begun.
	GiveBack()
}

// Lane is a slot in which calls of a batch are made, one after the other. A call
// gives it up while it waits.
type Lane interface {
	Leave()
	// Return blocks until the slot is there again. On error, when ctx has ended,
	// it is not.
	Return(ctx context.Context) error
}

// Work is a batch to be done.
type Work struct {
	ID    string
	Calls []call.BatchCall
	// Call makes one call. Its error is ErrNotCalled, or says that it was broken
	// off, and that nothing is known of it; what became of any other call is its
	// outcome.
	Call func(ctx context.Context, c call.BatchCall, lane Lane) (call.CallOutcome, error)
	// Own is the slot that the batch itself has.
	Own Lane
	// Lanes are slots besides.
	Lanes Lanes
	// Room is how many bytes of results the output may take; 0 is as many as may
	// ever be there.
	Room int
	// Leaving, when it is closed, lets the calls under way come to their end and
	// begins none.
	Leaving <-chan struct{}
}

// Run makes the calls that are not in the batch's journal, and returns when it
// has the outcomes of all. The error is ErrLeft, a *call.Failure, or the cause
// of ctx.
func (s *Store) Run(ctx context.Context, w Work) (call.Manifest, error) {
	done, next, err := s.replay(ctx, w.ID, 0)
	if err != nil {
		return call.Manifest{}, failure(ctx, "read the journal of batch "+w.ID, err)
	}
	r := &run{work: w, outcomes: make(map[string]call.CallOutcome, len(w.Calls))}
	r.learn(done)
	r.journal = &journal{store: s, id: w.ID, next: next, learn: r.learn, entries: make(chan entry, len(w.Calls))}
	if err := r.all(ctx); err != nil {
		return call.Manifest{}, err
	}
	outcomes := make([]call.CallOutcome, len(w.Calls))
	for i, c := range w.Calls {
		outcomes[i] = r.outcomes[c.ID]
	}
	return s.finish(ctx, w, outcomes)
}

// run is a batch under way.
type run struct {
	work    Work
	journal *journal

	mu       sync.Mutex
	outcomes map[string]call.CallOutcome // those in the journal, and of calls that were not made; guarded by mu
	begun    int                         // calls that were looked at, from the first; guarded by mu
	err      error                       // why no more calls begin; guarded by mu
}

// learn takes up what is in the journal.
func (r *run) learn(done []call.CallOutcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range done {
		if _, known := r.outcomes[o.ID]; !known {
			r.outcomes[o.ID] = o
		}
	}
}

// all makes the calls: one after the other with the batch's own slot, and others
// beside them with slots that are lent.
func (r *run) all(ctx context.Context) error {
	var writing, lanes sync.WaitGroup
	writing.Go(func() { r.journal.run(ctx) })
	hiring, enough := context.WithCancel(ctx)
	lanes.Go(func() {
		for r.left() && r.work.Lanes.Borrow(hiring) == nil {
			lanes.Go(func() {
				b := &borrowed{lanes: r.work.Lanes, held: true}
				r.lane(ctx, b, b.keep)
				b.end()
			})
		}
	})
	o := &owned{Lane: r.work.Own, held: true}
	r.lane(ctx, o, func() bool { return r.regain(ctx, o) })
	enough()
	lanes.Wait()
	close(r.journal.entries)
	writing.Wait()
	return r.err
}

// lane makes one call after the other for as long as it may.
func (r *run) lane(ctx context.Context, lane Lane, more func() bool) {
	for {
		c, ok := r.take(ctx)
		if !ok {
			return
		}
		o, err := r.work.Call(ctx, c, lane)
		switch {
		case err == nil:
			err = r.journal.add(o)
		case errors.Is(err, ErrNotCalled):
			err = nil
		}
		if err != nil {
			r.stop(err)
			return
		}
		r.learn([]call.CallOutcome{o})
		if !more() {
			return
		}
	}
}

// regain gets the batch's own slot back from a call that has ended without it,
// because its turn did not come in time.
func (r *run) regain(ctx context.Context, o *owned) bool {
	if o.held || !r.left() {
		return true
	}
	if err := o.Return(ctx); err != nil {
		r.stop(err)
		return false
	}
	return true
}

// take is the next call that is not done.
func (r *run) take(ctx context.Context) (c call.BatchCall, ok bool) {
	select {
	case <-r.work.Leaving:
		r.leave()
	case <-ctx.Done():
		r.stop(context.Cause(ctx))
	default:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.err == nil && r.begun < len(r.work.Calls) {
		c := r.work.Calls[r.begun]
		r.begun++
		if _, done := r.outcomes[c.ID]; !done {
			return c, true
		}
	}
	return call.BatchCall{}, false
}

// left reports whether calls may still begin.
func (r *run) left() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err == nil && r.begun < len(r.work.Calls)
}

// leave stops the batch unless every call has begun.
func (r *run) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && r.begun < len(r.work.Calls) {
		r.err = ErrLeft
	}
}

// stop lets no more calls begin; the first reason counts, but for ErrLeft, which
// leaves nothing in doubt.
func (r *run) stop(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil || errors.Is(r.err, ErrLeft) {
		r.err = err
	}
}

// owned is the batch's own lane. It is used by one goroutine.
type owned struct {
	Lane
	held bool
}

// Leave implements Lane.
func (o *owned) Leave() {
	o.held = false
	o.Lane.Leave()
}

// Return implements Lane.
func (o *owned) Return(ctx context.Context) error {
	err := o.Lane.Return(ctx)
	o.held = err == nil
	return err
}

// borrowed is a lane that was lent. It is used by one goroutine.
type borrowed struct {
	lanes Lanes
	held  bool
}

// Leave implements Lane.
func (b *borrowed) Leave() {
	b.held = false
	b.lanes.GiveBack()
}

// Return implements Lane.
func (b *borrowed) Return(ctx context.Context) error {
	err := b.lanes.Borrow(ctx)
	b.held = err == nil
	return err
}

func (b *borrowed) keep() bool { return b.held && b.lanes.Keep() }

func (b *borrowed) end() {
	if b.held {
		b.lanes.GiveBack()
	}
}
