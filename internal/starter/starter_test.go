package starter_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"callfleet/internal/call"
	"callfleet/internal/evidence"
	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
	"callfleet/internal/starter"
	"callfleet/internal/stepfn"
	"callfleet/internal/stepfn/stepfntest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type bundle struct {
	broker   *natsqueue.Broker
	requests *natsqueue.Consumer
	publish  *natsqueue.Publisher
	sfn      *stepfntest.Server
	client   *stepfn.Client
	opts     starter.Options
}

func setup(t testing.TB, lease time.Duration) *bundle {
	t.Helper()
	server, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(t)})
	must(t, err)
	t.Cleanup(server.Shutdown)
	nc, err := server.Connect()
	must(t, err)
	t.Cleanup(nc.Close)
	b := &bundle{sfn: stepfntest.New(t), opts: starter.Options{Logger: evidence.Logger(t)}}
	b.broker, err = natsqueue.New(t.Context(), nc, natsqueue.Options{})
	must(t, err)
	b.requests, err = b.broker.Consumer(t.Context(), "requests", natsqueue.ConsumerOptions{Lease: lease})
	must(t, err)
	t.Cleanup(func() { b.requests.Close() })
	b.publish, err = b.broker.Publisher(t.Context(), "requests")
	must(t, err)
	b.client, err = stepfn.New(stepfn.Options{Endpoint: b.sfn.URL, StateMachine: stepfntest.Machine, MaxAttempts: 1})
	must(t, err)
	t.Cleanup(b.client.Close)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func request(n int) string {
	return fmt.Sprintf(`{"id":"run-%d", "templateName":"get","method":"GET","params":{"n":%d}}`, n, n)
}

func (b *bundle) send(t testing.TB, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		must(t, b.publish.Publish(t.Context(), queue.Message{Body: []byte(body)}))
	}
}

func (b *bundle) run(t testing.TB) (s *starter.Starter, stop func()) {
	t.Helper()
	return b.runOn(t, b.requests)
}

func (b *bundle) runOn(t testing.TB, requests queue.Consumer) (s *starter.Starter, stop func()) {
	t.Helper()
	s, err := starter.New(requests, b.client, b.opts)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			must(t, <-done)
		}
	}
	t.Cleanup(stop)
	return s, stop
}

func (b *bundle) waitFor(t testing.TB, executions int) {
	t.Helper()
	b.sfn.Wait(t, func() bool { return len(b.sfn.Executions()) >= executions })
}

func TestStartsEachRequestOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	for n := range 50 {
		b.send(t, request(n))
	}
	b.send(t, request(7)) // a request that was published twice
	s, stop := b.run(t)
	b.waitFor(t, 50)
	eventually(t, "all starts", func() bool { return s.Stats().Started == 51 })
	stop()
	got := b.sfn.Executions()
	for n := range 50 {
		if id := fmt.Sprintf("run-%d", n); got[id] != request(n) {
			t.Errorf("%s has the input %q, want the request as it came", id, got[id])
		}
	}
	if n, err := b.requests.Depth(t.Context()); n != 0 || err != nil {
		t.Errorf("%d requests are left (%v)", n, err)
	}
}

func TestRejectsWhatCannotBeStarted(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	dead, err := b.broker.Consumer(t.Context(), "requests-dlq", natsqueue.ConsumerOptions{})
	must(t, err)
	t.Cleanup(func() { dead.Close() })
	must(t, b.client.Start(t.Context(), "run-1", []byte(`{"other":"input"}`)))
	b.send(t, request(1), `no json`, `{"templateName":"get","method":"GET"}`, `{"id":"a b","templateName":"get","method":"GET"}`)
	s, _ := b.run(t)
	for n := 0; n < 4; {
		ds, err := dead.Receive(t.Context(), 4)
		must(t, err)
		for _, d := range ds {
			if d.Headers[queue.DeadLetterReason] == "" {
				t.Errorf("%s has no reason", d.Body)
			}
			must(t, d.Ack(t.Context()))
			n++
		}
	}
	eventually(t, "the count", func() bool { return s.Stats().Rejected == 4 && s.Stats().Started == 0 })
}

