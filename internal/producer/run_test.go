package producer

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/producer/callfile"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/report"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
	"callfleet/internal/template/store"
)

func TestRunWritesOneResultPerLine(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	f.answer = func(r call.Request) call.Outcome {
		o := succeed(r)
		switch r.ID {
		case "r-2":
			o.Status, o.Output = call.StatusFailed, nil
			o.Error, o.Cause = "Callfleet.StatusCode.404", "GET t (http://x) answered 404; attempts=3 durationMs=17"
		case "r-5":
			o.Status, o.Output = call.StatusTimedOut, nil
		}
		return o
	}
	f.serve()
	o := f.options("calls.jsonl", jsonCalls(2)+"\n{\"bad\":1}\n"+jsonCalls(2))
	sum, err := f.run(f.deps(), o)
	if err != nil {
		t.Fatal(err)
	}
	if ExitCode(sum, err) != 1 || sum.OK != 3-1 || sum.Failed != 3 || sum.Retries != 2 || sum.Resume != "" {
		t.Errorf("exit code %d, summary %+v", ExitCode(sum, err), sum)
	}
	got := f.results(o)
	if r := got[1]; r.ID != "r-1" || r.Status != "SUCCEEDED" || r.StatusCode != 200 || r.Attempts != 1 || r.Durations.Call != 2 || !strings.Contains(string(r.Output), `"statusCode":200`) {
		t.Errorf("line 1: %+v", r)
	}
	if r := got[2]; r.Status != "FAILED" || r.StatusCode != 404 || r.Attempts != 3 || r.Durations.Call != 17 || r.Cause == "" {
		t.Errorf("line 2: %+v", r)
	}
	if r := got[4]; r.Error != string(BadInput) || r.ID != "r-4" || !strings.Contains(r.Cause, "line 4: bad: is no field") {
		t.Errorf("line 4: %+v", r)
	}
	if r := got[5]; r.Status != "TIMED_OUT" {
		t.Errorf("line 5: %+v", r)
	}
	if len(got) != 5 {
		t.Errorf("%d results, want 5", len(got))
	}
}

func TestResumeOfACompleteRunPublishesNothing(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	f.serve()
	o := f.options("calls.jsonl", jsonCalls(20)+"{}\n")
	if _, err := f.run(f.deps(), o); err != nil {
		t.Fatal(err)
	}
	o.Run, o.Resume = "", true
	sum, err := f.run(f.deps(), o)
	if err != nil || !sum.AlreadyDone || sum.OK != 20 || sum.Failed != 1 || ExitCode(sum, err) != 1 {
		t.Errorf("resumed: %+v, %v", sum, err)
	}
	if f.seen != 20 {
		t.Errorf("%d requests reached the fleet, want 20", f.seen)
	}
}

func TestResumeRefusesAnotherFile(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	f.serve()
	o := f.options("calls.jsonl", jsonCalls(3))
	stop := make(chan struct{})
	close(stop)
	o.Interrupt, o.Grace = stop, time.Millisecond
	if _, err := f.run(f.deps(), o); err != nil {
		t.Fatal(err)
	}
	o.Interrupt, o.Resume = nil, true
	rows := []struct {
		name   string
		change func(o *Options) error
		want   error
		reason string
	}{
		{"size", func(o *Options) error { return os.WriteFile(o.File, []byte(jsonCalls(4)), 0o600) }, journal.ErrChanged, "bytes"},
		{"start", func(o *Options) error {
			return os.WriteFile(o.File, []byte(strings.Replace(jsonCalls(3), "GET", "PUT", 1)), 0o600)
		}, journal.ErrChanged, "start"},
		{"time", func(o *Options) error {
			return errors.Join(os.WriteFile(o.File, []byte(jsonCalls(3)), 0o600), os.Chtimes(o.File, time.Now(), time.Unix(1, 0)))
		}, journal.ErrChanged, "1970"},
		{"other", func(o *Options) error { o.File = filepath.Join(f.dir, "other.jsonl"); return nil }, errNotResumable, "calls.jsonl"},
		{"run", func(o *Options) error { o.Run = "unknown"; return nil }, journal.ErrNoRun, "unknown"},
		{"no run of it", func(o *Options) error { o.Run, o.File = "", filepath.Join(f.dir, "other.jsonl"); return nil }, journal.ErrNoRun, "other"},
	}
	for _, row := range rows {
		o := o
		if err := row.change(&o); err != nil {
			t.Fatal(err)
		}
		sum, err := f.run(f.deps(), o)
		if !errors.Is(err, row.want) || !strings.Contains(err.Error(), row.reason) || ExitCode(sum, err) != 2 {
			t.Errorf("%s: %v, exit code %d", row.name, err, ExitCode(sum, err))
		}
	}
	d := f.deps()
	d.Encoder = NewDirect(nil)
	if _, err := f.run(d, o); !errors.Is(err, errNotResumable) {
		t.Errorf("on another queue: %v", err)
	}
	o.Resume = false
	if _, err := f.run(f.deps(), o); !errors.Is(err, journal.ErrExists) {
		t.Errorf("the same run id anew: %v", err)
	}
}

