// Package window keeps the calls of a run that were published and have no
// outcome yet, and bounds their number.
package window

import (
	"context"
	"sync"
	"time"
)

// Call is a request that was published, or is about to be, and has no outcome
// yet.
type Call struct {
	Line    int64
	Sent    time.Time
	TraceID string
	Batch   string    // the id of the execution that it is in with others, "" for its own
	checked time.Time // when its outcome was last asked for
	taken   bool      // its result is being written
}

// Window holds the open calls of a run. It is safe for concurrent use.
type Window struct {
	size int

	mu      sync.Mutex
	open    map[string]Call // by request id; guarded by mu
	heard   time.Time       // when the feed last brought something; guarded by mu
	changed chan struct{}   // closed and replaced when calls leave; guarded by mu
}

// New makes a window for that many open calls; now counts as hearing from the
// feed.
func New(size int, now time.Time) *Window {
	return &Window{size: size, open: map[string]Call{}, heard: now, changed: make(chan struct{})}
}

// Reserve waits until n more calls fit into the window. One goroutine adds.
func (w *Window) Reserve(ctx context.Context, n int) error {
	return w.wait(ctx, func(open int) bool { return open+n <= w.size || open == 0 })
}

// Drained waits until no call is open.
func (w *Window) Drained(ctx context.Context) error {
	return w.wait(ctx, func(open int) bool { return open == 0 })
}

func (w *Window) wait(ctx context.Context, ready func(open int) bool) error {
	for {
		w.mu.Lock()
		ok, changed := ready(len(w.open)), w.changed
		w.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Add opens a call.
func (w *Window) Add(id string, c Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[id] = c
}

// Hear notes that the feed has brought something.
func (w *Window) Hear(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = now
}

// Take claims an open call for the one who writes its result. It is false for
// calls that are done, claimed or not of this run.
func (w *Window) Take(id string) (Call, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.open[id]
	if !ok || c.taken {
		return Call{}, false
	}
	c.taken = true
	w.open[id] = c
	return c, true
}

// Remove closes calls: their results are written.
func (w *Window) Remove(ids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		delete(w.open, id)
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// Len is the number of open calls.
func (w *Window) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.open)
}

// Members are the open calls of a batch that nobody has claimed.
func (w *Window) Members(batch string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for id, c := range w.open {
		if c.Batch == batch && !c.taken {
			ids = append(ids, id)
		}
	}
	return ids
}

// Overdue returns the ids of up to limit calls, or of the batches that they are
// in, that have been open, and not asked for, since before, and marks the calls;
// none if the feed has brought something since then.
func (w *Window) Overdue(before, now time.Time, limit int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.heard.After(before) {
		return nil
	}
	var ids []string
	batches := map[string]bool{}
	for id, c := range w.open {
		if c.taken || !c.Sent.Before(before) || !c.checked.Before(before) || len(ids) == limit && !batches[c.Batch] {
			continue
		}
		c.checked = now
		w.open[id] = c
		if c.Batch == "" {
			ids = append(ids, id)
		} else if !batches[c.Batch] {
			batches[c.Batch] = true
			ids = append(ids, c.Batch)
		}
	}
	return ids
}
