package fleet

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/call"
	"callfleet/internal/ecs/ecstest"
	"callfleet/internal/queue"
	"callfleet/internal/stepfn/stepfntest"
	"callfleet/internal/telemetry/otlptest"
)

// A task asks for protection when its first call begins and gives it up when it
// is idle; a long call's is renewed. Told to stop it finishes what it can.
func TestProtectionOfAnECSTask(t *testing.T) {
	t.Parallel()
	s := onNATS(t)
	w := s.run(t, clocks{RenewEvery: 200 * time.Millisecond, IdleFor: 50 * time.Millisecond, Long: 100 * time.Millisecond}, nil)
	w.asked(t, "") // idle
	first := s.hand(t, "t-1")
	w.waits(t, "on 10, on 10, on 10") // renewed while the call lasts
	close(first.answer)
	s.done(t, "t-1")
	w.waits(t, "on 10(, on 10)+, off")

	second := s.hand(t, "t-2")
	w.waits(t, "on 10(, on 10)+, off, on 10(, on 10)*")
	w.stop(t)
	close(second.answer)
	s.done(t, "t-2")
	if code := w.ended(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &w.all)
	}
	w.asked(t, "on 10(, on 10)+, off, on 10(, on 10)*, off")
	if until := w.agent.Until(); !until.IsZero() {
		t.Errorf("the task is protected until %s after its end", until)
	}
	if n := s.calls.Load(); n != 2 {
		t.Errorf("the API was called %d times, want 2", n)
	}
}

// A call that is longer than the time to stop is handed back at once, and made
// by another task, once.
func TestACallLongerThanTheStopTimeoutIsCompletedElsewhere(t *testing.T) {
	t.Parallel()
	for name, on := range map[string]func(*testing.T) *service{"nats": onNATS, "sqs": onSQS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handBack(t, on(t))
		})
	}
}

func handBack(t *testing.T, s *service) {
	t.Helper()
	leaving := s.run(t, clocks{}, nil, "--drain", "200ms")
	cut := s.hand(t, "t-1")
	leaving.waits(t, "on 10")
	staying := s.run(t, clocks{IdleFor: time.Millisecond}, nil)
	leaving.stop(t)
	<-cut.gone
	again := <-s.reached // long before the lease of 90 s is over
	if code := leaving.ended(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &leaving.all)
	}
	leaving.asked(t, "on 10, off")
	if got := s.sfn.Task("t-1"); got.Beats != 1 || got.Reports != 0 {
		t.Errorf("before the answer: %+v, want one heartbeat, which asked whether the task still waits", got)
	}
	close(again.answer)
	s.done(t, "t-1")
	staying.waits(t, "on 10, off")
	staying.stop(t)
	if code := staying.ended(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &staying.all)
	}
	staying.asked(t, "on 10, off(, off)?") // twice when it stops before it has the answer
	if n := s.calls.Load(); n != 2 {
		t.Errorf("the API was called %d times, want once by each", n)
	}
	if got := s.sfn.Task("t-1"); got.Reports != 1 {
		t.Errorf("got %+v, want one report", got)
	}
	if n, err := s.depth.Depth(t.Context()); n != 0 || err != nil {
		t.Errorf("%d tasks are left on the queue (%v)", n, err)
	}
}

// What the starter needs to drain is not taken from the calls: both stop at
// once.
func TestTheWorkerDoesNotWaitForTheStarter(t *testing.T) {
	t.Parallel()
	s := onNATS(t)
	starting, started, release := make(chan struct{}), make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".StartExecution") {
			close(starting)
			select {
			case <-release:
			case <-r.Context().Done():
			}
			close(started)
		}
		s.sfn.ServeHTTP(w, r)
	}))
	t.Cleanup(slow.Close)
	w := s.run(t, clocks{}, map[string]string{
		"CALLFLEET_STEPFUNCTIONS": slow.URL, "CALLFLEET_STATE_MACHINE": stepfntest.Machine, "CALLFLEET_ROLES": "start,call",
	}, "--drain", "100ms")
	body, err := call.EncodeRequest(call.Request{ID: "run-2", Template: "a", Method: "GET", Params: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	s.publish(t, backend.Requests, queue.Message{ID: "run-2", Body: body})
	<-starting
	cut := s.hand(t, "t-1")
	w.stop(t)
	<-cut.gone
	select {
	case <-started:
		t.Error("the call was handed back after the starter had drained")
	default:
	}
	close(release)
	if code := w.ended(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &w.all)
	}
	if x := s.sfn.Executions(); len(x) != 1 {
		t.Errorf("executions %v, want the one that was being started", x)
	}
}

// A task that is killed leaves a protection that ends by itself, and a call
// that another task makes when the lease is over.
func TestAKilledECSTaskLeavesNothingThatLasts(t *testing.T) {
	t.Parallel()
	s := onNATS(t)
	w := s.run(t, clocks{}, nil, shortLease...)
	s.hand(t, "t-1")
	w.waits(t, "on 10")
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if code := w.ended(t); code != -1 {
		t.Errorf("exit code %d, want that of a kill", code)
	}
	w.asked(t, "on 10")
	if left := time.Until(w.agent.Until()); left > 10*time.Minute {
		t.Errorf("the protection lasts for %s", left)
	}
	other := s.run(t, clocks{}, nil, shortLease...)
	again := <-s.reached
	close(again.answer)
	s.done(t, "t-1")
	other.stop(t)
	if code := other.ended(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &other.all)
	}
	other.asked(t, "on 10, off")
}

// shortLease are the clocks of a call whose worker is missed soon.
var shortLease = []string{"--http-timeout", "2s", "--heartbeat-every", "500ms", "--heartbeat-timeout", "2100ms", "--lease", "2200ms"}

// An agent that is broken costs no call and no exit code.
func TestABrokenAgentIsInNobodysWay(t *testing.T) {
	t.Parallel()
	s := onNATS(t)
	w := s.run(t, clocks{}, nil)
	w.agent.Stall(1 << 10)
	one := s.hand(t, "t-1")
	w.waits(t, "on 10")
	close(one.answer)
	s.done(t, "t-1")
	w.stop(t)
	if code := w.ended(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &w.all)
	}
	w.asked(t, "on 10, off")
	if !strings.Contains(w.all.String(), "scale-in protection was not taken off: it ends by itself") {
		t.Errorf("log:\n%s", &w.all)
	}
}

// Traces tell which task they come from.
func TestTracesNameTheECSTask(t *testing.T) {
	t.Parallel()
	s := onNATS(t)
	receiver := otlptest.Start(t)
	w := s.run(t, clocks{}, receiver.Env())
	close(s.hand(t, "t-1").answer)
	s.done(t, "t-1")
	w.stop(t)
	if code := w.ended(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &w.all)
	}
	spans, err := receiver.WaitSpans(t.Context(), otlptest.AtLeast(1))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"service.name": "callfleet-worker", "service.instance.id": ecstest.TaskID, "aws.ecs.task.id": ecstest.TaskID, "aws.ecs.task.arn": ecstest.TaskARN,
		"aws.ecs.cluster.arn": ecstest.Cluster, "aws.ecs.task.revision": "26", "cloud.platform": "aws_ecs", "container.name": "worker",
	} {
		if got := spans[0].Resource[key]; got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
}
