package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/fleet"
	"callfleet/internal/call"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/limit"
	"callfleet/internal/queue"
)

// waitingCalls is how many calls of one key wait beside those of another.
const waitingCalls = 10_000

// BenchmarkLimits measures the direct path of one key, beside calls of another
// that wait: of none, of one that is dead, of one at its rate, and of the key
// itself with a limit that it never reaches. Use -benchtime 20000x.
func BenchmarkLimits(b *testing.B) {
	for _, row := range []struct {
		name   string
		beside func(x *neighbours) string // URL of the calls that wait
		policy limit.Policy               // of the key that is measured
	}{
		{name: "alone"},
		{name: "dead", beside: (*neighbours).dead},
		{name: "limited", beside: (*neighbours).limited},
		{name: "limit-not-reached", policy: limit.Policy{Rate: 1_000_000, Concurrency: inFlight}},
	} {
		b.Run(row.name, func(b *testing.B) {
			x := &neighbours{bench: newBench(b)}
			x.open()
			defer x.backend.Close()
			if !row.policy.IsZero() {
				x.set(x.api.URL, row.policy)
			}
			if row.beside != nil {
				x.waiting(row.beside(x))
			}
			x.run()
		})
	}
}

type neighbours struct {
	*bench
	backend *backend.Backend
	member  *fleet.Member
	stop    func()
	held    float64 // bytes, of each call that waits
}

// memory is what the process holds on to, the broker included.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// open starts a fleet member on a broker.
func (x *neighbours) open() {
	_, conn := x.broker()
	open := func(ctx context.Context) (*backend.Backend, error) {
		return backend.Open(ctx, backend.Options{Embedded: conn})
	}
	var err error
	x.backend, err = open(x.ctx)
	x.must(err)
	x.member, err = fleet.New(open, fleet.Options{Call: true, Slots: inFlight, Egress: egresstest.Loopback()})
	x.must(err)
	x.stop = x.start(x.member.Services())
}

func (x *neighbours) set(url string, p limit.Policy) {
	flows, err := x.backend.Flows(x.ctx)
	x.must(err)
	x.must(limit.Set(x.ctx, flows, limit.HostKey(url), p))
}

// dead is a destination that refuses connections.
func (x *neighbours) dead() string {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	return s.URL
}

// limited is one at its rate.
func (x *neighbours) limited() string {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	x.Cleanup(s.Close)
	x.set(s.URL, limit.Policy{Rate: 50, Concurrency: 8})
	return s.URL
}

// waiting publishes the calls that wait, and returns when they do.
func (x *neighbours) waiting(url string) {
	before := memory()
	defer func() { x.held = float64(memory()-before) / waitingCalls }()
	x.send("waiting", waitingCalls, func(i int) call.Task {
		return call.Task{ID: fmt.Sprintf("waiting-%d", i), Template: json.RawMessage(
			strings.ReplaceAll(string(x.item), x.api.URL, url)), Params: x.params(i)}
	})
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		n := 0
		for _, s := range x.member.Flows() {
			n = max(n, s.Waiting)
		}
		if n > waitingCalls*9/10 {
			return
		}
	}
}

func (x *neighbours) send(name string, n int, task func(int) call.Task) {
	publisher, err := x.backend.Publisher(x.ctx, backend.Tasks)
	x.must(err)
	var messages []queue.Message
	for i := range n {
		body, err := call.EncodeTask(task(i))
		x.must(err)
		messages = append(messages, queue.Message{ID: fmt.Sprintf("%s-%d", name, i), Body: body})
		if len(messages) == 256 || i == n-1 {
			x.must(publisher.Publish(x.ctx, messages...))
			messages = messages[:0]
		}
	}
}

// run makes N calls as fast as they go, and 2,000 more at 500 a second to see
// how long each takes.
func (x *neighbours) run() {
	var mu sync.Mutex
	came := map[string]time.Time{} // by Idempotency-Key
	arrived := make(chan struct{}, 1)
	x.api.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		came[r.Header.Get("Idempotency-Key")] = time.Now()
		mu.Unlock()
		select {
		case arrived <- struct{}{}:
		default:
		}
	})
	await := func(n int) {
		for range arrived {
			mu.Lock()
			got := len(came)
			mu.Unlock()
			if got >= n {
				return
			}
		}
	}
	measured := x.measure()
	x.send("bench", x.N, x.task)
	await(x.N)
	measured()
	x.ReportMetric(float64(x.N)/x.Elapsed().Seconds(), "calls/s")
	if x.held > 0 {
		x.ReportMetric(x.held, "B/waiting")
	}
	const paced = 5000
	sent := make([]time.Time, paced)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for i := range paced {
		<-tick.C
		sent[i] = time.Now()
		x.send(fmt.Sprint("paced-", i), 1, func(int) call.Task {
			t := x.task(i)
			t.ID = fmt.Sprint("paced-", i)
			return t
		})
	}
	await(x.N + paced)
	took := make([]time.Duration, paced)
	for i := range took {
		took[i] = came[fmt.Sprint("paced-", i)].Sub(sent[i])
	}
	slices.Sort(took)
	x.ReportMetric(float64(took[paced/2].Microseconds()), "p50-µs")
	x.ReportMetric(float64(took[paced*99/100].Microseconds()), "p99-µs")
	x.stop()
}
