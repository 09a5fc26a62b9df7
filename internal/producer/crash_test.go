package producer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"callfleet/internal/producer/journal"
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
	}{
		{point: "run-created", nths: []int{1}},
		{point: "feed-opened", nths: []int{1}},
		{"intent-torn", []int{1, 5}, "publish.log", `{"batch":1,"from":1,"t`},
		{point: "intent-written", nths: []int{1, 5, 12}},
		{point: "batch-half", nths: []int{1, 5, 12}},
		{point: "batch-published", nths: []int{1, 5, 12}},
		{"ack-torn", []int{1, 5}, "publish.log", `{"ack`},
		{point: "ack-written", nths: []int{1, 5, 12}},
		{point: "outcome-received", nths: []int{1, 3}},
		{"result-torn", []int{1, 4}, "results.jsonl", `{"id":"r-1","line":1,"sta`},
		{point: "result-flushed", nths: []int{1, 4}},
		{point: "event-acked", nths: []int{1, 3}},
		{point: "all-done", nths: []int{1}},
		{point: "run-finished", nths: []int{1}},
	}
	for _, own := range []bool{false, true} {
		for _, row := range rows {
			for _, nth := range row.nths {
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
					crashAndResume(t, f, o, crashAt(row.point, nth, torn))
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

func crashAndResume(t *testing.T, f *fleet, o Options, fault func(string) error) {
	t.Helper()
	p, err := New(f.deps(), o)
	if err != nil {
		t.Fatal(err)
	}
	p.fault = fault
	if _, err := p.Run(t.Context()); !errors.Is(err, errCrash) {
		t.Fatalf("run: %v, want a crash", err)
	}
	o.Resume = true
	sum, err := f.run(f.deps(), o)
	if errors.Is(err, journal.ErrNoRun) {
		o.Resume = false
		sum, err = f.run(f.deps(), o)
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
	if len(f.started) != crashLines-crashBad || len(f.conflicts) > 0 {
		t.Errorf("%d executions; came again with other bytes: %v", len(f.started), f.conflicts)
	}
	seen := f.seen
	f.mu.Unlock()
	if seen != crashLines-crashBad {
		t.Errorf("%d requests left the queue: the broker dropped not all that came again", seen)
	}
	o.Resume = true
	if sum, err = f.run(f.deps(), o); err != nil || !sum.AlreadyDone {
		t.Errorf("resumed once more: %+v, %v", sum, err)
	}
}
