package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/awstest"
	"callfleet/internal/blob/blobtest"
	"callfleet/internal/call"
	"callfleet/internal/evidence"
	"callfleet/internal/producer/journal"
	"callfleet/internal/template/store"
)

// A batched run tells of each call what an unbatched one tells, on every backend;
// an execution is in the place of a hundred.
func TestBatchedRun(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]func(t *testing.T) place{
		"nats": func(*testing.T) place { return place{} },
		"aws":  func(t *testing.T) place { return onS3(t, awstest.Moto(t)) },
		"moto": func(t *testing.T) place {
			at := onMoto(t, awstest.Moto(t))
			at.blobs = "s3://" + awstest.Name("blobs")
			setUp(t, backend.Options{Queue: at.queue, Templates: at.templates, Blobs: at.blobs, AWS: at.aws, Logger: evidence.Logger(t)})
			return at
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := at(t)
			where.patience = 2 * time.Minute
			batchedRun(t, startAt(t, where, nil))
		})
	}
}

func batchedRun(t *testing.T, s *stack) {
	large := blobtest.Data(300_000)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch id := r.URL.Query().Get("id"); id {
		case "7":
			http.Error(w, "no such thing", http.StatusNotFound)
		case "8":
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write(large)
		default:
			fmt.Fprintf(w, `{"id":%q,"key":%q}`, id, r.Header.Get("Idempotency-Key"))
		}
	})
	get := s.put(t, map[string]any{"name": "get", "method": "GET", "url": url + "/?id={{ id }}"})
	var lines []line
	for i := range 150 { // the first batch is too large for a message, the second is not
		lines = append(lines, line{get, map[string]any{"id": i + 1, "note": strings.Repeat("x", 400)}})
	}
	lines[8].params = map[string]any{"other": 9} // cannot be rendered
	lines[9].params = due{map[string]any{"id": 10}, time.Now().Add(-time.Second)}
	lines = append(lines, line{store.Key{Name: "none", Method: "GET"}, nil}, line{store.Key{Name: "none", Method: "GET"}, nil})
	results := s.runAs(t, "batched", batched, lines...)
	for i, r := range results {
		switch n := i + 1; {
		case n == 7:
			wantFailed(t, r, "Callfleet.StatusCode.404", "404")
		case n == 8:
			s.wantClaimed(t, r, "application/octet-stream", large)
		case n == 9:
			wantFailed(t, r, string(call.RenderFailed), "id")
		case n == 10:
			wantFailed(t, r, string(call.DeadlineExceeded), "not called")
		case n > 150:
			wantFailed(t, r, string(call.TemplateNotFound), "no template none GET")
		default:
			wantOK(t, r)
			if want := fmt.Sprintf(`"body":{"id":"%d","key":"batched-%d"}`, n, n); !strings.Contains(string(r.Output), want) {
				t.Errorf("line %d: %s", n, r.Output)
			}
		}
	}
	for id, want := range map[string]call.Status{"batched-batch-1": call.StatusSucceeded, "batched-batch-101": call.StatusSucceeded, "batched-batch-151": call.StatusFailed} {
		e, err := s.producer.Batches.Describe(t.Context(), id)
		if err != nil || e.Status != want {
			t.Errorf("execution %s: %s, %v", id, e.Status, err)
			continue
		}
		if byReference := strings.Contains(string(e.Input), "callsRef"); byReference != (id == "batched-batch-1") || len(e.Input) > 40<<10 {
			t.Errorf("execution %s has an input of %d bytes, the calls by reference: %v", id, len(e.Input), byReference)
		}
		if m, err := call.DecodeManifest(e.Output); want == call.StatusSucceeded && (err != nil || m.Calls != m.Succeeded+m.Failed || len(e.Output) > 32<<10) {
			t.Errorf("execution %s: a manifest of %d bytes, %+v, %v", id, len(e.Output), m, err)
		}
	}
}

// A worker that is killed with SIGKILL in the middle of batches loses nothing:
// the next one makes the calls that are left, and of those that were made only
// what was under way, with the same keys.
func TestWorkerKilledInMidBatch(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]func(t *testing.T) place{
		"nats": func(*testing.T) place { return place{} },
		"aws":  func(t *testing.T) place { return onS3(t, awstest.Moto(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := at(t)
			where.patience, where.lease, where.elsewhere = 2*time.Minute, 5*time.Second, true
			killed(t, startAt(t, where, nil))
		})
	}
}

func killed(t *testing.T, s *stack) {
	const calls, slots = 250, 8
	s.wantNothingLeft(t, everyQueue...)
	api := newKeyed(t)
	api.Config.Handler = slowly(api.Config.Handler)
	get := s.put(t, map[string]any{"name": "get", "method": "GET", "url": api.URL + "/?id={{ id }}"})
	var lines []line
	for i := range calls {
		lines = append(lines, line{get, map[string]any{"id": i + 1}})
	}
	kill := s.startWorker(t, slots)
	done := make(chan []journal.Result, 1)
	go func() { done <- s.runAs(t, "killed", batched, lines...) }()
	for range 120 {
		receive(t, api.came)
	}
	kill()
	before, _ := api.counts()
	s.startWorker(t, slots)
	for i, r := range <-done {
		wantOK(t, r)
		if r.ID != fmt.Sprint("killed-", i+1) {
			t.Errorf("line %d has id %s", i+1, r.ID)
		}
	}
	keys, again := api.counts()
	t.Logf("%d of %d calls before the kill, %d made again", before, calls, again)
	if keys != calls || again > slots {
		t.Errorf("%d keys for %d calls, %d came again, want at most %d", keys, calls, again, slots)
	}
}

// slowly answers so late that a kill finds calls under way.
func slowly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		late := time.NewTimer(20 * time.Millisecond)
		defer late.Stop()
		select {
		case <-late.C:
		case <-r.Context().Done():
		}
	})
}

// Stopping the execution of a batch ends it: calls that were made keep their
// results, the others get what the execution came to.
func TestStoppedBatch(t *testing.T) {
	t.Parallel()
	s := startAt(t, place{heartbeat: 4 * time.Second}, nil)
	s.wantNothingLeft(t, everyQueue...)
	began := make(chan struct{}, 100)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("id") == "fast" {
			fmt.Fprint(w, `{}`)
			return
		}
		began <- struct{}{}
		<-r.Context().Done()
	})
	get := s.put(t, map[string]any{"name": "get", "method": "GET", "url": url + "/?id={{ id }}", "retry": map[string]any{"maxAttempts": 1}})
	var lines []line
	for range 5 {
		lines = append(lines, line{get, map[string]any{"id": "fast"}})
	}
	for range 90 { // more than there are slots
		lines = append(lines, line{get, map[string]any{"id": "slow"}})
	}
	done := make(chan []journal.Result, 1)
	go func() { done <- s.runAs(t, "stopped", batched, lines...) }()
	for range 32 {
		receive(t, began)
	}
	if err := s.producer.Batches.Stop(context.WithoutCancel(t.Context()), "stopped-batch-1", "Test.Stopped", "why not"); err != nil {
		t.Fatal(err)
	}
	for i, r := range receive(t, done) {
		if i < 5 {
			wantOK(t, r)
		} else if r.Status != "ABORTED" || r.Error != "Test.Stopped" {
			t.Errorf("line %d: %+v", i+1, r)
		}
	}
}
