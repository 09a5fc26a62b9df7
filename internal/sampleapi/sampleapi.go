// Package sampleapi is an HTTP API to try calls on: everything go-httpbin
// offers (/anything, /status, /delay, …), an endpoint that fails in a way that
// can be foretold, and one with a rate. It is meant for the loopback interface.
package sampleapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
)

// The bounds of the API.
const (
	maxKeys     = 100_000 // idempotency keys remembered by /flaky
	maxKey      = 256     // bytes of one key
	maxBody     = 1 << 20
	maxDuration = 30 * time.Second // of /delay
)

// New makes the API. It is safe for concurrent use.
func New() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/flaky", &flaky{seen: map[string]int{}})
	mux.Handle("/limited", &limited{})
	mux.Handle("/", httpbin.New(httpbin.WithMaxBodySize(maxBody), httpbin.WithMaxDuration(maxDuration)))
	return mux
}

// flaky answers GET and POST /flaky?fail=N&status=S&retry_after=R: the first N
// attempts with the same Idempotency-Key (or, without one, key parameter) get
// status S (503) and, if R is given, "Retry-After: R"; later ones get 200 and
// the number of the attempt.
type flaky struct {
	mu   sync.Mutex
	seen map[string]int // attempts by key; guarded by mu
	ring []string       // the keys of seen, the oldest at next; guarded by mu
	next int
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		key = q.Get("key")
	}
	fail, err := number(q, "fail", 1, 0, 1000)
	status, err2 := number(q, "status", http.StatusServiceUnavailable, 400, 599)
	retryAfter, err3 := number(q, "retry_after", -1, 0, 3600)
	for _, err := range []error{err, err2, err3} {
		if err != nil {
			reply(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
			return
		}
	}
	if key == "" || len(key) > maxKey {
		reply(w, http.StatusBadRequest, map[string]any{
			"error": fmt.Sprintf("want an Idempotency-Key header, or a key parameter, of 1 to %d bytes", maxKey)})
		return
	}
	attempt := f.count(key)
	if attempt > fail {
		reply(w, http.StatusOK, map[string]any{"attempt": attempt})
		return
	}
	if retryAfter >= 0 {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	reply(w, status, map[string]any{"attempt": attempt, "error": "flaky"})
}

// number is the parameter's value, or the default.
func number(q url.Values, name string, absent, least, most int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s must be a number from %d to %d", name, least, most)
	}
	return n, nil
}

// count is the number of this attempt. Of more than maxKeys keys the oldest is
// forgotten.
func (f *flaky) count(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.seen[key]; !known {
		if len(f.ring) < maxKeys {
			f.ring = append(f.ring, key)
		} else {
			delete(f.seen, f.ring[f.next])
			f.ring[f.next] = key
			f.next = (f.next + 1) % maxKeys
		}
	}
	f.seen[key]++
	return f.seen[key]
}

func reply(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone: nobody to tell
}
