package worker_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/call"
	"callfleet/internal/limit"
	"callfleet/internal/queue"
	"callfleet/internal/worker"
)

// parked is how many tasks of the tasks queue wait in a worker at most.
const parked = 128

// keys are the calls that came to an API, in order, by their Idempotency-Key.
type keys struct {
	mu  sync.Mutex
	all []string // guarded by mu
}

func (k *keys) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, r.Header.Get("Idempotency-Key"))
}

func (k *keys) seen() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]string(nil), k.all...)
}

// times counts the calls of each key.
func (k *keys) times() map[string]int {
	n := map[string]int{}
	for _, key := range k.seen() {
		n[key]++
	}
	return n
}

// paused is a bundle with a key whose calls wait until it is resumed.
func paused(t *testing.T, lease time.Duration) (b *bundle, k *keys, resume func()) {
	t.Helper()
	k = &keys{}
	b = setup(t, lease, k.ServeHTTP)
	key := limit.HostKey(b.api)
	must(t, limit.Set(t.Context(), b.flows(t), key, limit.Policy{Paused: true}))
	return b, k, func() { must(t, limit.Resume(t.Context(), b.flows(t), key)) }
}

// wait returns when so many calls wait in all of the workers.
func wait(t *testing.T, n int, workers ...*limit.Limiter) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d calls to wait", n), func() bool {
		waiting := 0
		for _, l := range workers {
			for _, s := range l.Statuses() {
				waiting += s.Waiting
			}
		}
		return waiting == n
	})
}

// state is what is on a queue: leased and not.
func (b *bundle) state(t testing.TB, name string) (leased, ready int) {
	t.Helper()
	js, err := jetstream.New(b.conn)
	must(t, err)
	c, err := js.Consumer(t.Context(), "callfleet-"+name, "fleet")
	must(t, err)
	return c.CachedInfo().NumAckPending, int(c.CachedInfo().NumPending)
}

// empty waits until nothing is left on the queues.
func (b *bundle) empty(t testing.TB) {
	t.Helper()
	for _, name := range []string{"tasks", "tasks-waiting"} {
		eventually(t, name+" to be empty", func() bool {
			leased, ready := b.state(t, name)
			return leased+ready == 0
		})
	}
}

// What waits in numbers is leased from a queue of its own, whichever worker
// takes it, and each call is made once when its turn comes.
func TestTasksAreSetAside(t *testing.T) {
	t.Parallel()
	const n, slots = 2000, 16
	b, k, resume := paused(t, time.Minute)
	results, err := b.broker.FeedConsumer(t.Context(), "results", "many")
	must(t, err)
	defer results.Close()
	b.opts.Slots = slots
	one, first := b.limited(t, limit.Options{})
	two, second := b.limited(t, limit.Options{})
	b.direct(t, "many", b.api, n)
	wait(t, n, first, second)
	// The last acks may be under way.
	eventually(t, "few tasks to be leased from the tasks queue", func() bool {
		leased, ready := b.state(t, "tasks")
		return leased <= 2*parked && ready == 0
	})
	if leased, _ := b.state(t, "tasks-waiting"); leased < n-2*parked {
		t.Errorf("%d of %d leased from the waiting queue", leased, n)
	}
	resume()
	outcomes := map[string]call.Status{}
	for len(outcomes) < n {
		ds, err := results.Receive(t.Context(), n)
		must(t, err)
		for _, d := range ds {
			o, err := call.DecodeOutcome(d.Body)
			must(t, err)
			if outcomes[o.ID] != "" || o.Status != call.StatusSucceeded {
				t.Errorf("outcome %+v, had %q", o, outcomes[o.ID])
			}
			outcomes[o.ID] = o.Status
			must(t, d.Ack(t.Context()))
		}
	}
	b.empty(t)
	calls := k.times()
	a, c := one.Stats(), two.Stats()
	t.Logf("accepted %d, called %d, completed %d, lost %d; set aside %d and %d", n, len(k.seen()), len(outcomes), n-len(outcomes), a.SetAside, c.SetAside)
	if len(calls) != n || len(k.seen()) != n {
		t.Errorf("%d calls of %d tasks, want %d", len(k.seen()), len(calls), n)
	}
	if aside := a.SetAside + c.SetAside; aside < n-2*parked || aside > n {
		t.Errorf("%d set aside", aside)
	}
	if a.Postponed+a.HandedBack+a.LeaseLost+c.Postponed+c.HandedBack+c.LeaseLost > 0 {
		t.Errorf("%+v, %+v", a, c)
	}
}

