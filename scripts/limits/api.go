package main

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// api is a server that notes when its calls begin and how many there are at
// once.
type api struct {
	addr  string
	takes atomic.Int64 // nanoseconds, each call
	srv   *http.Server

	mu      sync.Mutex // guards what follows
	began   []time.Time
	now     int
	most    int
	aborted int // calls whose caller went away
	changed chan struct{}
}

// newAPI serves on a free loopback port.
func newAPI(takes time.Duration) (*api, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	a := &api{addr: l.Addr().String(), changed: make(chan struct{}, 1)}
	a.takes.Store(int64(takes))
	a.srv = &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = a.srv.Serve(l) }()
	return a, nil
}

func (a *api) close() { _ = a.srv.Close() }

// ServeHTTP counts a call as over before its answer leaves.
func (a *api) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	a.note(func() {
		a.began = append(a.began, time.Now())
		a.now++
		a.most = max(a.most, a.now)
	})
	aborted := 0
	select {
	case <-time.After(time.Duration(a.takes.Load())):
	case <-r.Context().Done():
		aborted = 1
	}
	a.note(func() {
		a.now--
		a.aborted += aborted
	})
}

func (a *api) note(change func()) {
	a.mu.Lock()
	change()
	a.mu.Unlock()
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// counts are the calls so far, those under way, the most there were at once, and
// those that were aborted.
func (a *api) counts() (calls, now, most, aborted int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.began), a.now, a.most, a.aborted
}

// from are the times when calls began, from a time on.
func (a *api) from(since time.Time) []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, at := range a.began {
		if !at.Before(since) {
			return append([]time.Time(nil), a.began[i:]...)
		}
	}
	return nil
}

// await returns when ok does, which is asked at each change.
func (a *api) await(what string, limit time.Duration, ok func(calls, now int) bool) error {
	late := time.NewTimer(limit)
	defer late.Stop()
	for {
		calls, now, _, _ := a.counts()
		if ok(calls, now) {
			return nil
		}
		select {
		case <-a.changed:
		case <-late.C:
			return fmt.Errorf("waited %s in vain for %s: %d calls, %d under way", limit, what, calls, now)
		}
	}
}

// window is the largest number of calls that began within any d.
func window(began []time.Time, d time.Duration) int {
	most, first := 0, 0
	for i, at := range began {
		for at.Sub(began[first]) >= d {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// pace is calls per second, without the first and the last tenth.
func pace(began []time.Time) float64 {
	n := len(began) / 10
	middle := began[n : len(began)-n]
	return float64(len(middle)-1) / middle[len(middle)-1].Sub(middle[0]).Seconds()
}
