package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"callfleet/internal/blob/fileblob"
	"callfleet/internal/call"
	"callfleet/internal/claim"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/worker"
)

// mute is a reporter whose answers never come.
type mute struct {
	worker.Reporter
	asked chan struct{}
}

func (m mute) Succeed(context.Context, call.TaskToken, []byte) error {
	select {
	case m.asked <- struct{}{}:
	default:
	}
	return errors.New("no answer")
}

// A worker that is lost after it has put the body, and before it has reported
// it, costs a second call: the report has the body of that one, whole.
func TestWorkerLostBetweenBodyAndReport(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("x"), 1<<20)
	b := setup(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) { w.Write(large) })
	files, err := fileblob.New(evidence.Dir(t), fileblob.Options{})
	must(t, err)
	t.Cleanup(func() { files.Close() })
	claims := claim.New(claim.Options{})
	claims.Bind(files)
	caller, err := httpcall.New(httpcall.Options{Claims: claims, Egress: egresstest.Loopback()})
	must(t, err)
	t.Cleanup(caller.Close)
	b.deps.Caller, b.opts.DrainTimeout = caller, 10*time.Millisecond
	reporter := b.deps.Reporter
	lost := mute{reporter, make(chan struct{}, 1)}
	b.deps.Reporter = lost
	b.send(t, 1, nil)
	_, stop := b.run(t)
	<-lost.asked
	must(t, stop())

	b.deps.Reporter = reporter
	b.run(t)
	task := b.settled(t, "t-1")
	var out call.Result
	must(t, json.Unmarshal([]byte(task.Output), &out))
	if b.calls.Load() != 2 || out.BodyRef == nil {
		t.Fatalf("%d calls, output %s", b.calls.Load(), task.Output)
	}
	r, err := claims.Open(t.Context(), *out.BodyRef)
	must(t, err)
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, large) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// The state has to take the answer besides the task: one that would travel
// alone does not travel with a large task.
func TestAnswersLeaveRoomForTheTask(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte("x"), 150<<10)
	b := setup(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })
	files, err := fileblob.New(evidence.Dir(t), fileblob.Options{})
	must(t, err)
	t.Cleanup(func() { files.Close() })
	claims := claim.New(claim.Options{})
	claims.Bind(files)
	caller, err := httpcall.New(httpcall.Options{Claims: claims, Egress: egresstest.Loopback()})
	must(t, err)
	t.Cleanup(caller.Close)
	b.deps.Caller = caller
	b.send(t, 2, func(task *call.Task) {
		if task.ID == "run-2" {
			task.Params = json.RawMessage(`{"id":7,"more":"` + string(body) + `"}`)
		}
	})
	b.run(t)
	for token, want := range map[string]bool{"t-1": false, "t-2": true} {
		var out call.Result
		must(t, json.Unmarshal([]byte(b.settled(t, token).Output), &out))
		if (out.BodyRef != nil) != want {
			t.Errorf("%s: reference %+v, want one: %v", token, out.BodyRef, want)
		}
	}
}
