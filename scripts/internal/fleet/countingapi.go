package fleet

import (
	"fmt"
	"net"
	"net/http"
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
	seen  map[string]int
	again []time.Time // when a key came that had come before
}

// NewCountingAPI serves on a free loopback port.
func NewCountingAPI(delay time.Duration) (*CountingAPI, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	a := &CountingAPI{Addr: l.Addr().String(), delay: delay, seen: map[string]int{}}
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
	a.seen[key]++
	if a.seen[key] > 1 {
		a.again = append(a.again, time.Now())
	}
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

// Counts are all calls, the distinct keys, and when each repeated call came.
func (a *CountingAPI) Counts() (calls, keys int, again []time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls, len(a.seen), append([]time.Time(nil), a.again...)
}

// Has tells whether a key was seen.
func (a *CountingAPI) Has(key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[key] > 0
}
