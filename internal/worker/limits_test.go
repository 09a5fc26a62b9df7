package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/limit"
	"callfleet/internal/limit/store"
	"callfleet/internal/limit/store/natslimits"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
	"callfleet/internal/worker"
)

// api is an HTTP server that notes when its calls begin and how many there are
// at once.
type api struct {
	*httptest.Server
	mu    sync.Mutex
	began []time.Time // guarded by mu
	now   int         // guarded by mu
	most  int         // guarded by mu
}

func newAPI(t testing.TB, h http.HandlerFunc) *api {
	a := &api{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.began = append(a.began, time.Now())
		a.now++
		a.most = max(a.most, a.now)
		a.mu.Unlock()
		defer func() {
			a.mu.Lock()
			a.now--
			a.mu.Unlock()
		}()
		h(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

// key is the flow key of the API's calls.
func (a *api) key() string { return limit.HostKey(a.URL) }

func (a *api) calls() []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.began)
}

// within is the largest number of calls that began in any d.
func (a *api) within(d time.Duration) int {
	all, most, first := a.calls(), 0, 0
	for i, at := range all {
		for at.Sub(all[first]) >= d {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func slow(d time.Duration) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
	}
}

// flows opens the flow keys of the bundle's broker.
func (b *bundle) flows(t testing.TB) store.Store {
	t.Helper()
	s, err := natslimits.New(t.Context(), b.conn, natslimits.Options{})
	must(t, err)
	return s
}

// limited runs one more worker of the bundle, with limits that it shares by the
// broker.
func (b *bundle) limited(t testing.TB, o limit.Options) (*worker.Worker, *limit.Limiter) {
	t.Helper()
	o.Logger = b.opts.Logger
	l, err := limit.New(b.flows(t), o)
	must(t, err)
	must(t, l.Load(t.Context()))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() { // after the worker has ended
		cancel()
		must(t, <-ended)
	})
	b.deps.Limits, b.deps.Later = l, b.later
	if b.deps.Waiting == nil {
		b.deps.Waiting = b.waiting
	}
	w, stop := b.run(t)
	b.stop = stop
	return w, l
}

// direct puts n tasks without a token on the queue, that call url.
func (b *bundle) direct(t testing.TB, name, url string, n int) {
	t.Helper()
	var batch []queue.Message
	for i := range n {
		id := fmt.Sprintf("%s-%d", name, i)
		body, err := call.EncodeTask(call.Task{ID: id, Template: json.RawMessage(
			`{"PK":{"S":"x"},"SK":{"S":"GET"},"url":{"S":"` + url + `"},"retry":{"M":{"maxAttempts":{"N":"1"}}}}`)})
		must(t, err)
		batch = append(batch, queue.Message{ID: id, Body: body})
		if len(batch) == 500 || i == n-1 {
			must(t, b.publish.Publish(t.Context(), batch...))
			batch = batch[:0]
		}
	}
}

// That they also reach it is tested in the bubble of package limit, and measured
// by make limits: here it depends on what else the machine does.
func TestFourWorkersKeepOneLimit(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	limited, other := newAPI(t, slow(80*time.Millisecond)), newAPI(t, slow(time.Millisecond))
	must(t, limit.Set(t.Context(), b.flows(t), limited.key(), limit.Policy{Rate: 50, Concurrency: 8}))
	b.opts.Slots = 16 // less than what waits
	const n = 600
	b.direct(t, "limited", limited.URL, n)
	workers := make([]*worker.Worker, 4)
	for i := range workers {
		workers[i], _ = b.limited(t, limit.Options{ID: fmt.Sprint("w", i)})
	}
	eventually(t, "a backlog", func() bool { return len(limited.calls()) > 50 })
	b.direct(t, "other", other.URL, 1000)
	eventually(t, "the calls of another key", func() bool { return len(other.calls()) == 1000 })
	if made := len(limited.calls()); made > n-50 {
		t.Errorf("%d calls of the limited key were made before the others: they have waited for them", made)
	}
	eventually(t, "all calls", func() bool { return len(limited.calls()) == n })
	all := limited.calls()
	rate := float64(len(all)-1) / all[len(all)-1].Sub(all[0]).Seconds()
	t.Logf("%.1f calls/s, at most %d within 10 s, %d at once", rate, limited.within(10*time.Second), limited.most)
	if n := limited.within(10 * time.Second); n > 525 {
		t.Errorf("%d calls within 10 s, want at most 525", n)
	}
	if limited.most > 8 {
		t.Errorf("%d calls at once, want at most 8", limited.most)
	}
	for i, w := range workers {
		if s := w.Stats(); s.Succeeded == 0 || s.HandedBack+s.Postponed > 0 {
			t.Errorf("worker %d: %+v, want calls, and none handed back", i, s)
		}
	}
}

func TestRetryAfterHoldsTheFleet(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]func() string{
		"seconds": func() string { return "7" },
		"date":    func() string { return time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, time.Minute, answer)
			var once sync.Once
			var asked time.Time
			a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
				once.Do(func() {
					w.Header().Set("Retry-After", header())
					w.WriteHeader(http.StatusTooManyRequests)
					asked = time.Now()
				})
			})
			workers := make([]*worker.Worker, 4)
			limiters := make([]*limit.Limiter, 4)
			for i := range workers {
				b.deps.Caller = caller(t) // of its own, as in a process of its own
				workers[i], limiters[i] = b.limited(t, limit.Options{})
			}
			b.direct(t, "first", a.URL, 1)
			eventually(t, "all to know of the pause", func() bool {
				return !slices.ContainsFunc(limiters, func(l *limit.Limiter) bool {
					s := l.Statuses()
					return len(s) != 1 || s[0].State != limit.Held
				})
			})
			b.direct(t, "more", a.URL, 60)
			succeeded := func() (n uint64) {
				for _, w := range workers {
					n += w.Stats().Succeeded
				}
				return n
			}
			eventually(t, "all calls", func() bool { return succeeded() == 61 })
			all := a.calls()
			if wait := all[1].Sub(asked); wait < 7*time.Second {
				t.Errorf("called again after %s", wait)
			}
			// Every call had one attempt: the answer 429 has burnt none.
			if len(all) != 62 {
				t.Errorf("%d requests for 61 calls, want 62", len(all))
			}
			inFirst := 0
			for _, at := range all[1:] {
				if at.Sub(all[1]) < 500*time.Millisecond {
					inFirst++
				}
			}
			if inFirst > 30 {
				t.Errorf("%d of 61 calls in the first half second after the pause, want a ramp", inFirst)
			}
		})
	}
}

