package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"callfleet/internal/batch"
	"callfleet/internal/blob/fileblob"
	"callfleet/internal/call"
	"callfleet/internal/evidence"
)

// gauge is an API that counts the calls by their key, and how many there are at
// once.
type gauge struct {
	mu   sync.Mutex
	keys []string // in the order in which they came; guarded by mu
	now  int      // guarded by mu
	most int      // guarded by mu
	hold func(key string, n int)
}

func (g *gauge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Idempotency-Key")
	g.mu.Lock()
	g.keys = append(g.keys, key)
	g.now++
	g.most = max(g.most, g.now)
	n := len(g.keys)
	g.mu.Unlock()
	if g.hold != nil {
		g.hold(key, n)
	}
	g.mu.Lock()
	g.now--
	g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
}

func (g *gauge) seen() (keys []string, most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.keys), g.most
}

// batches gives the workers of the bundle a place for the progress of batches.
func (b *bundle) batches(t *testing.T) *batch.Store {
	t.Helper()
	files, err := fileblob.New(evidence.Dir(t), fileblob.Options{})
	must(t, err)
	t.Cleanup(func() { files.Close() })
	store := batch.New(files)
	b.deps.Batches = store
	return store
}

// sendBatch puts a batch of calls <id>-1 … on the queue.
func (b *bundle) sendBatch(t *testing.T, n int) {
	t.Helper()
	b.send(t, 1, func(task *call.Task) {
		task.ID, task.Token, task.Params = "run-batch-1", "batch", nil
		task.Batch = &call.Batch{Count: n, TimeoutSeconds: call.BatchTimeout(n)}
		task.TimeoutSeconds = task.Batch.TimeoutSeconds
		for i := range n {
			task.Batch.Calls = append(task.Batch.Calls, call.BatchCall{
				ID: fmt.Sprint("call-", i+1), Params: json.RawMessage(fmt.Sprintf(`{"id":%d}`, i+1)),
			})
		}
	})
}

// manifest waits for that of the batch, and for the outcomes of its calls.
func (b *bundle) manifest(t *testing.T, store *batch.Store) (call.Manifest, []call.CallOutcome) {
	t.Helper()
	task := b.settled(t, "batch")
	m, err := call.DecodeManifest([]byte(task.Output))
	if err != nil {
		t.Fatalf("%v: task %+v", err, task)
	}
	outcomes, err := store.Outcomes(t.Context(), call.Outcome{ID: "run-batch-1", Status: call.StatusSucceeded, Output: []byte(task.Output)})
	must(t, err)
	return m, outcomes
}

// again are the keys that came more than once.
func again(keys []string) (n int) {
	seen := map[string]bool{}
	for _, k := range keys {
		if seen[k] {
			n++
		}
		seen[k] = true
	}
	return n
}

// A batch uses the slots that are free, and no more; each call has its own key,
// its own path, and its own outcome.
func TestBatchUsesFreeSlots(t *testing.T) {
	t.Parallel()
	const n, slots = 60, 8
	full := make(chan struct{})
	var once sync.Once
	g := &gauge{}
	g.hold = func(string, int) {
		if _, most := g.seen(); most == slots {
			once.Do(func() { close(full) })
		}
		<-full // nobody goes on before all slots are in use
	}
	b := setup(t, time.Minute, g.ServeHTTP)
	store := b.batches(t)
	b.opts.Slots = slots
	b.sendBatch(t, n)
	w, stop := b.run(t)
	m, outcomes := b.manifest(t, store)
	if m.Calls != n || m.Succeeded != n || len(outcomes) != n {
		t.Fatalf("%+v with %d outcomes", m, len(outcomes))
	}
	for i, o := range outcomes {
		if o.ID != fmt.Sprint("call-", i+1) || !strings.Contains(string(o.Output), fmt.Sprintf("/things/%d\"", i+1)) || o.Started.IsZero() || o.Stopped.Before(o.Started) {
			t.Errorf("outcome %d: %+v %s", i+1, o, o.Output)
		}
	}
	keys, most := g.seen()
	if most != slots || len(keys) != n || again(keys) != 0 {
		t.Errorf("%d calls, %d at once, %d again", len(keys), most, again(keys))
	}
	eventually(t, "the ack", func() bool { return w.Stats().InFlight == 0 })
	must(t, stop())
	if s := w.Stats(); s.Succeeded != n {
		t.Errorf("%+v, want %d successes", s, n)
	}
}

