package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
	"callfleet/internal/secret/secrettest"
	"callfleet/internal/worker"
)

func TestReportsTheAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	b.send(t, 1, nil)
	w, stop := b.run(t)
	var res call.Result
	must(t, json.Unmarshal([]byte(b.settled(t, "t-1").Output), &res))
	if want := `{"path":"/things/7","key":"run-1"}`; res.StatusCode != 200 || string(res.Body) != want || res.Attempts != 1 {
		t.Errorf("got %+v with body %s, want %s", res, res.Body, want)
	}
	eventually(t, "the ack", func() bool { return w.Stats().InFlight == 0 })
	must(t, stop())
	if s := w.Stats(); s.Succeeded != 1 || len(s.Failed) != 0 || s.HandedBack != 0 {
		t.Errorf("got %+v, want one success", s)
	}
}

func TestReportsFailures(t *testing.T) {
	t.Parallel()
	big := strings.Repeat(`"`, 150<<10)
	b := setup(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/big") {
			fmt.Fprint(w, big)
		} else {
			http.Error(w, "no", http.StatusServiceUnavailable)
		}
	})
	item := func(url string) func(*call.Task) {
		return func(task *call.Task) {
			task.Template = json.RawMessage(`{"PK":{"S":"x"},"SK":{"S":"GET"},"url":{"S":"` + url + `"}}`)
		}
	}
	for i, tc := range []struct {
		edit func(*call.Task)
		want call.FailureName
	}{
		{func(task *call.Task) { task.Deadline = time.Now().Add(-time.Second) }, call.DeadlineExceeded},
		{item("{{ missing }}"), call.RenderFailed},
		{item(b.api + "/big"), call.ResponseTooLarge},
		{item("http://127.0.0.1:1/"), call.ConnectionFailed},
	} {
		token := fmt.Sprintf("f-%d", i)
		b.send(t, 1, func(task *call.Task) {
			task.ID, task.Token = "run-"+token, call.TaskToken(token)
			tc.edit(task)
		})
	}
	w, _ := b.run(t)
	for i, want := range []call.FailureName{call.DeadlineExceeded, call.RenderFailed, call.ResponseTooLarge, call.ConnectionFailed} {
		got := b.settled(t, fmt.Sprintf("f-%d", i))
		if got.Error != string(want) || got.Cause == "" || strings.Contains(got.Cause, "\n") {
			t.Errorf("got %s: %s, want %s", got.Error, got.Cause, want)
		}
	}
	eventually(t, "the counts", func() bool { return w.Stats().InFlight == 0 })
	if s := w.Stats(); s.Failed[call.RenderFailed] != 1 || s.Failed[call.ConnectionFailed] != 1 || s.Retries != 3 {
		t.Errorf("got %+v, want one failure of each name and 3 retries", s)
	}
	if n := b.calls.Load(); n != 1 {
		t.Errorf("the API was called %d times, want once, for the big answer", n)
	}
}

func TestTaskWithoutTokenPublishesItsOutcome(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	feed, err := b.broker.FeedConsumer(t.Context(), "results", "run")
	must(t, err)
	t.Cleanup(func() { feed.Close() })
	b.send(t, 2, func(task *call.Task) {
		task.Token = ""
		if task.ID == "run-2" {
			task.Deadline = time.Now().Add(-time.Second)
		}
	})
	b.run(t)
	got := map[string]call.Outcome{}
	for len(got) < 2 {
		ds, err := feed.Receive(t.Context(), 2)
		must(t, err)
		for _, d := range ds {
			o, err := call.DecodeOutcome(d.Body)
			must(t, err)
			got[o.ID] = o
			must(t, d.Ack(t.Context()))
		}
	}
	if o := got["run-1"]; o.Status != call.StatusSucceeded || !strings.Contains(string(o.Output), `"path":"/things/7"`) || o.Started.IsZero() {
		t.Errorf("got %+v with output %s", o, o.Output)
	}
	if o := got["run-2"]; o.Status != call.StatusFailed || o.Error != string(call.DeadlineExceeded) || o.Cause == "" {
		t.Errorf("got %+v, want the failure", o)
	}
}

