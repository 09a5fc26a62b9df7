package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// testAPI is the API that is called. The first segment of a path says how it
// answers.
type testAPI struct {
	addr  string
	srv   *http.Server
	held  chan struct{} // closed when the first request of /held is there
	mu    sync.Mutex
	calls map[string]int // by idempotency key; guarded by mu
}

func startAPI() (*testAPI, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the API to call: %w", err)
	}
	a := &testAPI{addr: l.Addr().String(), held: make(chan struct{}), calls: map[string]int{}}
	a.srv = &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = a.srv.Serve(l) }()
	return a, nil
}

func (a *testAPI) close() { _ = a.srv.Close() }

func (a *testAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+secret || r.URL.Query().Get("key") != secret {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	a.mu.Lock()
	a.calls[key]++
	n := a.calls[key]
	a.mu.Unlock()
	way, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case way == "not-found":
		w.WriteHeader(http.StatusNotFound)
	case way == "flaky" && n == 1:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusInternalServerError)
	case way == "slow", way == "held" && n == 1:
		if way == "held" {
			close(a.held)
		}
		<-r.Context().Done() // until the caller gives up
	}
}