// Who waits for the outcome of a request that can never be started gets one.
func TestTellsTheOutcomeOfWhatCannotBeStarted(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	feed, err := b.broker.FeedConsumer(t.Context(), "results", "run")
	must(t, err)
	t.Cleanup(func() { feed.Close() })
	b.opts.Results, err = b.broker.FeedPublisher(t.Context(), "results")
	must(t, err)
	must(t, b.client.Start(t.Context(), "run-1", []byte(`{"other":"input"}`)))
	b.send(t, request(1))
	s, _ := b.run(t)
	ds, err := feed.Receive(t.Context(), 1)
	must(t, err)
	o, err := call.DecodeOutcome(ds[0].Body)
	must(t, err)
	must(t, ds[0].Ack(t.Context()))
	if o.ID != "run-1" || o.Status != call.StatusFailed || o.Error != string(call.NotStarted) || !strings.Contains(o.Cause, "another input") {
		t.Errorf("got %+v, want the failure of run-1 with the reason", o)
	}
	eventually(t, "the dead letter", func() bool { return s.Stats().Rejected == 1 })
}

// Throttling and outages use up no deliveries and lose nothing.
func TestTriesUntilItIsStarted(t *testing.T) {
	t.Parallel()
	b := setup(t, 600*time.Millisecond)
	b.sfn.Fail("StartExecution", "ThrottlingException", http.StatusBadRequest, 3)
	b.sfn.Fail("StartExecution", "InternalFailure", http.StatusInternalServerError, 3)
	b.send(t, request(1), request(2))
	s, _ := b.run(t)
	b.waitFor(t, 2)
	eventually(t, "the counts", func() bool { return s.Stats().Started == 2 })
	if got := s.Stats(); got.Throttled != 3 || got.Errors != 3 || got.Rejected != 0 {
		t.Errorf("got %+v, want 3 throttled and 3 errors", got)
	}
}

func TestStopHandsBackWhatIsNotStarted(t *testing.T) {
	t.Parallel()
	const lease = 20 * time.Second
	b := setup(t, lease)
	b.opts.DrainTimeout = 10 * time.Millisecond
	b.opts.Rate = 0.001 // one start is free, the second is far away
	b.send(t, request(1), request(2))
	_, stop := b.run(t)
	b.waitFor(t, 1)
	stop()
	b.opts.Rate = 0
	began := time.Now()
	b.run(t)
	b.waitFor(t, 2)
	if d := time.Since(began); d > lease/2 {
		t.Errorf("it came again after %s: it was not handed back", d)
	}
}

func TestIsPaced(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	b.opts.Rate = 50
	for n := range 30 {
		b.send(t, request(n))
	}
	began := time.Now()
	b.run(t)
	b.waitFor(t, 30)
	// 5 are free (a tenth of a second's), 25 take 20 ms each.
	if d := time.Since(began); d < 490*time.Millisecond {
		t.Errorf("30 starts at 50 a second took %s", d)
	}
}

// depth is a tasks queue that each execution puts a task on.
type depth struct {
	sfn   *stepfntest.Server
	taken atomic.Int64
	looks atomic.Int64
	fails atomic.Bool
}

func (d *depth) Depth(context.Context) (int, error) {
	d.looks.Add(1)
	if d.fails.Load() {
		return 0, errors.New("the broker is away")
	}
	return max(len(d.sfn.Executions())-int(d.taken.Load()), 0), nil
}

// look waits until the depth was looked at twice from now on.
func (d *depth) look(t testing.TB) {
	t.Helper()
	looks := d.looks.Load()
	eventually(t, "a look at the depth", func() bool { return d.looks.Load() > looks+1 })
}

func TestHoldsBackWhileTasksWait(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	d := &depth{sfn: b.sfn}
	b.opts.Tasks, b.opts.MaxBacklog = d, 3
	for n := range 8 {
		b.send(t, request(n))
	}
	b.run(t)
	b.waitFor(t, 3)
	d.look(t)
	if n := len(b.sfn.Executions()); n != 3 {
		t.Errorf("%d were started with room for 3", n)
	}
	d.taken.Store(2)
	b.waitFor(t, 5)
	d.fails.Store(true)
	d.look(t)
	d.taken.Store(8)
	d.look(t)
	if n := len(b.sfn.Executions()); n != 5 {
		t.Errorf("%d were started while the depth was not known, want 5 still", n)
	}
	d.fails.Store(false)
	b.waitFor(t, 8)
}

