package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"callfleet/internal/call"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
	"callfleet/internal/stepfn"
	"callfleet/internal/stepfn/stepfntest"
	"callfleet/internal/template"
	"callfleet/internal/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bundle is a fleet of real parts around the worker under test.
type bundle struct {
	api     string
	calls   atomic.Int32 // requests that the API has seen
	sfn     *stepfntest.Server
	conn    *nats.Conn
	broker  *natsqueue.Broker
	tasks   *natsqueue.Consumer
	publish *natsqueue.Publisher
	deps    worker.Deps
	opts    worker.Options
	stop    func() error // ends the last worker with limits
}

// setup serves an API by h; the lease is that of the tasks queue.
func setup(t testing.TB, lease time.Duration, h http.HandlerFunc) *bundle {
	t.Helper()
	b := &bundle{}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.calls.Add(1)
		h(w, r)
	}))
	t.Cleanup(api.Close)
	b.api = api.URL
	b.startBroker(t, lease)
	results, err := b.broker.FeedPublisher(t.Context(), "results")
	must(t, err)
	b.sfn = stepfntest.New(t)
	reporter, err := stepfn.New(stepfn.Options{Endpoint: b.sfn.URL, StateMachine: stepfntest.Machine, MaxAttempts: 1})
	must(t, err)
	t.Cleanup(reporter.Close)
	b.deps = worker.Deps{Tasks: b.tasks, Results: results, Renderer: template.NewRenderer(template.Options{}), Caller: caller(t), Reporter: reporter}
	b.opts = worker.Options{Logger: evidence.Logger(t), TracerProvider: evidence.Tracers(t)}
	return b
}

// caller may call servers of this machine.
func caller(t testing.TB) *httpcall.Client {
	t.Helper()
	c, err := httpcall.New(httpcall.Options{Egress: egresstest.Loopback(), BaseDelay: time.Millisecond, TracerProvider: evidence.Tracers(t)})
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func (b *bundle) startBroker(t testing.TB, lease time.Duration) {
	t.Helper()
	server, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(t)})
	must(t, err)
	t.Cleanup(server.Shutdown)
	nc, err := server.Connect()
	must(t, err)
	t.Cleanup(nc.Close)
	b.conn = nc
	b.broker, err = natsqueue.New(t.Context(), nc, natsqueue.Options{})
	must(t, err)
	b.tasks, err = b.broker.Consumer(t.Context(), "tasks", natsqueue.ConsumerOptions{Lease: lease})
	must(t, err)
	t.Cleanup(func() { b.tasks.Close() })
	b.publish, err = b.broker.Publisher(t.Context(), "tasks")
	must(t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// send puts n tasks with tokens t-1 … on the queue, changed by edit.
func (b *bundle) send(t testing.TB, n int, edit func(*call.Task)) {
	t.Helper()
	for i := 1; i <= n; i++ {
		task := call.Task{
			ID: fmt.Sprintf("run-%d", i), Token: call.TaskToken(fmt.Sprintf("t-%d", i)), Params: json.RawMessage(`{"id":7}`),
			Template: json.RawMessage(`{"PK":{"S":"get"},"SK":{"S":"GET"},"url":{"S":"` + b.api + `/things/{{ id }}"}}`),
		}
		if edit != nil {
			edit(&task)
		}
		if task.Token != "" {
			b.sfn.AddTask(string(task.Token))
		}
		body, err := call.EncodeTask(task)
		must(t, err)
		must(t, b.publish.Publish(t.Context(), queue.Message{ID: task.ID, Body: body}))
	}
}

// run starts a worker; stop ends it and returns what Run did.
func (b *bundle) run(t testing.TB) (w *worker.Worker, stop func() error) {
	t.Helper()
	w, err := worker.New(b.deps, b.opts)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var result error
	stopped := false
	stop = func() error {
		if !stopped {
			cancel()
			result, stopped = <-done, true
		}
		return result
	}
	t.Cleanup(func() { must(t, stop()) })
	return w, stop
}

// settled waits until the API of Step Functions has the report of token.
func (b *bundle) settled(t testing.TB, token string) stepfntest.Task {
	t.Helper()
	b.sfn.Wait(t, func() bool { return b.sfn.Task(token).Settled })
	return b.sfn.Task(token)
}

// eventually polls what has no event of its own to wait for.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// answer is an API that answers at once.
func answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"path":%q,"key":%q}`, r.URL.Path, r.Header.Get("Idempotency-Key"))
}

// faulty is the tasks queue with faults in the settling of the first delivery.
type faulty struct {
	queue.Consumer
	ack, extend error
	broken      atomic.Bool
}

func (f *faulty) Receive(ctx context.Context, max int) ([]*queue.Delivery, error) {
	ds, err := f.Consumer.Receive(ctx, max)
	if len(ds) > 0 && !f.broken.Swap(true) {
		ds[0].Settler = faultySettler{ds[0].Settler, f}
	}
	return ds, err
}

type faultySettler struct {
	queue.Settler
	f *faulty
}

func (s faultySettler) Ack(ctx context.Context) error {
	if s.f.ack != nil {
		return s.f.ack
	}
	return s.Settler.Ack(ctx)
}

func (s faultySettler) Extend(ctx context.Context) error {
	if s.f.extend != nil {
		return s.f.extend
	}
	return s.Settler.Extend(ctx)
}