func TestPoisonGoesToTheDeadLetterQueue(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	dead, err := b.broker.Consumer(t.Context(), "tasks-dlq", natsqueue.ConsumerOptions{})
	must(t, err)
	t.Cleanup(func() { dead.Close() })
	for _, body := range []string{`no json`, `{"template":{}}`, `{"id":"run-1"}`, `{"taskToken":7,"template":{}}`} {
		must(t, b.publish.Publish(t.Context(), queue.Message{Body: []byte(body)}))
	}
	w, _ := b.run(t)
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
	eventually(t, "the count", func() bool { return w.Stats().Rejected == 4 })
}

// A crash between report and ack: the message comes again, and is dropped.
func TestRedeliveryAfterTheReportCallsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, 2*time.Second, answer)
	b.deps.Tasks = &faulty{Consumer: b.tasks, ack: errors.New("the process died")}
	b.send(t, 1, nil)
	w, _ := b.run(t)
	eventually(t, "the redelivery", func() bool { return w.Stats().Gone == 1 })
	if n := b.calls.Load(); n != 1 {
		t.Errorf("the API was called %d times, want once", n)
	}
	if s := w.Stats(); s.Redelivered != 1 || s.Succeeded != 1 {
		t.Errorf("got %+v", s)
	}
	eventually(t, "an empty queue", func() bool { return w.Stats().InFlight == 0 })
}

func TestLostLeaseCancelsTheCall(t *testing.T) {
	t.Parallel()
	var first atomic.Bool
	cancelled := make(chan struct{})
	b := setup(t, 300*time.Millisecond, func(w http.ResponseWriter, r *http.Request) {
		if !first.Swap(true) {
			<-r.Context().Done()
			close(cancelled)
			return
		}
		answer(w, r)
	})
	b.deps.Tasks = &faulty{Consumer: b.tasks, extend: queue.ErrLeaseLost}
	b.send(t, 1, nil)
	w, _ := b.run(t)
	<-cancelled
	if got := b.settled(t, "t-1"); got.Output == "" || got.Reports != 1 {
		t.Errorf("got %+v, want the answer of the second delivery alone", got)
	}
	eventually(t, "the count", func() bool { return w.Stats().LeaseLost == 1 && w.Stats().Succeeded == 1 })
}

func TestLeaseAndHeartbeatsAreKept(t *testing.T) {
	t.Parallel()
	const calls = 100
	release := make(chan struct{})
	b := setup(t, 4*time.Second, func(w http.ResponseWriter, r *http.Request) {
		<-release
		answer(w, r)
	})
	b.opts.Slots = calls
	b.opts.HeartbeatEvery = 300 * time.Millisecond
	b.send(t, calls, nil)
	w, _ := b.run(t)
	b.sfn.Wait(t, func() bool { // some 5 s, longer than a lease
		for i := 1; i <= calls; i++ {
			if b.sfn.Task(fmt.Sprintf("t-%d", i)).Beats < 16 {
				return false
			}
		}
		return true
	})
	close(release)
	eventually(t, "all answers", func() bool { return w.Stats().Succeeded == calls })
	if s := w.Stats(); s.Redelivered != 0 || s.LeaseLost != 0 || s.Gone != 0 {
		t.Errorf("got %+v, want every lease kept", s)
	}
	if n := b.calls.Load(); n != calls {
		t.Errorf("the API was called %d times, want %d", n, calls)
	}
}

func TestClosedTaskCancelsTheCall(t *testing.T) {
	t.Parallel()
	reached, cancelled := make(chan struct{}), make(chan struct{})
	b := setup(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
		close(cancelled)
	})
	b.opts.HeartbeatEvery = 50 * time.Millisecond
	b.send(t, 1, nil)
	w, stop := b.run(t)
	<-reached
	b.sfn.CloseTask("t-1")
	<-cancelled
	eventually(t, "the ack", func() bool { return w.Stats().InFlight == 0 })
	must(t, stop())
	if s := w.Stats(); s.Gone != 1 || b.sfn.Task("t-1").Reports != 0 {
		t.Errorf("got %+v, want the task dropped without a report", s)
	}
}

func TestDrainHandsBackWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	var first atomic.Bool
	reached := make(chan struct{})
	b := setup(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		if !first.Swap(true) {
			close(reached)
			<-r.Context().Done()
			return
		}
		answer(w, r)
	})
	b.opts.DrainTimeout = 50 * time.Millisecond
	b.send(t, 1, nil)
	w, stop := b.run(t)
	<-reached
	must(t, stop())
	if s := w.Stats(); s.HandedBack != 1 || s.InFlight != 0 {
		t.Errorf("got %+v, want one message handed back", s)
	}
	if got := b.sfn.Task("t-1"); got.Settled {
		t.Errorf("got %+v, want no report", got)
	}
	b.run(t) // well within the lease of a minute
	b.settled(t, "t-1")
}

func TestDrainLetsRunningCallsFinish(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}), make(chan struct{})
	b := setup(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		close(reached)
		<-release
		answer(w, r)
	})
	b.send(t, 1, nil)
	w, stop := b.run(t)
	<-reached
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	close(release)
	must(t, <-stopped)
	if s := w.Stats(); s.Succeeded != 1 || s.HandedBack != 0 {
		t.Errorf("got %+v, want the call finished", s)
	}
}

// panicking renders by a panic with this value.
type panicking string

func (p panicking) Render(context.Context, json.RawMessage, json.RawMessage) (call.Rendered, error) {
	panic(string(p))
}

func TestPanicFailsItsCallAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	value := secrettest.Value(t, "in the params")
	b.deps.Renderer = panicking(value)
	b.send(t, 2, nil)
	b.run(t)
	for _, token := range []string{"t-1", "t-2"} {
		if got := b.settled(t, token); got.Error != string(call.Internal) || strings.Contains(got.Cause, value) {
			t.Errorf("got %s: %s, want Callfleet.Internal without data", got.Error, got.Cause)
		}
	}
}

func TestReportIsTriedUntilItIsRecorded(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	b.sfn.Fail("SendTaskSuccess", "InternalFailure", http.StatusInternalServerError, 2)
	b.send(t, 1, nil)
	w, _ := b.run(t)
	b.settled(t, "t-1")
	eventually(t, "the ack", func() bool { return w.Stats().Succeeded == 1 })
	if n := b.calls.Load(); n != 1 {
		t.Errorf("the API was called %d times, want once", n)
	}
}

// While Step Functions is away, a worker that is told to stop hands the calls
// back that it cannot report.
func TestDrainWithoutStepFunctions(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	b.opts.DrainTimeout = 50 * time.Millisecond
	b.opts.Slots = 300
	b.sfn.Fail("SendTaskSuccess", "InternalFailure", http.StatusInternalServerError, 1<<16)
	b.send(t, 300, nil)
	w, stop := b.run(t)
	eventually(t, "all calls", func() bool { return b.calls.Load() == 300 })
	must(t, stop())
	if s := w.Stats(); s.HandedBack != 300 || s.Succeeded != 0 {
		t.Errorf("got %+v, want all handed back", s)
	}
}

// The report is recorded, but its answer is lost: the next try finds the task
// settled, which is all that is wanted.
func TestReportWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	b.sfn.FailAfter("SendTaskSuccess")
	b.send(t, 1, nil)
	w, _ := b.run(t)
	eventually(t, "the ack", func() bool { return w.Stats().Gone == 1 && w.Stats().InFlight == 0 })
	if got := b.sfn.Task("t-1"); got.Output == "" || b.calls.Load() != 1 {
		t.Errorf("got %+v after %d calls", got, b.calls.Load())
	}
}

func TestReceivesNoMoreThanFreeSlots(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}, 10), make(chan struct{})
	b := setup(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-release
		answer(w, r)
	})
	b.opts.Slots = 3
	b.send(t, 10, nil)
	w, _ := b.run(t)
	for range 3 {
		<-reached
	}
	if n, err := b.tasks.Depth(t.Context()); err != nil || n != 7 {
		t.Errorf("%d tasks wait (%v), want the 7 that no slot is free for", n, err)
	}
	close(release)
	eventually(t, "all answers", func() bool { return w.Stats().Succeeded == 10 })
}

func TestNewRefusesBadOptions(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	if _, err := worker.New(worker.Deps{}, worker.Options{}); err == nil {
		t.Error("no parts: got nil")
	}
	if _, err := worker.New(b.deps, worker.Options{Slots: -1}); err == nil {
		t.Error("negative slots: got nil")
	}
}