func batchOf(id, calls int) string {
	all := make([]string, calls)
	for i := range all {
		all[i] = fmt.Sprintf(`{"id":"run-%d"}`, id+i)
	}
	return fmt.Sprintf(`{"id":"run-batch-%d","templateName":"get","method":"GET","batch":{"count":%d,"timeoutSeconds":960,"calls":[%s]}}`,
		id, calls, strings.Join(all, ","))
}

// machine is another state machine: what is started on it has a name of its own.
type machine struct{ starter.Executions }

func (m machine) Start(ctx context.Context, name string, input []byte) error {
	return m.Executions.Start(ctx, "on-other-"+name, input)
}

func TestStartsBatchesOnTheirStateMachine(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	b.opts.Batches = machine{b.client}
	b.send(t, request(1), batchOf(2, 3))
	b.run(t)
	b.waitFor(t, 2)
	if got := b.sfn.Executions(); got["run-1"] == "" || got["on-other-run-batch-2"] != batchOf(2, 3) {
		t.Errorf("started %v", got)
	}
}

func TestRefusesBatchesWithoutAStateMachine(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	feed, err := b.broker.FeedPublisher(t.Context(), "results")
	must(t, err)
	b.opts.Results = feed
	outcomes, err := b.broker.FeedConsumer(t.Context(), "results", "run")
	must(t, err)
	t.Cleanup(func() { outcomes.Close() })
	b.send(t, batchOf(2, 3))
	b.run(t)
	ds, err := outcomes.Receive(t.Context(), 1)
	must(t, err)
	o, err := call.DecodeOutcome(ds[0].Body)
	must(t, err)
	if o.ID != "run-batch-2" || o.Error != string(call.NotStarted) || !strings.Contains(o.Cause, "no state machine for batches") {
		t.Errorf("%+v", o)
	}
	must(t, ds[0].Ack(t.Context()))
}

// The room for tasks is counted in calls: one batch when nothing waits, however
// large, and no more while it does.
func TestHoldsBatchesBackWhileTasksWait(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	d := &depth{sfn: b.sfn}
	b.opts.Tasks, b.opts.MaxBacklog, b.opts.Batches = d, 25, b.client
	for n := range 6 {
		b.send(t, batchOf(100*n, 10))
	}
	b.run(t)
	b.waitFor(t, 2)
	d.look(t)
	if n := len(b.sfn.Executions()); n != 2 {
		t.Errorf("%d batches of 10 calls were started with room for 25", n)
	}
	d.taken.Store(2)
	b.waitFor(t, 4)
	d.taken.Store(1000)
	b.waitFor(t, 6)
	b.send(t, batchOf(10_000, 40))
	b.waitFor(t, 7)
}

func TestFullSpeedWhileWorkersKeepUp(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	d := &depth{sfn: b.sfn}
	d.taken.Store(1 << 30) // by workers that keep up
	b.opts.Tasks, b.opts.MaxBacklog = d, 100
	const n = 500
	for i := range n {
		b.send(t, request(i))
	}
	b.run(t)
	b.waitFor(t, n)
	if looks := d.looks.Load(); looks > 30 {
		t.Errorf("looked %d times at the depth for %d starts, want about one for each 100", looks, n)
	}
}

func TestSpanIsChildOfTheRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute)
	spans := tracetest.NewSpanRecorder()
	tp := trace.NewTracerProvider(trace.WithSpanProcessor(spans), trace.WithSpanProcessor(evidence.Spans(t)))
	t.Cleanup(func() { _ = tp.Shutdown(context.Background()) })
	b.opts.TracerProvider = tp
	b.send(t, `{"id":"run-1","templateName":"get","method":"GET","trace":{"traceparent":"00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}}`)
	_, stop := b.run(t)
	b.waitFor(t, 1)
	stop()
	ended := spans.Ended()
	if len(ended) != 1 || ended[0].Name() != "process requests" || ended[0].Parent().SpanID().String() != "0123456789abcdef" {
		t.Fatalf("got spans %v, want start under the request", ended)
	}
	sc := ended[0].SpanContext()
	want := "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01"
	if got := b.sfn.Parents(); len(got) != 1 || got[0] != want {
		t.Errorf("the API was given %q, want %q", got, want)
	}
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
