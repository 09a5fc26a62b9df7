package awstest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// Proxy is an emulator seen through faults, which a test switches while clients
// are at work. Operations are named as by AWS, "SendMessage", in the methods
// below; no name at all stands for every operation.
type Proxy struct {
	Emulator // at the proxy's URL
	pass     http.Handler

	mu      sync.Mutex // guards all below
	rules   []*rule
	skew    time.Duration
	seen    map[string]int
	passed  map[string]int
	changed chan struct{} // closed and replaced when seen grows
}

// rule puts a fault on some operations, for a number of requests or, below 0,
// until it is replaced.
type rule struct {
	fault Fault
	ops   []string
	left  int
}

// FaultProxy starts a proxy in front of an emulator's URL. It passes everything
// until it is told otherwise, and ends with the test.
func FaultProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	to, err := url.Parse(target)
	if err != nil {
		tb.Fatalf("proxy to %s: %v", target, err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	p := &Proxy{seen: map[string]int{}, passed: map[string]int{}, changed: make(chan struct{})}
	p.pass = &httputil.ReverseProxy{
		Transport: transport,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // clients that give up
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // so that the URLs of queues lead here
		},
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	server := httptest.NewUnstartedServer(p)
	server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	server.Start()
	tb.Cleanup(func() {
		cancel() // ends delays
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	p.Emulator = Emulator{URL: server.URL}
	return p
}

// Set puts a fault on operations, in place of the one that they had, until the
// next Set or Clear.
func (p *Proxy) Set(f Fault, ops ...string) { p.add(&rule{fault: f, ops: ops, left: -1}) }

// Times puts a fault on the next n requests of operations.
func (p *Proxy) Times(n int, f Fault, ops ...string) { p.add(&rule{fault: f, ops: ops, left: n}) }

// add makes a rule the first that is looked at.
func (p *Proxy) add(r *rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = slices.Insert(p.rules, 0, r)
}

// Clear ends all faults and the skew of the clock.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules, p.skew = nil, 0
}

// Skew sets the clock of the emulator off from the client's. Answers have its
// date, and requests that were signed more than five minutes from it are refused.
func (p *Proxy) Skew(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.skew = d
}

// Seen is the number of requests that came.
func (p *Proxy) Seen(ops ...string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return sum(p.seen, ops)
}

// Passed is the number of requests that the emulator was given.
func (p *Proxy) Passed(ops ...string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return sum(p.passed, ops)
}

func sum(counts map[string]int, ops []string) int {
	total := 0
	for op, n := range counts {
		if len(ops) == 0 || slices.Contains(ops, op) {
			total += n
		}
	}
	return total
}

// Await returns when n requests have come since the proxy's start, or with the
// end of ctx.
func (p *Proxy) Await(ctx context.Context, n int, ops ...string) error {
	for {
		p.mu.Lock()
		seen, changed := sum(p.seen, ops), p.changed
		p.mu.Unlock()
		if seen >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, err := newExchange(p, w, r)
	if err != nil {
		return // the client has left
	}
	fault, skew := p.take(x.Operation)
	if skew != 0 {
		now := time.Now().Add(skew)
		x.Writer = newDated(w, now)
		if x.signedOff(now) {
			fault = badSignature
		}
	}
	fault(x)
}

// take counts a request and finds its fault.
func (p *Proxy) take(op string) (Fault, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[op]++
	close(p.changed)
	p.changed = make(chan struct{})
	for i, r := range p.rules {
		if len(r.ops) > 0 && !slices.Contains(r.ops, op) {
			continue
		}
		if r.left--; r.left == 0 {
			p.rules = slices.Delete(p.rules, i, i+1)
		}
		return r.fault, p.skew
	}
	return Pass, p.skew
}
