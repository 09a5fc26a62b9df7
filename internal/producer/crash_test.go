package producer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"callfleet/internal/producer/journal"
	"callfleet/internal/queue"
	"callfleet/internal/telemetry"
	"callfleet/internal/telemetry/otlptest"
)

var errCrash = errors.New("crash")

// crashAt makes the process "die" when it comes to the point for the nth time:
// nothing is written from then on. torn is appended to a file of the run first,
// as a write that was cut short.
func crashAt(point string, nth int, torn func() error) func(string) error {
	var mu sync.Mutex
	dead := false
	return func(at string) error {
		mu.Lock()
		defer mu.Unlock()
		if dead {
			return errCrash
		}
		if at != point {
			return nil
		}
		if nth--; nth > 0 {
			return nil
		}
		dead = true
		if torn != nil {
			return errors.Join(errCrash, torn())
		}
		return errCrash
	}
}

func appendTo(path, text string) func() error {
	return func() error {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(text)
		return errors.Join(err, f.Close())
	}
}

// At every crash point of package journal, at its first, a middle and a late
// occurrence, the resumed run completes: each line has one result, each
// request was started once, and none came again with other bytes.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	rows := []struct {
		point string
		nths  []int
		file  string // torn, of the run's directory
		torn  string
		again bool // some message is sure to be published again
	}{
		{point: "run-created", nths: []int{1}},
		{point: "feed-opened", nths: []int{1}},
		{"intent-torn", []int{1, 5}, "publish.log", `{"batch":1,"from":1,"t`, false},
		{point: "intent-written", nths: []int{1, 5, 12}},
		{point: "batch-half", nths: []int{1, 5, 12}, again: true},
		{point: "batch-published", nths: []int{1, 5, 12}, again: true},
		{"ack-torn", []int{1, 5}, "publish.log", `{"ack`, true},
		{point: "ack-written", nths: []int{1, 5, 12}},
		{point: "outcome-received", nths: []int{1, 3}},
		{"result-torn", []int{1, 4}, "results.jsonl", `{"id":"r-1","line":1,"sta`, false},
		{point: "result-flushed", nths: []int{1, 4}},
		{point: "event-acked", nths: []int{1, 3}},
		{point: "all-done", nths: []int{1}},
		{point: "run-finished", nths: []int{1}},
	}
	for _, own := range []bool{false, true} {
		for _, row := range rows {
			nths := row.nths
			if own {
				nths = nths[len(nths)-1:]
			}
			for _, nth := range nths {
				t.Run(fmt.Sprintf("%s/%d/ownIDs=%t", row.point, nth, own), func(t *testing.T) {
					t.Parallel()
					f := newFleet(t, "")
					f.serve()
					o := f.options("calls.jsonl", crashCalls(own))
					o.Batch, o.Window = 8, 32
					var torn func() error
					if row.file != "" {
						torn = appendTo(filepath.Join(o.Root, "r", row.file), row.torn)
					}
					again := crashAndResume(t, f, o, crashAt(row.point, nth, torn), nil)
					if most := o.Batch * inFlight; again > most || again == 0 && row.again {
						t.Errorf("%d messages were published again, at most %d are in doubt", again, most)
					}
				})
			}
		}
	}
}

const crashLines, crashBad = 120, 12

// crashCalls has a bad line in every ten, with and without own ids.
func crashCalls(own bool) string {
	var b strings.Builder
	for i := 1; i <= crashLines; i++ {
		switch {
		case i%10 == 5:
			b.WriteString("{\"nonsense\":\n")
		case own:
			fmt.Fprintf(&b, `{"id":"%d","template":"t","method":"GET","params":{"n":%d}}`+"\n", 1000-i, i)
		default:
			fmt.Fprintf(&b, `{"template":"t","method":"GET","params":{"n":%d}}`+"\n", i)
		}
	}
	return b.String()
}

// recorder keeps what was published, to compare it with what comes again.
type recorder struct {
	queue.Publisher
	mu     sync.Mutex
	bodies map[string]string // by message id; guarded by mu
	again  int               // guarded by mu
	other  []string          // ids that came again with other bytes; guarded by mu
}

func (r *recorder) Publish(ctx context.Context, msgs ...queue.Message) error {
	r.mu.Lock()
	for _, m := range msgs {
		body, again := r.bodies[m.ID]
		if again {
			r.again++
		}
		if again && body != string(m.Body) {
			r.other = append(r.other, m.ID+": "+body+" and "+string(m.Body))
		}
		r.bodies[m.ID] = string(m.Body)
	}
	r.mu.Unlock()
	return r.Publisher.Publish(ctx, msgs...)
}