// What waits for a dead destination takes no slot of another's calls.
func TestDeadDestinationKeepsNobodyElse(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	other := newAPI(t, answer)
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	b.opts.Slots = 8
	_, l := b.limited(t, limit.Options{})
	waiting := func() int {
		for _, s := range l.Statuses() {
			if s.Key == limit.HostKey(dead.URL) {
				return s.Waiting
			}
		}
		return 0
	}
	const n = 1000
	b.direct(t, "dead", dead.URL, n)
	eventually(t, "the calls to wait", func() bool { return waiting() > n-50 })
	b.direct(t, "other", other.URL, 200)
	eventually(t, "the calls of another key", func() bool { return len(other.calls()) == 200 })
	if waiting() < n-100 {
		t.Errorf("%d calls still wait, want them to", waiting())
	}
}

// While a task waits its heartbeats go on, and its lease is extended.
func TestWaitingTasksAreKeptAlive(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Second, answer)
	key := limit.HostKey(b.api)
	must(t, limit.Set(t.Context(), b.flows(t), key, limit.Policy{Paused: true}))
	b.opts.HeartbeatEvery = 100 * time.Millisecond
	b.opts.Slots = 1
	w, _ := b.limited(t, limit.Options{})
	b.send(t, 3, nil)
	for _, token := range []string{"t-1", "t-2", "t-3"} {
		b.sfn.Wait(t, func() bool { return b.sfn.Task(token).Beats > 15 })
	}
	if n := b.calls.Load(); n > 0 || w.Stats().InFlight != 0 {
		t.Errorf("%d calls of a paused key, %d slots in use", n, w.Stats().InFlight)
	}
	must(t, limit.Resume(t.Context(), b.flows(t), key))
	for _, token := range []string{"t-1", "t-2", "t-3"} {
		if task := b.settled(t, token); task.Output == "" {
			t.Errorf("%s: %+v, want an output", token, task)
		}
	}
	if s := w.Stats(); s.Redelivered+s.LeaseLost > 0 {
		t.Errorf("%+v, want no lease lost", s)
	}
}