func TestInterruptAndResume(t *testing.T) {
	t.Parallel()
	const calls = 400
	f := newFleet(t, "")
	stop := make(chan struct{})
	f.each = func(n int) {
		if n == calls/2 {
			close(stop)
		}
	}
	f.serve()
	o := f.options("calls.jsonl", jsonCalls(calls))
	o.Batch, o.Window, o.Interrupt = 8, 32, stop
	sum, err := f.run(f.deps(), o)
	if err != nil || ExitCode(sum, err) != 130 {
		t.Fatalf("interrupted: %+v, %v", sum, err)
	}
	if sum.OK < calls/2 || sum.OK == calls || sum.Open != 0 {
		t.Errorf("ok %d, open %d: what was published should have its outcome, the rest not", sum.OK, sum.Open)
	}
	if want := "producer run " + o.File + " --run r --resume"; sum.Resume != want {
		t.Errorf("go on with %q, want %q", sum.Resume, want)
	}
	o.Resume, o.Interrupt = true, nil
	sum, err = f.run(f.deps(), o)
	if err != nil || sum.OK != calls || sum.Here >= calls || ExitCode(sum, err) != 0 {
		t.Errorf("resumed: %+v, %v", sum, err)
	}
	if got := len(f.results(o)); got != calls || f.seen != calls {
		t.Errorf("%d results, %d requests, want %d", got, f.seen, calls)
	}
}

// The second Ctrl-C, which cancels the context, does not wait for outcomes.
func TestCancelEndsAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	ctx, cancel := context.WithCancelCause(t.Context())
	f.answer = func(call.Request) call.Outcome { return call.Outcome{} } // never
	f.each = func(n int) {
		if n == 10 {
			cancel(errors.New("second interrupt"))
		}
	}
	f.serve()
	o := f.options("calls.jsonl", jsonCalls(10))
	p, err := New(f.deps(), o)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := p.Run(ctx)
	if err != nil || !sum.Interrupted || sum.Open != 10 || sum.Resume == "" || ExitCode(sum, err) != 130 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// A broker that holds what is published does not hold up an interrupt; what it
// may have is published again on the resume.
func TestInterruptDoesNotWaitForASlowBroker(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	f.serve()
	d := f.deps()
	stop := make(chan struct{})
	stuck := d
	stuck.Queue = &holding{Publisher: d.Queue, held: func() { close(stop) }}
	o := f.options("calls.jsonl", jsonCalls(5))
	o.Interrupt, o.Grace = stop, 10*time.Millisecond
	sum, err := f.run(stuck, o)
	if err != nil || !sum.Interrupted || sum.Open != 5 {
		t.Fatalf("%+v, %v", sum, err)
	}
	o.Resume, o.Interrupt = true, nil
	if sum, err = f.run(d, o); err != nil || sum.OK != 5 || len(f.results(o)) != 5 {
		t.Errorf("resumed: %+v, %v", sum, err)
	}
}

