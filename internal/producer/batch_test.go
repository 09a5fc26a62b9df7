package producer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"callfleet/internal/batch"
	"callfleet/internal/blob/fileblob"
	"callfleet/internal/call"
	"callfleet/internal/evidence"
	"callfleet/internal/producer/callfile"
	"callfleet/internal/telemetry/otlptest"
	"callfleet/internal/template/itemjson"
	"callfleet/internal/template/store"
)

// batchFleet is a fleet that makes the calls of batches, and the store that both
// have.
type batchFleet struct {
	*fleet
	store *batch.Store
	mu    sync.Mutex
	sizes []int             // of the batches that were started; guarded by mu
	made  map[string]string // the batch of each call; guarded by mu
}

func newBatchFleet(t *testing.T) *batchFleet {
	t.Helper()
	files, err := fileblob.New(evidence.Dir(t), fileblob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	f := &batchFleet{fleet: newFleet(t, ""), store: batch.New(files), made: map[string]string{}}
	f.fleet.answer = f.make
	return f
}

func (f *batchFleet) deps() Deps {
	d := f.fleet.deps()
	d.Batches = f.store
	return d
}

// make does what a worker does with a batch: a call whose params have "fail" gets
// no answer, one with "status" that status.
func (f *batchFleet) make(r call.Request) call.Outcome {
	o := call.Outcome{ID: r.ID, Status: call.StatusSucceeded, Started: time.Now(), Stopped: time.Now()}
	m, err := f.makeAll(r)
	if err == nil {
		o.Output, err = call.EncodeManifest(m)
	}
	if err != nil {
		o.Status, o.Error, o.Cause = call.StatusFailed, "Test.Broken", err.Error()
	}
	return o
}

type noLanes struct{}

func (noLanes) Borrow(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
func (noLanes) Keep() bool                       { return false }
func (noLanes) GiveBack()                        {}

var errBroken = errors.New("the worker broke down")

func (f *batchFleet) makeAll(r call.Request) (call.Manifest, error) {
	if r.Batch == nil {
		return call.Manifest{}, errors.New("this is no batch")
	}
	calls, err := f.store.Calls(context.Background(), *r.Batch)
	if err != nil {
		return call.Manifest{}, err
	}
	f.mu.Lock()
	f.sizes = append(f.sizes, len(calls))
	for _, c := range calls {
		f.made[c.ID] = r.ID
	}
	f.mu.Unlock()
	return f.store.Run(context.Background(), batch.Work{ID: r.ID, Calls: calls, Lanes: noLanes{}, Call: func(_ context.Context, c call.BatchCall, _ batch.Lane) (call.CallOutcome, error) {
		var params struct {
			Status      int
			Fail, Break bool
		}
		if err := json.Unmarshal(c.Params, &params); err != nil {
			return call.CallOutcome{}, err
		}
		o := call.CallOutcome{ID: c.ID, Started: time.Now(), Stopped: time.Now()}
		switch {
		case params.Break:
			return o, errBroken
		case params.Fail:
			o.Error, o.Cause = call.ConnectionFailed, "nobody there (2 attempts in 3ms)"
		default:
			o.Output = fmt.Appendf(nil, `{"statusCode":%d,"headers":{},"body":%s,"attempts":1,"durationMs":2}`, max(params.Status, 200), c.Params)
		}
		return o, nil
	}})
}

// A batched run writes the lines of an unbatched one: one for each call, with its
// own outcome, whatever the others came to.
func TestBatchedRunWritesOneResultPerLine(t *testing.T) {
	t.Parallel()
	f := newBatchFleet(t)
	f.serve()
	var text strings.Builder
	for i := 1; i <= 25; i++ {
		name, params := "a", fmt.Sprintf(`{"n":%d}`, i)
		switch {
		case i%5 == 0:
			name = "b"
		case i == 7:
			params = `{"status":503}`
		case i == 8:
			params = `{"fail":true}`
		case i == 9:
			text.WriteString("{\"nonsense\":\n")
			continue
		}
		fmt.Fprintf(&text, `{"templateName":%q,"method":"GET","params":%s}`+"\n", name, params)
	}
	o := f.options("calls.jsonl", text.String())
	o.PerExecution = 8
	sum, err := f.run(f.deps(), o)
	if err != nil || sum.OK != 22 || sum.Failed != 3 || sum.Open != 0 {
		t.Fatalf("%+v, %v", sum, err)
	}
	results := f.results(o)
	if len(results) != 25 {
		t.Fatalf("%d results", len(results))
	}
	for line, r := range results {
		wantStatus, wantError := "SUCCEEDED", ""
		switch line {
		case 7:
			wantStatus, wantError = "FAILED", "Callfleet.StatusCode.503"
		case 8:
			wantStatus, wantError = "FAILED", string(call.ConnectionFailed)
		case 9:
			wantStatus, wantError = "FAILED", string(BadInput)
		default:
			if want := fmt.Sprintf(`"body":{"n":%d}`, line); !strings.Contains(string(r.Output), want) || r.StatusCode != 200 || r.Attempts != 1 || r.Durations.Call != 2 {
				t.Errorf("line %d: %+v, output %s", line, r, r.Output)
			}
		}
		if r.ID != fmt.Sprint("r-", line) || r.Status != wantStatus || r.Error != wantError {
			t.Errorf("line %d: %s %s %s (%s)", line, r.ID, r.Status, r.Error, r.Cause)
		}
	}
	slices.Sort(f.sizes)
	if want := []int{3, 5, 8, 8}; !slices.Equal(f.sizes, want) {
		t.Errorf("batches of %v calls, want %v", f.sizes, want)
	}
	if f.made["r-1"] != "r-batch-1" || f.made["r-5"] != "r-batch-5" || f.made["r-10"] != "r-batch-5" {
		t.Errorf("calls were in %v", f.made)
	}
}

// A batch that fails in the middle costs nobody's result: calls that were made
// have their own, the others that of the batch.
func TestBatchThatFailsInTheMiddle(t *testing.T) {
	t.Parallel()
	f := newBatchFleet(t)
	f.serve()
	o := f.options("calls.jsonl", strings.ReplaceAll(jsonCalls(10), `{"n":6}`, `{"break":true}`))
	o.PerExecution = 10
	sum, err := f.run(f.deps(), o)
	if err != nil || sum.OK != 5 || sum.Failed != 5 {
		t.Fatalf("%+v, %v", sum, err)
	}
	for line, r := range f.results(o) {
		if line > 5 && (r.Status != "FAILED" || r.Error != "Test.Broken" || r.Output != nil) || line <= 5 && r.Status != "SUCCEEDED" {
			t.Errorf("line %d: %+v", line, r)
		}
	}
}

// Results that are gone fail the calls by name.
func TestResultsOfABatchAreGone(t *testing.T) {
	t.Parallel()
	f := newBatchFleet(t)
	f.fleet.answer = func(r call.Request) call.Outcome {
		o := succeed(r)
		o.Output = json.RawMessage(`{"calls":3,"resultsRef":{"url":"file:///gone","bytes":3,"sha256":"` + strings.Repeat("0", 64) + `"}}`)
		return o
	}
	f.serve()
	o := f.options("calls.jsonl", jsonCalls(3))
	o.PerExecution = 3
	if sum, err := f.run(f.deps(), o); err != nil || sum.Failed != 3 {
		t.Fatalf("%+v, %v", sum, err)
	}
	for _, r := range f.results(o) {
		if r.Error != string(call.BadReference) || !strings.Contains(r.Cause, "r-batch-1") {
			t.Errorf("%+v", r)
		}
	}
}

// At every crash point a batched run goes on as an unbatched one does: each line
// has one result, and no execution comes again with another input.
func TestBatchedRunResumes(t *testing.T) {
	t.Parallel()
	for _, point := range []string{
		"run-created", "intent-written", "batch-half", "batch-published", "ack-written", "outcome-received", "result-flushed", "event-acked", "all-done",
	} {
		for _, nth := range []int{1, 2} {
			if nth > 1 && (point == "run-created" || point == "all-done") {
				continue
			}
			t.Run(fmt.Sprint(point, nth), func(t *testing.T) {
				t.Parallel()
				f := newBatchFleet(t)
				f.serve()
				o := f.options("calls.jsonl", crashCalls(false))
				o.PerExecution, o.Batch, o.Window = 6, 18, 200
				d := f.deps()
				wire := &recorder{Publisher: d.Queue, bodies: map[string]string{}}
				d.Queue = wire
				p, err := New(d, o)
				if err != nil {
					t.Fatal(err)
				}
				p.fault = crashAt(point, nth, nil)
				if _, err := p.Run(t.Context()); !errors.Is(err, errCrash) {
					t.Fatalf("run: %v, want a crash", err)
				}
				o.Resume = true
				sum, err := f.run(d, o)
				if point == "run-created" {
					o.Resume = false
					sum, err = f.run(d, o)
				}
				if err != nil || sum.OK != crashLines-crashBad || sum.Failed != crashBad || len(f.results(o)) != crashLines {
					t.Fatalf("resumed: %+v, %v, %d results", sum, err, len(f.results(o)))
				}
				if len(wire.other) > 0 || len(f.conflicts) > 0 {
					t.Errorf("came again with other bytes: %q %q", wire.other, f.conflicts)
				}
			})
		}
	}
}

// What a template declares is checked once: a resumed run packs the calls that
// it packed before, even if the template refuses one by then.
func TestResumedBatchesDoNotChange(t *testing.T) {
	t.Parallel()
	f := newBatchFleet(t)
	o := f.options("calls.jsonl", jsonCalls(4)+`{"templateName":"t","method":"GET","params":{"n":"text"}}`+"\n")
	o.PerExecution = 5
	declared := func(kind string) *Checker {
		item, err := itemjson.FromPlain([]byte(`{"name":"t","method":"GET","url":"http://x/","params":{"type":"object","properties":{"n":{"type":"` + kind + `"}}}}`))
		if err != nil {
			t.Fatal(err)
		}
		return NewChecker(oneTemplate(item))
	}
	d := f.deps()
	wire := &recorder{Publisher: d.Queue, bodies: map[string]string{}}
	d.Queue, d.Checker = wire, declared("number")
	p, err := New(d, o)
	if err != nil {
		t.Fatal(err)
	}
	p.fault = crashAt("batch-published", 1, nil)
	if _, err := p.Run(t.Context()); !errors.Is(err, errCrash) {
		t.Fatalf("run: %v, want a crash", err)
	}
	f.serve()
	o.Resume, d.Checker = true, declared("string")
	sum, err := f.run(d, o)
	if err != nil || sum.OK != 4 || sum.Failed != 1 || wire.again != 1 || len(wire.other) > 0 {
		t.Fatalf("%+v, %v; %d came again, %q with other bytes", sum, err, wire.again, wire.other)
	}
	if r := f.results(o)[5]; r.Error != string(BadInput) {
		t.Errorf("%+v", r)
	}
}

// A call that pins a version which is not there was never in a batch: a resumed
// run gives the others the places, and the traces, that they had.
func TestResumedBatchesDoNotHaveUnknownVersions(t *testing.T) {
	t.Parallel()
	f := newBatchFleet(t)
	o := f.options("calls.jsonl", `{"templateName":"t","method":"GET","templateVersion":9}`+"\n"+jsonCalls(40))
	o.PerExecution = 50
	half := map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
	o.Tracers = tracers(t, otlptest.Start(t), half).TracerProvider()
	d := f.deps()
	wire := &recorder{Publisher: d.Queue, bodies: map[string]string{}}
	d.Queue, d.Checker = wire, NewChecker(noVersions{})
	p, err := New(d, o)
	if err != nil {
		t.Fatal(err)
	}
	p.fault = crashAt("batch-published", 1, nil)
	if _, err := p.Run(t.Context()); !errors.Is(err, errCrash) {
		t.Fatalf("run: %v, want a crash", err)
	}
	f.serve()
	o.Resume = true
	sum, err := f.run(d, o)
	if err != nil || sum.OK != 40 || sum.Failed != 1 || wire.again != 1 || len(wire.other) > 0 {
		t.Fatalf("%+v, %v; %d came again, %q with other bytes", sum, err, wire.again, wire.other)
	}
	if r := f.results(o)[1]; r.Error != string(call.TemplateNotFound) {
		t.Errorf("%+v", r)
	}
}

// noVersions has every template, and no version of any.
type noVersions struct{ oneTemplate }

func (noVersions) Get(_ context.Context, k store.Key) (store.Item, error) {
	if _, pinned := k.Cut(); pinned > 0 {
		return store.Item{}, store.ErrNotFound
	}
	return store.Item{Key: k, Attributes: json.RawMessage(`{"PK":{"S":"t"},"SK":{"S":"GET"},"url":{"S":"http://x/"}}`)}, nil
}

type oneTemplate json.RawMessage

func (o oneTemplate) Get(_ context.Context, k store.Key) (store.Item, error) {
	return store.Item{Key: k, Attributes: json.RawMessage(o)}, nil
}

func (oneTemplate) Versions(context.Context, store.Key) ([]store.Item, error) { return nil, nil }

// A run goes on as it began.
func TestResumeWithAnotherBatchSize(t *testing.T) {
	t.Parallel()
	f := newBatchFleet(t)
	f.serve()
	o := f.options("calls.jsonl", jsonCalls(3))
	o.PerExecution = 3
	if _, err := f.run(f.deps(), o); err != nil {
		t.Fatal(err)
	}
	o.Resume, o.PerExecution = true, 0
	if sum, err := f.run(f.deps(), o); ExitCode(sum, err) != exitBadInput || !strings.Contains(err.Error(), "--batch 3") {
		t.Errorf("%v", err)
	}
	o.PerExecution = 3
	if sum, err := f.run(f.deps(), o); err != nil || !sum.AlreadyDone {
		t.Errorf("%+v, %v", sum, err)
	}
}

// An outcome that the feed lost is asked for by the batch's name, once for all
// its calls.
func TestBatchIsReconciled(t *testing.T) {
	t.Parallel()
	f := newBatchFleet(t)
	outcomes := make(chan call.Outcome, 1)
	f.fleet.answer = func(r call.Request) call.Outcome {
		outcomes <- f.make(r)
		return call.Outcome{} // the feed never tells
	}
	f.serve()
	o := f.options("calls.jsonl", jsonCalls(5))
	o.PerExecution, o.ReconcileAfter, o.ReconcileRate = 5, 20*time.Millisecond, 1000
	d := f.deps()
	told := &describeOnce{outcomes: outcomes}
	d.Describer = told
	if sum, err := f.run(d, o); err != nil || sum.OK != 5 {
		t.Fatalf("%+v, %v", sum, err)
	}
	for _, id := range told.asked {
		if id != "r-batch-1" {
			t.Errorf("asked for %s", id)
		}
	}
}

type describeOnce struct {
	outcomes chan call.Outcome
	asked    []string
}

func (d *describeOnce) Describe(_ context.Context, id string) (call.Outcome, bool, error) {
	d.asked = append(d.asked, id)
	select {
	case o := <-d.outcomes:
		return o, true, nil
	default:
		return call.Outcome{}, false, nil
	}
}

func TestOptionsOfBatches(t *testing.T) {
	t.Parallel()
	f := newBatchFleet(t)
	for n, bad := range map[int]bool{-1: true, 0: false, 1: false, 2: false, call.MaxBatch: false, call.MaxBatch + 1: true} {
		if _, err := New(f.deps(), Options{File: "x", PerExecution: n}); (err != nil) != bad {
			t.Errorf("%d calls: %v", n, err)
		}
	}
	if _, err := New(f.fleet.deps(), Options{File: callfile.Stdin, Stdin: strings.NewReader(""), PerExecution: 2}); err == nil {
		t.Error("batches without a store are accepted")
	}
}
