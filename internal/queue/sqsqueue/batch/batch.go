// Package batch gathers what many callers send, one entry each, into requests
// that carry several: a group commit with a bounded wait.
//
//	Add ──► pending ── full, or the oldest has lingered ──► request (several in flight) ──► done of each entry
//
// It keeps no goroutine while there is nothing to send, so there is nothing to
// close.
package batch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Options are the bounds of a Batcher. All but Linger must be above 0.
type Options struct {
	Entries  int           // of one request
	Bytes    int           // of one request; an entry that is larger goes alone
	InFlight int           // requests at a time
	Linger   time.Duration // wait of an entry for others
	Timeout  time.Duration // of a request
	Go       func(func())  // runs a request; on a new goroutine if nil
}

// Send sends a request and returns the result of each entry, in their order.
type Send[E any] func(ctx context.Context, entries []E) []error

// Batcher gathers entries. It is safe for concurrent use.
type Batcher[E any] struct {
	options Options
	send    Send[E]

	mu       sync.Mutex
	pending  []item[E]   // guarded by mu: not sent yet, oldest first
	timer    *time.Timer // guarded by mu: ends the linger of pending
	armed    bool        // guarded by mu: the timer runs
	due      bool        // guarded by mu: pending has lingered
	inFlight int         // guarded by mu: requests
}

// item is an entry that waits to be sent.
type item[E any] struct {
	ctx   context.Context // of who waits for it
	entry E
	size  int
	done  func(error)
}

// errUnanswered is the result of an entry that Send has none for.
var errUnanswered = errors.New("no result for this entry")

// New makes a Batcher that sends by send.
func New[E any](o Options, send Send[E]) *Batcher[E] {
	if o.Go == nil {
		o.Go = func(f func()) { go f() }
	}
	return &Batcher[E]{options: o, send: send}
}

// Do sends an entry of so many bytes and returns its result. When ctx ends
// before, it returns the cause of that; the entry may have been sent.
func (b *Batcher[E]) Do(ctx context.Context, entry E, size int) error {
	result := make(chan error, 1)
	b.Add(ctx, entry, size, func(err error) { result <- err })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Add sends an entry of so many bytes, and calls done with its result, once.
// An entry whose ctx ends before it is sent is not sent. A request is cancelled
// when the contexts of all its entries have ended.
func (b *Batcher[E]) Add(ctx context.Context, entry E, size int, done func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = append(b.pending, item[E]{ctx, entry, size, done})
	b.dispatch()
}

// dispatch sends what can be sent now. The caller holds mu.
func (b *Batcher[E]) dispatch() {
	for b.inFlight < b.options.InFlight && len(b.pending) > 0 {
		n, full := b.cut()
		if !full && !b.due && b.options.Linger > 0 {
			b.linger()
			return
		}
		items := b.pending[:n:n]
		b.pending = b.pending[n:]
		if !full {
			b.due = false // what came later lingers anew
		}
		b.inFlight++
		b.options.Go(func() { b.request(items) })
	}
	if len(b.pending) == 0 {
		b.pending, b.due = nil, false
		if b.armed {
			b.armed = !b.timer.Stop() // if it fired already, elapsed comes yet
		}
	}
}

// cut tells how many entries the next request takes, and whether there is no
// room in it for more. The caller holds mu.
func (b *Batcher[E]) cut() (n int, full bool) {
	bytes := 0
	for n < len(b.pending) && n < b.options.Entries {
		bytes += b.pending[n].size
		if n > 0 && bytes > b.options.Bytes {
			return n, true
		}
		n++
	}
	return n, n == b.options.Entries || bytes >= b.options.Bytes
}

// linger starts the wait of pending, unless it runs. The caller holds mu.
func (b *Batcher[E]) linger() {
	switch {
	case b.armed:
		return
	case b.timer == nil:
		b.timer = time.AfterFunc(b.options.Linger, b.elapsed)
	default:
		b.timer.Reset(b.options.Linger)
	}
	b.armed = true
}

func (b *Batcher[E]) elapsed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = false
	b.due = len(b.pending) > 0
	b.dispatch()
}

// request sends items, and then what has been waiting for its end.
func (b *Batcher[E]) request(items []item[E]) {
	b.deliver(items)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight--
	b.dispatch()
}

// deliver sends the items whose callers still wait.
func (b *Batcher[E]) deliver(items []item[E]) {
	wanted := items[:0]
	for _, it := range items {
		if it.ctx.Err() != nil {
			it.done(context.Cause(it.ctx))
			continue
		}
		wanted = append(wanted, it)
	}
	if len(wanted) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(wanted[0].ctx), b.options.Timeout)
	defer cancel()
	var waiting atomic.Int64
	waiting.Store(int64(len(wanted)))
	entries := make([]E, len(wanted))
	for i, it := range wanted {
		entries[i] = it.entry
		stop := context.AfterFunc(it.ctx, func() {
			if waiting.Add(-1) == 0 {
				cancel()
			}
		})
		defer stop()
	}
	results := b.send(ctx, entries)
	for i, it := range wanted {
		if i >= len(results) {
			it.done(errUnanswered)
			continue
		}
		it.done(results[i])
	}
}