// holding publishes nothing until its context ends.
type holding struct {
	queue.Publisher
	held func()
}

func (h *holding) Publish(ctx context.Context, _ ...queue.Message) error {
	h.held()
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestStrictRefusesTheWholeFile(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	f.serve()
	o := f.options("calls.jsonl", jsonCalls(1)+strings.Repeat("{\n", 150)+`{"template":"t","method":"GET","params":[]}`)
	o.Strict = true
	sum, err := f.run(f.deps(), o)
	bad, ok := errors.AsType[*callfile.Mistakes](err)
	if !ok || bad.Count != 151 || len(bad.First) != 100 || bad.First[0].Line != 2 || ExitCode(sum, err) != 2 {
		t.Fatalf("%v, exit code %d", err, ExitCode(sum, err))
	}
	if !strings.Contains(err.Error(), "line 2: is not JSON") || !strings.Contains(err.Error(), "and 51 more") {
		t.Errorf("error is %q", err)
	}
	if f.seen != 0 {
		t.Errorf("%d requests were published", f.seen)
	}
	if _, err := os.Stat(filepath.Join(o.Root, "r")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the refused run left its directory: %v", err)
	}
	// Standard input is kept, and can be resumed.
	o.File, o.Stdin = callfile.Stdin, strings.NewReader(jsonCalls(5))
	if sum, err = f.run(f.deps(), o); err != nil || sum.OK != 5 {
		t.Fatalf("strict standard input: %+v, %v", sum, err)
	}
	o.Resume, o.Stdin = true, strings.NewReader("")
	if sum, err = f.run(f.deps(), o); err != nil || !sum.AlreadyDone {
		t.Errorf("strict standard input, resumed: %+v, %v", sum, err)
	}
}

// What comes slowly through a pipe is published as it comes.
func TestStandardInputIsNotHeldBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	in, out := io.Pipe()
	next := make(chan struct{}, 10)
	f.each = func(int) { next <- struct{}{} }
	f.serve()
	o := f.options("unused", "")
	o.File, o.Stdin = callfile.Stdin, in
	go func() {
		for range 3 {
			fmt.Fprintln(out, `{"template":"t","method":"GET"}`)
			<-next // only after this one has arrived
		}
		_ = out.Close()
	}()
	sum, err := f.run(f.deps(), o)
	if err != nil || sum.OK != 3 {
		t.Fatalf("%+v, %v", sum, err)
	}
	o.Resume = true
	if _, err := f.run(f.deps(), o); !errors.Is(err, errNotResumable) {
		t.Errorf("resume of standard input: %v", err)
	}
}

func TestCSVAndGzip(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	var got []string
	f.answer = func(r call.Request) call.Outcome {
		got = append(got, r.ID+" "+string(r.Params)) // one goroutine serves
		return succeed(r)
	}
	f.serve()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = io.WriteString(w, "\ufefftemplate,method,id,note\nt,get,a,\"two\nlines\"\nt,GET,a,twice\nt,GET,,none\nt,GET,b,\"x \"\"y\"\"\"\n")
	_ = w.Close()
	o := f.options("calls.csv.gz", z.String())
	sum, err := f.run(f.deps(), o)
	if err != nil || sum.OK != 2 || sum.Failed != 2 {
		t.Fatalf("%+v, %v", sum, err)
	}
	want := []string{`r-a {"note":"two\nlines"}`, `r-b {"note":"x \"y\""}`}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("called %q, want %q", got, want)
	}
	results := f.results(o)
	if r := results[4]; r.ID != "" || !strings.Contains(r.Cause, `"a" is that of an earlier line`) {
		t.Errorf("duplicate: %+v", r)
	}
	if r := results[5]; !strings.Contains(r.Cause, "is missing") {
		t.Errorf("line without id: %+v", r)
	}
}

