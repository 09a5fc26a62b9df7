// Package fresh keeps values that cost a request to somebody else: one fetch
// at a time for each key however many wait for it, fetched anew ahead of
// expiry while the old value still serves, failures remembered for a moment.
package fresh

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

// Options bound a Cache. A zero field is its default.
type Options struct {
	Timeout time.Duration // of one fetch; 10 s
	Failure time.Duration // how long a failure is the answer before the next fetch; 1 s
	Max     int           // keys; 1,024
}

// Item is what a fetch brings.
type Item[V any] struct {
	Value   V
	Refresh time.Time // from then on it is fetched anew, and serves meanwhile
	Expires time.Time // it does not serve from then on
}

// Cache keeps one value for each key. Its methods are safe for concurrent use.
type Cache[K comparable, V any] struct {
	options Options
	running sync.WaitGroup

	mu      sync.RWMutex    // guards all below, and the entries
	entries map[K]*entry[V] //
	closed  bool
}

type entry[V any] struct {
	item   Item[V] // none when Expires is zero
	err    error   // of the last fetch, until again
	again  time.Time
	flight *flight[V] // nil when no fetch is under way
}

// flight is one fetch. Its result is written before done is closed.
type flight[V any] struct {
	done   chan struct{}
	cancel context.CancelFunc
	value  V
	err    error
}

// errClosed is for those who ask while the program stops.
var errClosed = errors.New("the program stops")

// New makes a Cache.
func New[K comparable, V any](o Options) *Cache[K, V] {
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.Failure = cmp.Or(o.Failure, time.Second)
	o.Max = cmp.Or(o.Max, 1024)
	return &Cache[K, V]{options: o, entries: map[K]*entry[V]{}}
}

// Get returns the value of key. It waits for a fetch only when there is no
// value that may serve, and no longer than ctx, whose cause is then the error.
// fetch runs in a goroutine of its own, which outlives ctx and which Close
// waits for; of all callers with the same key, one caller's fetch runs.
func (c *Cache[K, V]) Get(ctx context.Context, key K, fetch func(context.Context) (Item[V], error)) (V, error) {
	now := time.Now()
	c.mu.RLock()
	if e := c.entries[key]; e != nil && now.Before(e.item.Refresh) {
		v := e.item.Value
		c.mu.RUnlock()
		return v, nil
	}
	c.mu.RUnlock()
	v, f, err := c.start(ctx, key, fetch, now)
	if f == nil {
		return v, err
	}
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		return v, context.Cause(ctx)
	}
}

// start begins a fetch unless one is under way. A flight is returned to those
// who have to wait for it.
func (c *Cache[K, V]) start(ctx context.Context, key K, fetch func(context.Context) (Item[V], error), now time.Time) (v V, f *flight[V], err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return v, nil, errClosed
	}
	e := c.entries[key]
	if e == nil {
		e = &entry[V]{}
		c.makeRoom(now)
		c.entries[key] = e
	}
	if now.Before(e.item.Refresh) { // somebody was faster
		return e.item.Value, nil, nil
	}
	if e.flight == nil && !now.Before(e.again) {
		c.launch(ctx, e, fetch)
	}
	switch {
	case now.Before(e.item.Expires):
		return e.item.Value, nil, nil
	case e.flight == nil:
		return v, nil, e.err
	}
	return v, e.flight, nil
}

// launch is called with mu held.
func (c *Cache[K, V]) launch(ctx context.Context, e *entry[V], fetch func(context.Context) (Item[V], error)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.options.Timeout)
	f := &flight[V]{done: make(chan struct{}), cancel: cancel}
	e.flight = f
	c.running.Add(1)
	go func() {
		defer c.running.Done()
		defer cancel()
		item, err := fetch(ctx)
		f.value, f.err = item.Value, err
		c.mu.Lock()
		defer c.mu.Unlock()
		e.flight, e.err, e.again = nil, err, time.Time{}
		if err == nil {
			e.item = item
		} else {
			e.again = time.Now().Add(c.options.Failure)
		}
		close(f.done)
	}()
}

// makeRoom drops what has expired when there are too many keys, and if that is
// not enough any that nobody waits for. It is called with mu held.
func (c *Cache[K, V]) makeRoom(now time.Time) {
	if len(c.entries) < c.options.Max {
		return
	}
	for key, e := range c.entries {
		if e.flight == nil && !now.Before(e.item.Expires) {
			delete(c.entries, key)
		}
	}
	for key, e := range c.entries {
		if len(c.entries) < c.options.Max {
			return
		}
		if e.flight == nil {
			delete(c.entries, key)
		}
	}
}

// Drop forgets the value of key if stale says so, and the next Get fetches.
func (c *Cache[K, V]) Drop(key K, stale func(V) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil && !e.item.Expires.IsZero() && stale(e.item.Value) {
		e.item = Item[V]{}
	}
}

// Close ends the fetches under way and waits for them; Get fails afterwards
// for what it would have to fetch.
func (c *Cache[K, V]) Close() {
	c.mu.Lock()
	c.closed = true
	for _, e := range c.entries {
		if e.flight != nil {
			e.flight.cancel()
		}
	}
	c.mu.Unlock()
	c.running.Wait()
}