// crashAndResume returns how many messages were published again. resumed may
// change the options between the two runs.
func crashAndResume(t *testing.T, f *fleet, o Options, fault func(string) error, resumed func(*Options)) int {
	t.Helper()
	d := f.deps()
	wire := &recorder{Publisher: d.Queue, bodies: map[string]string{}}
	d.Queue = wire
	p, err := New(d, o)
	if err != nil {
		t.Fatal(err)
	}
	p.fault = fault
	if _, err := p.Run(t.Context()); !errors.Is(err, errCrash) {
		t.Fatalf("run: %v, want a crash", err)
	}
	o.Resume = true
	if resumed != nil {
		resumed(&o)
	}
	sum, err := f.run(d, o)
	if errors.Is(err, journal.ErrNoRun) {
		o.Resume = false
		sum, err = f.run(d, o)
	}
	if err != nil {
		t.Fatalf("resume: %v", err)
	}
	if sum.OK != crashLines-crashBad || sum.Failed != crashBad || sum.Open != 0 {
		t.Errorf("ok %d, failed %d, open %d", sum.OK, sum.Failed, sum.Open)
	}
	if got := len(f.results(o)); got != crashLines {
		t.Errorf("%d results, want %d", got, crashLines)
	}
	f.mu.Lock()
	if len(f.started) != crashLines-crashBad {
		t.Errorf("%d executions", len(f.started))
	}
	seen := f.seen
	f.mu.Unlock()
	if seen != crashLines-crashBad {
		t.Errorf("%d requests left the queue: the broker dropped not all that came again", seen)
	}
	o.Resume = true
	if sum, err = f.run(d, o); err != nil || !sum.AlreadyDone {
		t.Errorf("resumed once more: %+v, %v", sum, err)
	}
	if len(wire.other) > 0 {
		t.Errorf("came again with other bytes: %q", wire.other)
	}
	return wire.again
}

// A request that comes again carries the trace context that it had, whatever
// telemetry's settings are now: its bytes are those of its execution's input.
func TestTraceContextIsTheSameAfterACrash(t *testing.T) {
	t.Parallel()
	half := map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
	all := map[string]string{"OTEL_TRACES_SAMPLER": "always_on"}
	off := map[string]string{"OTEL_SDK_DISABLED": "true"}
	rows := []struct {
		name          string
		before, after map[string]string
	}{
		{"same", half, half}, {"all then half", all, half}, {"half then all", half, all},
		{"half then off", half, off}, {"off then all", off, all},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, "")
			f.serve()
			receiver := otlptest.Start(t)
			o := f.options("calls.jsonl", crashCalls(false))
			o.Batch, o.Window = 8, 32
			o.Tracers = tracers(t, receiver, row.before).TracerProvider()
			after := tracers(t, receiver, row.after).TracerProvider()
			again := crashAndResume(t, f, o, crashAt("batch-published", 3, nil), func(o *Options) { o.Tracers = after })
			if again == 0 {
				t.Error("nothing came again")
			}
			traced := 0
			for _, r := range f.results(o) {
				if r.TraceID != "" {
					traced++
				}
			}
			if on := row.before["OTEL_SDK_DISABLED"] == ""; on != (traced > 0) && row.after["OTEL_SDK_DISABLED"] != "" {
				t.Errorf("%d results have a trace id", traced)
			}
		})
	}
}

func tracers(t *testing.T, receiver *otlptest.Receiver, env map[string]string) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Options{Service: "test", Getenv: receiver.Getenv(env)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	return tel
}

// Each request has one root span, and its id is in the request and in the
// results.
func TestPublishSpan(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "")
	f.serve()
	receiver := otlptest.Start(t)
	tel := tracers(t, receiver, nil)
	o := f.options("calls.jsonl", jsonCalls(3))
	o.Tracers = tel.TracerProvider()
	if _, err := f.run(f.deps(), o); err != nil {
		t.Fatal(err)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	results := f.results(o)
	spans := receiver.Spans()
	if len(spans) != 3 {
		t.Fatalf("%d spans, want 3", len(spans))
	}
	for _, s := range spans {
		id := s.Attributes["messaging.message.id"]
		var line int64
		if _, err := fmt.Sscanf(id, "r-%d", &line); err != nil {
			t.Fatal(err)
		}
		if s.Name != "send requests" || s.Kind != "PRODUCER" || s.ParentID != "" || s.Attributes["messaging.system"] != "nats" ||
			s.Attributes["messaging.destination.name"] != "requests" || s.Attributes["messaging.operation.type"] != "send" {
			t.Errorf("span %+v", s)
		}
		if got := results[line].TraceID; got != s.TraceID {
			t.Errorf("%s: trace %s in the results, %s in the span", id, got, s.TraceID)
		}
		if want := fmt.Sprintf(`"traceparent":"00-%s-%s-01"`, s.TraceID, s.SpanID); !strings.Contains(string(f.started[id]), want) {
			t.Errorf("%s: request %s has not %s", id, f.started[id], want)
		}
	}
}