// Calls that wait keep their order by and large: those that were set aside are
// not passed by those that came later.
func TestTasksSetAsideAreNotPassed(t *testing.T) {
	t.Parallel()
	const n = 300
	b, k, resume := paused(t, time.Minute)
	// Those whose turn has come are not in order any more: few at a time.
	must(t, limit.Set(t.Context(), b.flows(t), limit.HostKey(b.api), limit.Policy{Paused: true, Concurrency: 4}))
	_, l := b.limited(t, limit.Options{})
	b.direct(t, "early", b.api, n)
	wait(t, n, l)
	b.direct(t, "late", b.api, n)
	wait(t, 2*n, l)
	resume()
	eventually(t, "all calls", func() bool { return len(k.seen()) == 2*n })
	early := 0
	for _, key := range k.seen()[:n] {
		if strings.HasPrefix(key, "early-") {
			early++
		}
	}
	if early < n*95/100 {
		t.Errorf("%d of the first %d calls had come first", early, n)
	}
}

// deaf is a queue whose messages nobody receives.
type deaf struct{ queue.Consumer }

func (deaf) Receive(ctx context.Context, _ int) ([]*queue.Delivery, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// A task that is set aside is the same but for its deadline, which is that of
// the first time it was sent.
func TestTasksSetAsideKeepTheirDeadline(t *testing.T) {
	t.Parallel()
	b, _, _ := paused(t, time.Minute)
	b.deps.Waiting = deaf{b.waiting}
	_, l := b.limited(t, limit.Options{})
	b.direct(t, "before", b.api, parked)
	wait(t, parked, l)
	const trace = "00-0123456789abcdef0123456789abcdef-1111111111111111-01"
	task := call.Task{ID: "run-1", Token: "t-1", FlowKey: limit.HostKey(b.api), TimeoutSeconds: 100,
		Template: []byte(`{"PK":{"S":"get"},"SK":{"S":"GET"},"url":{"S":"` + b.api + `"}}`), Params: []byte(`{"id":7}`)}
	b.sfn.AddTask("t-1")
	body, err := call.EncodeTask(task)
	must(t, err)
	sent := time.Now()
	must(t, b.publish.Publish(t.Context(), queue.Message{ID: "run-1", Body: body, Group: "group", Headers: map[string]string{"traceparent": trace}}))
	ds, err := b.waiting.Receive(t.Context(), 1)
	must(t, err)
	d := ds[0]
	got, err := call.DecodeTask(d.Body)
	must(t, err)
	if end := got.Deadline.Sub(sent); end < 98*time.Second || end > 100*time.Second {
		t.Errorf("the deadline is %s after the task was sent", end)
	}
	if got.ID != task.ID || got.Token != task.Token || got.FlowKey != task.FlowKey || got.TimeoutSeconds != 100 ||
		string(got.Template) != string(task.Template) || string(got.Params) != `{"id":7}` {
		t.Errorf("%s is not the task that was sent", d.Body)
	}
	if d.Group != "group" || d.Headers["traceparent"] != trace || !strings.HasPrefix(d.ID, "run-1/") {
		t.Errorf("id %s, group %s, headers %v", d.ID, d.Group, d.Headers)
	}
	// Its clock runs anew from when it was set aside.
	if n := b.sfn.Task("t-1").Beats; n != 1 {
		t.Errorf("%d heartbeats before it was set aside, want 1", n)
	}
}

// On the waiting queue, too, a task fails at its deadline.
func TestTasksSetAsideEndAtTheirDeadline(t *testing.T) {
	t.Parallel()
	b, k, _ := paused(t, time.Minute)
	w, l := b.limited(t, limit.Options{})
	b.direct(t, "before", b.api, parked)
	wait(t, parked, l)
	b.send(t, 3, func(task *call.Task) { task.TimeoutSeconds = 2 })
	for i := range 3 {
		if task := b.settled(t, fmt.Sprintf("t-%d", i+1)); task.Error != string(call.RateLimited) {
			t.Errorf("task %d: %+v, want the end of its time", i+1, task)
		}
	}
	if n := w.Stats().SetAside; n != 3 || len(k.seen()) > 0 {
		t.Errorf("%d set aside, %d calls of a paused key", n, len(k.seen()))
	}
}

// While a task is set aside its heartbeats go on, and its lease is extended.
func TestTasksSetAsideAreKeptAlive(t *testing.T) {
	t.Parallel()
	b, _, resume := paused(t, 5*time.Second)
	b.opts.HeartbeatEvery = 250 * time.Millisecond
	b.opts.Slots = 1
	w, l := b.limited(t, limit.Options{})
	b.direct(t, "before", b.api, parked)
	wait(t, parked, l)
	b.send(t, 3, nil)
	for _, token := range []string{"t-1", "t-2", "t-3"} {
		b.sfn.Wait(t, func() bool { return b.sfn.Task(token).Beats > 30 }) // longer than a lease
	}
	resume()
	for _, token := range []string{"t-1", "t-2", "t-3"} {
		if task := b.settled(t, token); task.Output == "" {
			t.Errorf("%s: %+v, want an output", token, task)
		}
	}
	if s := w.Stats(); s.Redelivered+s.LeaseLost > 0 || s.SetAside != 3 {
		t.Errorf("%+v, want 3 set aside and no lease lost", s)
	}
}

// forgetful is a queue on which the ack of one message is lost, as if the worker
// had been killed before it.
type forgetful struct {
	queue.Consumer
	id   string
	lost chan struct{} // closed then
	once sync.Once
}

func (f *forgetful) Receive(ctx context.Context, max int) ([]*queue.Delivery, error) {
	ds, err := f.Consumer.Receive(ctx, max)
	for _, d := range ds {
		if d.ID == f.id && d.Attempt == 1 {
			d.Settler = unacked{d.Settler, f}
		}
	}
	return ds, err
}

type unacked struct {
	queue.Settler
	f *forgetful
}

func (u unacked) Ack(context.Context) error {
	u.f.once.Do(func() { close(u.f.lost) })
	return queue.ErrLeaseLost
}

func (u unacked) Extend(context.Context) error { return errors.New("killed") }

// Killed between the publication and the ack, a task is on both queues: it is
// not lost, and whoever calls for it does so with the same Idempotency-Key.
func TestKilledWhileATaskIsSetAside(t *testing.T) {
	t.Parallel()
	const n = 20
	b, k, resume := paused(t, 2*time.Second)
	f := &forgetful{Consumer: b.tasks, id: "more-7", lost: make(chan struct{})}
	b.deps.Tasks = f
	w, l := b.limited(t, limit.Options{})
	b.direct(t, "before", b.api, parked)
	wait(t, parked, l)
	b.direct(t, "more", b.api, n)
	<-f.lost
	eventually(t, "the task to come again", func() bool { return w.Stats().Redelivered > 0 })
	resume()
	eventually(t, "all calls", func() bool { return len(k.times()) == parked+n })
	b.empty(t)
	for key, times := range k.times() {
		if times > 1 && (key != "more-7" || times > 2) {
			t.Errorf("%s was called %d times", key, times)
		}
	}
	t.Logf("more-7 was called %d times, %d set aside", k.times()["more-7"], w.Stats().SetAside)
}

// A worker that stops hands back what it has leased from either queue, and
// others make the calls.
func TestTasksSetAsideAreHandedBack(t *testing.T) {
	t.Parallel()
	const n = 1000
	b, k, resume := paused(t, time.Minute)
	w, l := b.limited(t, limit.Options{})
	b.direct(t, "many", b.api, n)
	wait(t, n, l)
	began := time.Now()
	must(t, b.stop())
	if took := time.Since(began); took > 10*time.Second || w.Stats().HandedBack != n || !w.Oldest().IsZero() {
		t.Errorf("%+v after %s, want %d handed back at once", w.Stats(), took, n)
	}
	_, first := b.limited(t, limit.Options{})
	_, second := b.limited(t, limit.Options{})
	wait(t, n, first, second)
	resume()
	eventually(t, "all calls", func() bool { return len(k.times()) == n })
	b.empty(t)
	if len(k.seen()) != n {
		t.Errorf("%d calls of %d tasks", len(k.seen()), n)
	}
}

// A waiting queue that is gone ends the worker, as the tasks queue does.
func TestWaitingQueueIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	b.deps.Later, b.deps.Waiting = b.later, b.waiting
	w, err := worker.New(b.deps, b.opts)
	must(t, err)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(t.Context()) }()
	must(t, b.waiting.Close())
	if err := <-ended; !errors.Is(err, queue.ErrClosed) || !strings.Contains(err.Error(), "tasks-waiting") {
		t.Errorf("got %v", err)
	}
}
