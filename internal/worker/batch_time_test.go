package worker_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"callfleet/internal/batch"
	"callfleet/internal/call"
	"callfleet/internal/queue"
)

// try puts a batch of n calls on the queue, as each try of its state does, and
// waits for what came of it. The last call's own time is up.
func (b *bundle) try(t *testing.T, store *batch.Store, token string, n int, end time.Time) (call.Manifest, []call.CallOutcome) {
	t.Helper()
	task := call.Task{
		ID: "run-batch-1", Token: call.TaskToken(token), Deadline: end, TimeoutSeconds: call.BatchTimeout(n), Batch: &call.Batch{Count: n, TimeoutSeconds: call.BatchTimeout(n)},
		Template: json.RawMessage(`{"PK":{"S":"get"},"SK":{"S":"GET"},"url":{"S":"` + b.api + `/things/{{ id }}"}}`),
	}
	for i := range n {
		task.Batch.Calls = append(task.Batch.Calls, call.BatchCall{ID: fmt.Sprint("call-", i+1), Params: json.RawMessage(fmt.Sprintf(`{"id":%d}`, i+1))})
	}
	task.Batch.Calls[n-1].Deadline = time.Now().Add(-time.Hour)
	body, err := call.EncodeTask(task)
	must(t, err)
	b.sfn.AddTask(token)
	must(t, b.publish.Publish(t.Context(), queue.Message{ID: token, Body: body}))
	output := []byte(b.settled(t, token).Output)
	m, err := call.DecodeManifest(output)
	must(t, err)
	outcomes, err := store.Outcomes(t.Context(), call.Outcome{ID: task.ID, Status: call.StatusSucceeded, Output: output})
	must(t, err)
	return m, outcomes
}

// A batch whose time is nearly up breaks off what is under way and begins nothing
// more. Should its manifest come to nobody, the next try makes the calls that were
// not made, and no others.
func TestBatchGoesOnAfterItsTime(t *testing.T) {
	t.Parallel()
	const n = 6
	b := setup(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/things/2" {
			<-r.Context().Done()
		}
		answer(w, r)
	})
	store := b.batches(t)
	b.opts.Slots = 1
	w, _ := b.run(t)
	m, outcomes := b.try(t, store, "first", n, time.Now().Add(33*time.Second)) // 30 s are for the results
	if m.Succeeded != 1 || m.ByError[string(call.DeadlineExceeded)] != n-1 || b.calls.Load() != 2 {
		t.Fatalf("%+v after %d calls, want the first one done and the second one broken off", m, b.calls.Load())
	}
	if !strings.Contains(outcomes[1].Cause, "1 attempt") || !strings.Contains(outcomes[2].Cause, "the time of the batch was up: it was not called") {
		t.Errorf("call 2 says %q, call 3 %q", outcomes[1].Cause, outcomes[2].Cause)
	}
	m, outcomes = b.try(t, store, "second", n, time.Time{})
	if m.Succeeded != n-2 || b.calls.Load() != n-1 || outcomes[1].Error != call.DeadlineExceeded || outcomes[n-1].Error != call.DeadlineExceeded {
		t.Errorf("the second try: %+v after %d calls in all", m, b.calls.Load())
	}
	eventually(t, "the ack", func() bool { return w.Stats().InFlight == 0 })
}
