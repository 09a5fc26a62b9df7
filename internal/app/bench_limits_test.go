package app_test

import (
	"cmp"
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
// that wait: of none, of one that is dead, of one at its rate; beside messages
// that a consumer holds of which no worker knows, which is the broker's part of
// it, of the tasks queue or of another; and with a limit that it never reaches.
//
// A second fleet, with a broker of its own and nothing beside it, makes calls at
// the same pace in the same seconds: what else the machine does, and what the
// garbage collector does, slows both down. "Calm" is the half of the seconds in
// which the two together were faster; "p99/twin" is the median of the seconds'
// ratios, which the load of others moves least. -benchtime 1x is enough for
// these, 20000x measures throughput too.
func BenchmarkLimits(b *testing.B) {
	for _, row := range []struct {
		name   string
		beside func(x *neighbours)
		policy limit.Policy // of the key that is measured
	}{
		{name: "alone"},
		{name: "dead", beside: (*neighbours).dead},
		{name: "limited", beside: (*neighbours).limited},
		{name: "leased", beside: func(x *neighbours) { x.leased(backend.Tasks) }},
		{name: "leased-elsewhere", beside: func(x *neighbours) { x.leased("elsewhere") }},
		{name: "limit-not-reached", policy: limit.Policy{Rate: 1_000_000, Concurrency: inFlight}},
	} {
		b.Run(row.name, func(b *testing.B) {
			x, twin := open(b), open(b)
			if !row.policy.IsZero() {
				x.set(x.api.URL, row.policy)
			}
			if row.beside != nil {
				row.beside(x)
				x.since = time.Now()
			}
			x.burst()
			twin.send("bench", b.N, twin.task)
			<-time.After(time.Until(x.since.Add(renewing)))
			took := pace(x, twin)
			calm := calmer(took)
			for i, name := range []string{"", "twin-"} {
				x.ReportMetric(micro(percentile(took[i], 50)), name+"p50-µs")
				x.ReportMetric(micro(percentile(took[i], 99)), name+"p99-µs")
				x.ReportMetric(micro(percentile(calm[i], 99)), name+"calm-p99-µs")
			}
			x.ReportMetric(beside(took[0], took[1]), "p99/twin")
			x.stop()
			twin.stop()
		})
	}
}

// neighbours is a fleet of one, and the API that is measured.
type neighbours struct {
	*bench
	came    *arrivals
	connect func(context.Context) (*backend.Backend, error)
	backend *backend.Backend
	tasks   queue.Publisher
	member  *fleet.Member
	stop    func()
	held    float64   // bytes, of each call that waits
	since   time.Time // that they wait
}

// renewing is after when the leases of what waits are renewed at a steady pace.
const renewing = 30 * time.Second

// memory is what the process holds on to, the broker included.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// open starts a fleet member on a broker.
func open(b *testing.B) *neighbours {
	x := &neighbours{bench: newBench(b), came: &arrivals{more: make(chan struct{}, 1), at: map[string]time.Time{}}}
	x.api.Config.Handler = x.came
	_, conn := x.broker()
	x.connect = func(ctx context.Context) (*backend.Backend, error) {
		return backend.Open(ctx, backend.Options{Embedded: conn})
	}
	var err error
	x.backend, err = x.connect(x.ctx)
	x.must(err)
	b.Cleanup(x.backend.Close)
	x.tasks, err = x.backend.Publisher(x.ctx, backend.Tasks)
	x.must(err)
	x.join()
	return x
}

func (x *neighbours) join() {
	var err error
	x.member, err = fleet.New(x.connect, fleet.Options{Call: true, Slots: inFlight, Egress: egresstest.Loopback()})
	x.must(err)
	x.stop = x.start(x.member.Services())
}

func (x *neighbours) set(url string, p limit.Policy) {
	flows, err := x.backend.Flows(x.ctx)
	x.must(err)
	x.must(limit.Set(x.ctx, flows, limit.HostKey(url), p))
}

// dead has calls wait for a destination that refuses connections.
func (x *neighbours) dead() {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	x.waiting(s.URL)
}

// limited has calls wait for one that is at its rate.
func (x *neighbours) limited() {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	x.Cleanup(s.Close)
	x.set(s.URL, limit.Policy{Rate: 50, Concurrency: 8})
	x.waiting(s.URL)
}

// leased has the broker keep as many messages of a queue for somebody who does
// nothing.
func (x *neighbours) leased(name string) {
	x.stop()
	tasks := x.tasks
	var err error
	x.tasks, err = x.backend.Publisher(x.ctx, name)
	x.must(err)
	x.send("leased", waitingCalls, x.task)
	x.tasks = tasks
	consumer, err := x.backend.Consumer(x.ctx, name)
	x.must(err)
	for n := 0; n < waitingCalls; {
		held, err := consumer.Receive(x.ctx, waitingCalls-n)
		x.must(err)
		n += len(held)
	}
	x.join()
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
	var messages []queue.Message
	for i := range n {
		body, err := call.EncodeTask(task(i))
		x.must(err)
		messages = append(messages, queue.Message{ID: fmt.Sprintf("%s-%d", name, i), Body: body})
		if len(messages) == 256 || i == n-1 {
			x.must(x.tasks.Publish(x.ctx, messages...))
			messages = messages[:0]
		}
	}
}

// burst makes N calls as fast as they go.
func (x *neighbours) burst() {
	measured := x.measure()
	x.send("bench", x.N, x.task)
	x.came.await(x.N)
	measured()
	x.ReportMetric(float64(x.N)/x.Elapsed().Seconds(), "calls/s")
	if x.held > 0 {
		x.ReportMetric(x.held, "B/waiting")
	}
}

// paced is how many calls are made at a steady pace, and second how many of them
// in one.
const paced, second = 20_000, 500

// pace makes calls of each fleet in turn, 500 a second of one, and returns how
// long each took from its publication to the API, as they were published.
func pace(all ...*neighbours) [][]time.Duration {
	sent := make([][paced]time.Time, len(all))
	tick := time.NewTicker(2 * time.Millisecond / time.Duration(len(all)))
	defer tick.Stop()
	for i := range paced {
		for n, x := range all {
			<-tick.C
			sent[n][i] = time.Now()
			x.send(fmt.Sprint("paced-", i), 1, func(int) call.Task {
				t := x.task(i)
				t.ID = fmt.Sprint("paced-", i)
				return t
			})
		}
	}
	took := make([][]time.Duration, len(all))
	for n, x := range all {
		x.came.await(x.N + paced)
		for i, at := range sent[n] {
			took[n] = append(took[n], x.came.at[fmt.Sprint("paced-", i)].Sub(at))
		}
	}
	return took
}

// calmer are the calls of the half of the seconds in which all were faster.
func calmer(all [][]time.Duration) [][]time.Duration {
	type part struct {
		from  int
		worst time.Duration
	}
	var parts []part
	for from := 0; from < paced; from += second {
		p := part{from: from}
		for _, took := range all {
			p.worst += percentile(took[from:from+second], 99)
		}
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.worst, b.worst) })
	calm := make([][]time.Duration, len(all))
	for _, p := range parts[:len(parts)/2] {
		for i, took := range all {
			calm[i] = append(calm[i], took[p.from:p.from+second]...)
		}
	}
	return calm
}

// beside is how many times the twin's p99 that of a fleet is, in the median
// second.
func beside(took, twin []time.Duration) float64 {
	var ratios []float64
	for from := 0; from < paced; from += second {
		p := percentile(took[from:from+second], 99)
		ratios = append(ratios, float64(p)/float64(percentile(twin[from:from+second], 99)))
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

func percentile(took []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)*p/100]
}

func micro(d time.Duration) float64 { return float64(d.Microseconds()) }

// arrivals is when calls came to the API, by their Idempotency-Key.
type arrivals struct {
	more chan struct{} // holds one signal

	mu sync.Mutex
	at map[string]time.Time // guarded by mu, until all have come
}

func (a *arrivals) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.at[r.Header.Get("Idempotency-Key")] = time.Now()
	a.mu.Unlock()
	select {
	case a.more <- struct{}{}:
	default:
	}
}

// await returns when there are n.
func (a *arrivals) await(n int) {
	for range a.more {
		a.mu.Lock()
		got := len(a.at)
		a.mu.Unlock()
		if got >= n {
			return
		}
	}
}