func TestBrokenGzipEndsAsBadInputAfterWhatCouldBeRead(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	f.serve()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = io.WriteString(w, jsonCalls(50))
	_ = w.Close()
	text := z.String()
	o := f.options("calls.jsonl.gz", text[:len(text)-4])
	sum, err := f.run(f.deps(), o)
	if !errors.Is(err, callfile.ErrInput) || ExitCode(sum, err) != 2 || sum.Open != 0 || sum.OK == 0 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// At no time more than a window of requests is without an outcome.
func TestWindowBoundsWhatIsOpen(t *testing.T) {
	t.Parallel()
	const calls, window = 300, 20
	f := newFleet(t, "")
	d := f.deps()
	var mu sync.Mutex
	open, most := 0, 0
	d.Queue = &counting{Publisher: d.Queue, add: func(n int) {
		mu.Lock()
		defer mu.Unlock()
		open += n
		most = max(most, open)
	}}
	f.answer = func(r call.Request) call.Outcome {
		mu.Lock()
		defer mu.Unlock()
		open--
		return succeed(r)
	}
	f.serve()
	o := f.options("calls.jsonl", jsonCalls(calls))
	o.Window = window
	sum, err := f.run(d, o)
	if err != nil || sum.OK != calls {
		t.Fatalf("%+v, %v", sum, err)
	}
	if most > window {
		t.Errorf("%d requests were open at once, the window is %d", most, window)
	}
}

// counting tells what is about to be published.
type counting struct {
	queue.Publisher
	add func(n int)
}

func (c *counting) Publish(ctx context.Context, msgs ...queue.Message) error {
	c.add(len(msgs))
	return c.Publisher.Publish(ctx, msgs...)
}

// Outcomes that the feed never brings are asked for.
func TestReconcileFindsLostOutcomes(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	f.answer = func(r call.Request) call.Outcome {
		if strings.HasSuffix(r.ID, "7") {
			return call.Outcome{} // lost
		}
		return succeed(r)
	}
	f.serve()
	d := f.deps()
	asked := &describer{}
	d.Describer = asked
	o := f.options("calls.jsonl", jsonCalls(40))
	o.ReconcileAfter, o.ReconcileRate = 50*time.Millisecond, 1000
	sum, err := f.run(d, o)
	if err != nil || sum.OK != 40 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if len(f.results(o)) != 40 {
		t.Errorf("%d results", len(f.results(o)))
	}
	if asked.count["r-7"] != 3 {
		t.Errorf("r-7 was asked for %d times, want 3: an error, nothing yet, its outcome", asked.count["r-7"])
	}
}

// describer fails first, knows nothing then, and then it does.
type describer struct{ count map[string]int }

func (d *describer) Describe(_ context.Context, id string) (call.Outcome, bool, error) {
	if d.count == nil {
		d.count = map[string]int{}
	}
	switch d.count[id]++; d.count[id] {
	case 1:
		return call.Outcome{}, false, errors.New("throttled")
	case 2:
		return call.Outcome{}, false, nil
	}
	return succeed(call.Request{ID: id}), true, nil
}

// templates is a store of one template that counts the look-ups.
type templates struct{ gets int }

func (s *templates) Get(_ context.Context, k store.Key) (store.Item, error) {
	if s.gets++; k.Name != "t" {
		return store.Item{}, store.ErrNotFound
	}
	return store.Item{Key: k, Attributes: json.RawMessage(`{"PK":{"S":"t"},"SK":{"S":"GET"},"url":{"S":"http://x"}}`)}, nil
}

func (*templates) Versions(context.Context, store.Key) ([]store.Item, error) { return nil, nil }

func TestDirectModePublishesTasksWithTheirTemplate(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	d := f.deps()
	lookups := &templates{}
	d.Encoder = NewDirect(lookups)
	f.answer = func(call.Request) call.Outcome { panic("the fleet takes requests, not tasks") }
	tasks, err := f.broker.Publisher(t.Context(), "tasks")
	if err != nil {
		t.Fatal(err)
	}
	d.Queue = tasks
	in, err := f.broker.Consumer(t.Context(), "tasks", natsqueue.ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	feed, err := f.broker.FeedPublisher(t.Context(), "results")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- directWorker(t.Context(), in, feed, 4) }()
	o := f.options("calls.jsonl", jsonCalls(4)+`{"template":"unknown","method":"GET"}`)
	sum, err := f.run(d, o)
	if err != nil || sum.OK != 3 || sum.Failed != 2 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	got := f.results(o)
	if r := got[2]; r.Status != "FAILED" || r.StatusCode != 404 || r.Error != "Callfleet.StatusCode.404" {
		t.Errorf("answer 404: %+v", r)
	}
	if r := got[5]; r.Error != string(call.TemplateNotFound) || r.ID != "r-5" {
		t.Errorf("unknown template: %+v", r)
	}
	if lookups.gets != 2 {
		t.Errorf("%d look-ups of 2 templates", lookups.gets)
	}
}

// directWorker answers n tasks, the one of line 2 with a 404.
func directWorker(ctx context.Context, in queue.Consumer, feed queue.Publisher, n int) error {
	for n > 0 {
		ds, err := in.Receive(ctx, n)
		if err != nil {
			return err
		}
		for _, d := range ds {
			n--
			task, err := call.DecodeTask(d.Body)
			if err != nil || task.Token != "" || len(task.Template) == 0 {
				return fmt.Errorf("task %s: %w", d.Body, err)
			}
			o := succeed(call.Request{ID: task.ID})
			if task.ID == "r-2" {
				o.Output = json.RawMessage(`{"statusCode":404,"headers":{},"body":null,"attempts":1,"durationMs":1}`)
			}
			body, err := call.EncodeOutcome(o)
			if err == nil {
				err = feed.Publish(ctx, queue.Message{ID: o.ID, Group: o.ID, Body: body})
			}
			if err = errors.Join(err, d.Ack(ctx)); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestProgressNamesBadLines(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	f.serve()
	o := f.options("calls.jsonl", strings.Repeat("x\n", 30)+jsonCalls(2))
	var shown bytes.Buffer
	o.Progress = report.NewProgress(&shown, false)
	if _, err := f.run(f.deps(), o); err != nil {
		t.Fatal(err)
	}
	text := shown.String()
	if !strings.Contains(text, "calls.jsonl:1: is not JSON") || strings.Contains(text, "calls.jsonl:30:") ||
		!strings.Contains(text, "more bad lines are in the results") {
		t.Errorf("shown: %s", text)
	}
	if !strings.Contains(text, "32 of 32 (100 %) done") {
		t.Errorf("the last state is not shown: %s", text)
	}
}

func TestNewReportsEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := New(Deps{}, Options{File: "calls.jsonl", Results: "./calls.jsonl", Run: "a-b", Window: -1})
	for _, want := range []string{"queue, encoder and feed", "is the call file", "letters, digits and _", "negative"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not tell %q", err, want)
		}
	}
}

func TestCall(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	f.answer = func(r call.Request) call.Outcome {
		if r.Template == "silent" {
			return call.Outcome{}
		}
		return succeed(r)
	}
	f.serve()
	res, err := Call(t.Context(), f.deps(), CallOptions{Template: "t", Method: "GET", Params: json.RawMessage(`{"id":"42"}`), Wait: true})
	if err != nil || res.Status != "SUCCEEDED" || res.StatusCode != 200 {
		t.Errorf("%+v, %v", res, err)
	}
	res, err = Call(t.Context(), f.deps(), CallOptions{Template: "t", Method: "GET", Run: "once"})
	if err != nil || res.Status != "RUNNING" || res.ID != "once-1" {
		t.Errorf("without waiting: %+v, %v", res, err)
	}
	res, err = Call(t.Context(), f.deps(), CallOptions{Template: "silent", Method: "GET", Wait: true, Timeout: 20 * time.Millisecond})
	if !errors.Is(err, ErrNoOutcome) || res.ID == "" {
		t.Errorf("no outcome: %+v, %v", res, err)
	}
	_, err = Call(t.Context(), f.deps(), CallOptions{Template: "t", Method: "get"})
	if failure, ok := errors.AsType[*call.Failure](err); !ok || failure.Name != BadInput {
		t.Errorf("bad method: %v", err)
	}
}