// A call that comes alone does not wait for the batch: it has the next slot.
func TestBatchDoesNotStarveOthers(t *testing.T) {
	t.Parallel()
	const n, slots = 40, 4
	step, alone := make(chan struct{}), make(chan int, 1)
	g := &gauge{hold: func(key string, n int) {
		if key == "run-1" {
			alone <- n
			return
		}
		<-step
	}}
	b := setup(t, time.Minute, g.ServeHTTP)
	store := b.batches(t)
	b.opts.Slots = slots
	b.sendBatch(t, n)
	b.run(t)
	eventually(t, "a full worker", func() bool { _, most := g.seen(); return most == slots })
	b.send(t, 1, nil)
	for nth := 0; ; {
		select {
		case step <- struct{}{}:
			continue
		case nth = <-alone:
		}
		// Those that were under way, what they commit together, and a little more,
		// for the task has to come from the broker first.
		if nth > n {
			t.Errorf("the call that came alone was the %dth", nth)
		}
		break
	}
	close(step)
	if m, _ := b.manifest(t, store); m.Succeeded != n {
		t.Errorf("%+v", m)
	}
	if _, most := g.seen(); most > slots {
		t.Errorf("%d calls at once", most)
	}
}

// A worker that drains ends the calls under way and hands the batch back; the
// next one makes the others, and none twice.
func TestDrainHandsABatchBackWithItsProgress(t *testing.T) {
	t.Parallel()
	const n = 30
	began, goOn := make(chan struct{}), make(chan struct{})
	g := &gauge{hold: func(_ string, n int) {
		if n == 10 {
			close(began)
		}
		if n >= 10 {
			<-goOn
		}
	}}
	b := setup(t, time.Minute, g.ServeHTTP)
	store := b.batches(t)
	b.opts.Slots = 3
	b.sendBatch(t, n)
	w, stop := b.run(t)
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	select {
	case <-stopped:
		t.Error("the worker did not wait for the calls under way")
	case <-time.After(50 * time.Millisecond):
	}
	close(goOn)
	must(t, <-stopped)
	keys, _ := g.seen()
	if s := w.Stats(); s.HandedBack != 1 || len(keys) > 14 || b.sfn.Task("batch").Settled {
		t.Errorf("%+v after %d calls", s, len(keys))
	}
	b.run(t)
	if m, _ := b.manifest(t, store); m.Succeeded != n {
		t.Errorf("%+v", m)
	}
	if keys, _ := g.seen(); len(keys) != n || again(keys) != 0 {
		t.Errorf("%d calls, %d again", len(keys), again(keys))
	}
}

// A drain that takes too long breaks calls off: these, and no others, are made
// again.
func TestDrainBreaksABatchOff(t *testing.T) {
	t.Parallel()
	const n, slots = 30, 3
	began, goOn := make(chan struct{}), make(chan struct{})
	g := &gauge{hold: func(_ string, n int) {
		if n == 10 {
			close(began)
		}
		if n >= 10 && n < 10+slots {
			<-goOn
		}
	}}
	b := setup(t, time.Minute, g.ServeHTTP)
	store := b.batches(t)
	b.opts.Slots, b.opts.DrainTimeout = slots, 20*time.Millisecond
	b.sendBatch(t, n)
	_, stop := b.run(t)
	<-began
	must(t, stop())
	close(goOn)
	b.run(t)
	if m, _ := b.manifest(t, store); m.Succeeded != n {
		t.Errorf("%+v", m)
	}
	if keys, _ := g.seen(); again(keys) == 0 || again(keys) > slots || len(keys) != n+again(keys) {
		t.Errorf("%d calls, %d again, want at most the %d under way", len(keys), again(keys), slots)
	}
}

// A stopped execution ends its batch: the calls that have not begun are not made.
func TestClosedTaskEndsItsBatch(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	b := setup(t, time.Minute, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case began <- struct{}{}:
		default:
		}
		<-r.Context().Done()
	})
	b.batches(t)
	b.opts.Slots, b.opts.HeartbeatEvery = 2, 40*time.Millisecond
	b.sendBatch(t, 20)
	w, _ := b.run(t)
	<-began
	b.sfn.CloseTask("batch")
	eventually(t, "the end of the batch", func() bool { return w.Stats().Gone == 1 && w.Stats().InFlight == 0 })
	if n := b.calls.Load(); n > 2 {
		t.Errorf("%d calls were made", n)
	}
}

