package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"callfleet/internal/app/backend"
	"callfleet/internal/config"
)

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"templateName":"item","method":"GET","params":{"n":%d}}`+"\n", i+1)
	}
	return b.String()
}

func TestRunThenResumePublishesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.template(t)
	calls, results := b.file(t, "calls.jsonl", lines(20)), filepath.Join(b.dir, "r.jsonl")
	first := b.producer(t, "run", calls, "--results", results)
	first.want(t, 0, "embedded: broker, Step Functions, worker (256 slots), sample API http://127.0.0.1:", ": 20 calls in", "20 of 20 (100 %) done")
	if strings.Contains(first.errors, "level=") {
		t.Errorf("log lines in the middle of the output:\n%s", first.errors)
	}
	if n := len(b.results(t, results)); n != 20 || b.api.count() != 20 {
		t.Errorf("%d results of %d calls, want 20 of 20", n, b.api.count())
	}
	b.producer(t, "run", calls, "--results", results, "--resume").want(t, 0, "all 20 calls were done before, nothing was published")
	if n := len(b.results(t, results)); n != 20 || b.api.count() != 20 {
		t.Errorf("after the resume %d results of %d calls, want 20 of 20", n, b.api.count())
	}
}

func TestRunFailsWithItsCalls(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.template(t)
	results := filepath.Join(b.dir, "r.jsonl")
	in := strings.NewReader(`{"templateName":"item","method":"GET","params":{"n":1,"status":404}}
{"templateName":"other","method":"GET"}
{"templateName":"item","method":"GET"}
{"templateName":"item","method":"GET","params":{"n":2}}
`)
	b.producerWith(t, t.Context(), in, "run", "-", "--results", results, "--run", "r").want(t, 1,
		"HTTP 404", "Callfleet.TemplateNotFound", "Callfleet.RenderFailed")
	found := b.results(t, results)
	for id, want := range map[string]string{
		"r-1": "Callfleet.StatusCode.404", "r-2": "Callfleet.TemplateNotFound", "r-3": "Callfleet.RenderFailed", "r-4": "",
	} {
		if found[id].Error != want {
			t.Errorf("%s: error %q, want %q", id, found[id].Error, want)
		}
	}
}

func TestRunGoesOnAfterBadLines(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.template(t)
	calls := b.file(t, "calls.csv", "templateName,method,n\nitem,GET,1\nitem,GET\nitem,GET,3\n")
	results := filepath.Join(b.dir, "r.jsonl")
	b.producer(t, "run", calls, "--results", results).want(t, 1, calls+":3: has 2 fields, the header has 3", "Callfleet.BadInput")
	if n := b.api.count(); n != 2 {
		t.Errorf("the API saw %d calls, want 2", n)
	}
	b.producer(t, "run", calls, "--results", results+"2", "--strict").want(t, 2, "1 bad line", "nothing was published", "line 3: has 2 fields")
	if n := b.api.count(); n != 2 {
		t.Errorf("a strict run made %d calls, want none", n-2)
	}
}

func TestRunDirect(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.template(t)
	results := filepath.Join(b.dir, "r.jsonl")
	b.producer(t, "run", b.file(t, "calls.jsonl", lines(5)), "--direct", "--results", results).want(t, 0, "5 calls in")
	if n := len(b.results(t, results)); n != 5 {
		t.Errorf("%d results, want 5", n)
	}
	b.producer(t, "execution", "ls").want(t, 0, "ID  STATUS")
}

// A batched run is one execution for many calls; interrupted in the middle of
// it, it goes on where it was, and no call is made twice that was answered.
func TestRunInBatches(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.template(t)
	const n, slots = 50, 4
	calls, results := b.file(t, "calls.jsonl", lines(n)), filepath.Join(b.dir, "r.jsonl")
	release := b.api.hold()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	go func() {
		<-b.api.calls
		interrupt()
	}()
	args := []string{"run", calls, "--results", results, "--run", "held", "--batch", "20"}
	e := b.producerWith(t, ctx, strings.NewReader(""), append(args, "--slots", fmt.Sprint(slots))...)
	e.want(t, 130, "go on with", "--run held --resume", "--batch 20")
	release()
	b.producer(t, append(args, "--resume")...).want(t, 0)
	if found := b.results(t, results); len(found) != n {
		t.Errorf("%d results, want %d", len(found), n)
	}
	b.api.mu.Lock()
	keys := len(b.api.keys)
	b.api.mu.Unlock()
	if keys != n || b.api.count() > n+slots {
		t.Errorf("the API saw %d keys in %d calls, want %d and at most %d more", keys, b.api.count(), n, slots)
	}
	b.producer(t, "execution", "ls", "--state-machine", "call-batch").want(t, 0, "held-batch-1 ", "held-batch-21 ", "held-batch-41 ")
	b.producer(t, "run", calls, "--results", results, "--run", "held", "--resume").want(t, 2, "--batch 20")
}

// Without a place for their progress there are no batches.
func TestBatchesNeedABlobStore(t *testing.T) {
	t.Parallel()
	c := &cli{cfg: &config.Producer{Command: "run", Run: config.Run{Batch: 2}}}
	b, err := backend.Open(t.Context(), backend.Options{Queue: "sqs://none", Templates: "file://" + t.TempDir(), AWS: &aws.Config{Region: "us-east-1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if _, err := c.deps(t.Context(), b); err == nil || !strings.Contains(err.Error(), "CALLFLEET_BLOBS") {
		t.Errorf("%v", err)
	}
}

// Interrupted while calls are under way, the run says how to go on, and the
// resumed run has each result once.
func TestRunInterruptedAndResumed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.template(t)
	const n = 40
	calls, results := b.file(t, "calls.jsonl", lines(n)), filepath.Join(b.dir, "r.jsonl")
	release := b.api.hold()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	go func() {
		<-b.api.calls
		interrupt()
	}()
	e := b.producerWith(t, ctx, strings.NewReader(""), "run", calls, "--results", results, "--run", "held", "--slots", "4")
	e.want(t, 130, "interrupted", "no outcome yet", "go on with", "--run held --resume")
	release()
	b.producer(t, "run", calls, "--results", results, "--run", "held", "--resume").want(t, 0)
	if found := b.results(t, results); len(found) != n {
		t.Errorf("%d results, want %d", len(found), n)
	}
	b.api.mu.Lock()
	defer b.api.mu.Unlock()
	if len(b.api.keys) != n {
		t.Errorf("the API saw %d idempotency keys, want %d", len(b.api.keys), n)
	}
}

func TestResumeCommand(t *testing.T) {
	t.Parallel()
	for want, row := range map[string]struct {
		file, data string
		run        config.Run
	}{
		"producer run calls.jsonl --run r --resume": {"calls.jsonl", config.DefaultData, config.Run{Results: config.DefaultResults}},
		"producer run 'my calls.jsonl' --run r --resume --data 'it'\\''s' --results out.jsonl": {
			"my calls.jsonl", "it's", config.Run{Results: "out.jsonl"}},
		"producer run c --run r --resume --direct --embedded": {
			"c", config.DefaultData, config.Run{Results: config.DefaultResults, Direct: true, Embedded: true}},
		"producer run c --run r --resume --batch 100": {"c", config.DefaultData, config.Run{Results: config.DefaultResults, Batch: 100}},
	} {
		c := &cli{cfg: &config.Producer{Run: row.run, Embeddable: config.Embeddable{Data: row.data}}}
		if got := c.resumeCommand(row.file, "r"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestBatchOfAPacedRun(t *testing.T) {
	t.Parallel()
	for rate, want := range map[float64]int{0: 0, 0.5: 1, 9: 1, 300: 30, 1e6: 256} {
		if got := batchFor(rate); got != want {
			t.Errorf("rate %v: batches of %d, want %d", rate, got, want)
		}
	}
}