// A worker that stops hands back what waits, without waiting for it.
func TestWaitingTasksAreHandedBack(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	key := limit.HostKey(b.api)
	must(t, limit.Set(t.Context(), b.flows(t), key, limit.Policy{Paused: true}))
	w, l := b.limited(t, limit.Options{})
	b.send(t, 5, nil)
	eventually(t, "the tasks to wait", func() bool { s := l.Statuses(); return len(s) == 1 && s[0].Waiting == 5 })
	began := time.Now()
	must(t, b.stop())
	if took := time.Since(began); took > 10*time.Second || w.Stats().HandedBack != 5 {
		t.Errorf("%+v after %s, want 5 handed back at once", w.Stats(), took)
	}
	must(t, limit.Resume(t.Context(), b.flows(t), key))
	b.limited(t, limit.Options{})
	for i := range 5 {
		b.settled(t, fmt.Sprintf("t-%d", i+1))
	}
}

// A task for which there is no room waits on the queue, with its deadline, and
// however often it comes back it is not dead.
func TestPostponedTasksAreNotDead(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	key := limit.HostKey(b.api)
	must(t, limit.Set(t.Context(), b.flows(t), key, limit.Policy{Paused: true, Backlog: 2}))
	b.opts.HeartbeatEvery = 50 * time.Millisecond
	w, _ := b.limited(t, limit.Options{})
	b.send(t, 5, nil)
	// Three of them come back again and again; MaxDeliver is 10.
	eventually(t, "many receipts", func() bool { return w.Stats().Postponed > 3*12 })
	must(t, limit.Resume(t.Context(), b.flows(t), key))
	for i := range 5 {
		if task := b.settled(t, fmt.Sprintf("t-%d", i+1)); task.Output == "" || !strings.Contains(task.Output, "run-") {
			t.Errorf("task %d: %+v, want an output", i+1, task)
		}
	}
	if n := b.calls.Load(); n != 5 {
		t.Errorf("%d calls for 5 tasks", n)
	}
	for _, name := range []string{"tasks", "tasks-waiting"} {
		dead, err := b.broker.Consumer(t.Context(), name+natsqueue.DeadLetterSuffix, natsqueue.ConsumerOptions{})
		must(t, err)
		defer dead.Close()
		if n, err := dead.Depth(t.Context()); n != 0 || err != nil {
			t.Errorf("%d dead letters of %s, %v", n, name, err)
		}
	}
}

// The deadline of a postponed task is that of the first time it was sent.
func TestPostponedTasksKeepTheirDeadline(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	must(t, limit.Set(t.Context(), b.flows(t), limit.HostKey(b.api), limit.Policy{Paused: true, Backlog: 1}))
	b.opts.HeartbeatEvery = 50 * time.Millisecond
	b.limited(t, limit.Options{})
	b.send(t, 3, func(task *call.Task) { task.TimeoutSeconds = 2 })
	for i := range 3 {
		task := b.settled(t, fmt.Sprintf("t-%d", i+1))
		if task.Error != string(call.RateLimited) && task.Error != string(call.DeadlineExceeded) {
			t.Errorf("task %d: %+v, want the end of its time", i+1, task)
		}
	}
}

// Keys are those of the request, of the template, or the host, in this order.
func TestFlowKeys(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	for _, key := range []string{"of-request", "of-template-7"} {
		must(t, limit.Set(t.Context(), b.flows(t), key, limit.Policy{Paused: true}))
	}
	_, l := b.limited(t, limit.Options{})
	item := json.RawMessage(`{"PK":{"S":"get"},"SK":{"S":"GET"},"url":{"S":"` + b.api + `/things/{{ id }}"},"flow":{"S":"of-template-{{ id }}"}}`)
	b.send(t, 4, func(task *call.Task) {
		switch task.ID {
		case "run-1":
			task.Template, task.FlowKey = item, "of-request"
		case "run-2":
			task.Template = item
		case "run-3":
			task.FlowKey = "no key"
		}
	})
	b.settled(t, "t-4")
	if task := b.settled(t, "t-3"); task.Error != string(call.RenderFailed) || !strings.Contains(task.Cause, "flowKey") {
		t.Errorf("an impossible key: %+v", task)
	}
	eventually(t, "two keys to wait", func() bool {
		s := l.Statuses()
		return len(s) == 2 && s[0].Waiting == 1 && s[1].Waiting == 1
	})
	for _, key := range []string{"of-request", "of-template-7"} {
		must(t, limit.Resume(t.Context(), b.flows(t), key))
	}
	b.settled(t, "t-1")
	b.settled(t, "t-2")
}
