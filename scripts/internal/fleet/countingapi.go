package fleet

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// CountingAPI answers every request after a delay and remembers which
// idempotency keys it saw, how often and when.
type CountingAPI struct {
	Addr  string
	delay time.Duration
	srv   *http.Server

	mu    sync.Mutex // guards what follows
	calls int
	seen  map[string]time.Time // when the key came last
	again []Repeat
}

// Repeat is a call whose key had come before.
type Repeat struct{ Before, At time.Time }

// NewCountingAPI serves on a free loopback port.
func NewCountingAPI(delay time.Duration) (*CountingAPI, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	a := &CountingAPI{Addr: l.Addr().String(), delay: delay, seen: map[string]time.Time{}}
	a.srv = &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = a.srv.Serve(l) }()
	return a, nil
}

// Close ends the server.
func (a *CountingAPI) Close() { _ = a.srv.Close() }

func (a *CountingAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Idempotency-Key")
	a.mu.Lock()
	a.calls++
	now := time.Now()
	if before, ok := a.seen[key]; ok {
		a.again = append(a.again, Repeat{before, now})
	}
	a.seen[key] = now
	a.mu.Unlock()
	if a.delay > 0 {
		select {
		case <-time.After(a.delay):
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"key":%q}`, key)
}

// Counts are all calls, the distinct keys, and the repeated calls.
func (a *CountingAPI) Counts() (calls, keys int, again []Repeat) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls, len(a.seen), slices.Clone(a.again)
}

// Has tells whether a key was seen.
func (a *CountingAPI) Has(key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.seen[key]
	return ok
}
