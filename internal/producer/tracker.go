package producer

import (
	"context"
	"sync"
	"time"
)

// openCall is a request that was published, or is about to be, and has no
// outcome yet.
type openCall struct {
	line    int64
	sent    time.Time
	traceID string
	checked time.Time // when its outcome was last asked for
	taken   bool      // its result is being written
}

// tracker holds the open calls of a run: at most a window of them.
type tracker struct {
	window int

	mu      sync.Mutex
	open    map[string]openCall // by request id; guarded by mu
	heard   time.Time           // when the feed last brought something; guarded by mu
	changed chan struct{}       // closed and replaced when calls leave; guarded by mu
}

func newTracker(window int, now time.Time) *tracker {
	return &tracker{window: window, open: map[string]openCall{}, heard: now, changed: make(chan struct{})}
}

// reserve waits until n more calls fit into the window. One goroutine adds.
func (t *tracker) reserve(ctx context.Context, n int) error {
	return t.wait(ctx, func(open int) bool { return open+n <= t.window || open == 0 })
}

// drained waits until no call is open.
func (t *tracker) drained(ctx context.Context) error {
	return t.wait(ctx, func(open int) bool { return open == 0 })
}

func (t *tracker) wait(ctx context.Context, ready func(open int) bool) error {
	for {
		t.mu.Lock()
		ok, changed := ready(len(t.open)), t.changed
		t.mu.Unlock()
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

// add opens a call.
func (t *tracker) add(id string, c openCall) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[id] = c
}

// hear notes that the feed has brought something.
func (t *tracker) hear(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard = now
}

// take claims an open call for the one who writes its result. It is false for
// calls that are done, claimed or not of this run.
func (t *tracker) take(id string) (openCall, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.open[id]
	if !ok || c.taken {
		return openCall{}, false
	}
	c.taken = true
	t.open[id] = c
	return c, true
}

// remove closes calls: their results are written.
func (t *tracker) remove(ids ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		delete(t.open, id)
	}
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *tracker) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open)
}

// overdue marks and returns up to limit calls that have been open, and not
// asked for, since before; none if the feed has brought something since then.
func (t *tracker) overdue(before, now time.Time, limit int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.heard.After(before) {
		return nil
	}
	var ids []string
	for id, c := range t.open {
		if len(ids) == limit {
			break
		}
		if !c.taken && c.sent.Before(before) && c.checked.Before(before) {
			c.checked = now
			t.open[id] = c
			ids = append(ids, id)
		}
	}
	return ids
}