// A batch that comes when nobody waits for it any more makes no call.
func TestStaleBatchIsNotCalled(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	b.batches(t)
	b.sendBatch(t, 5)
	b.sfn.CloseTask("batch")
	w, _ := b.run(t)
	eventually(t, "the message to be dropped", func() bool { return w.Stats().Gone == 1 })
	if n := b.calls.Load(); n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

// A call that fails does not fail its batch; what fails a batch is that nothing
// can be done for any of its calls.
func TestBatchWithFailures(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/things/2" {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	store := b.batches(t)
	b.send(t, 1, func(task *call.Task) {
		task.ID, task.Token = "run-batch-1", "batch"
		task.Batch = &call.Batch{Count: 4, TimeoutSeconds: 1020, Calls: []call.BatchCall{
			{ID: "a", Params: json.RawMessage(`{"id":1}`)}, {ID: "b", Params: json.RawMessage(`{"id":2}`)},
			{ID: "c", Params: json.RawMessage(`{}`)}, {ID: "d", Params: json.RawMessage(`{"id":4}`), Deadline: time.Now().Add(-time.Second)},
		}}
	})
	b.run(t)
	m, outcomes := b.manifest(t, store)
	if m.Succeeded != 1 || m.Failed != 3 || m.ByStatus["2xx"] != 1 || m.ByStatus["4xx"] != 1 ||
		m.ByError["Callfleet.StatusCode.404"] != 1 || m.ByError[string(call.RenderFailed)] != 1 || m.ByError[string(call.DeadlineExceeded)] != 1 {
		t.Errorf("%+v", m)
	}
	if len(outcomes) != 4 || outcomes[2].Error != call.RenderFailed || outcomes[2].Cause == "" || outcomes[3].Error != call.DeadlineExceeded || len(outcomes[1].Output) == 0 {
		t.Errorf("%+v", outcomes)
	}

	none := setup(t, time.Minute, answer)
	none.deps.Batches = nil
	none.sendBatch(t, 3)
	none.run(t)
	if task := none.settled(t, "batch"); task.Error != string(call.BlobUnavailable) || !strings.Contains(task.Cause, "CALLFLEET_BLOBS") {
		t.Errorf("without a store: %+v", task)
	}
}

// A call of a batch is in the trace of its own request, with a link to the batch.
func TestTraceOfABatch(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	b.batches(t)
	spans := tracetest.NewSpanRecorder()
	tp := trace.NewTracerProvider(trace.WithSpanProcessor(spans), trace.WithSpanProcessor(evidence.Spans(t)))
	t.Cleanup(func() { _ = tp.Shutdown(context.Background()) })
	b.opts.TracerProvider = tp
	const own = "00-0123456789abcdef0123456789abcdef-1111111111111111-01"
	b.send(t, 1, func(task *call.Task) {
		task.ID, task.Token = "run-batch-1", "batch"
		task.Batch = &call.Batch{Count: 2, TimeoutSeconds: 960, Calls: []call.BatchCall{
			{ID: "a", Params: json.RawMessage(`{"id":1}`), Trace: &call.Trace{Parent: own}}, {ID: "b", Params: json.RawMessage(`{"id":2}`)},
		}}
	})
	_, stop := b.run(t)
	b.settled(t, "batch")
	must(t, stop())
	var task trace.ReadOnlySpan
	calls := map[string]trace.ReadOnlySpan{}
	for _, s := range spans.Ended() {
		switch s.Name() {
		case "process tasks":
			task = s
		case "process call":
			calls[values([]trace.ReadOnlySpan{s}, "callfleet.request.id")[0]] = s
		}
	}
	if task == nil || len(calls) != 2 {
		t.Fatalf("got the task's span %v and those of %d calls", task, len(calls))
	}
	if got := calls["a"].Parent(); got.SpanID().String() != "1111111111111111" || got.TraceID() == task.SpanContext().TraceID() {
		t.Errorf("the parent of a is %s, want its request", got.SpanID())
	}
	if calls["b"].Parent().SpanID() != task.SpanContext().SpanID() {
		t.Error("b, which has no trace of its own, is not under the batch")
	}
	for id, s := range calls {
		if links := s.Links(); len(links) != 1 || links[0].SpanContext.SpanID() != task.SpanContext().SpanID() {
			t.Errorf("%s has links %v, want the batch", id, links)
		}
		if got := values([]trace.ReadOnlySpan{s}, "callfleet.status_code"); len(got) != 1 || got[0] != "200" {
			t.Errorf("%s has status codes %v", id, got)
		}
	}
	if got := values([]trace.ReadOnlySpan{task}, "callfleet.batch.succeeded"); len(got) != 1 || got[0] != "2" {
		t.Errorf("the batch has succeeded=%v", got)
	}
}
