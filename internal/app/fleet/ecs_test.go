package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/program"
	"callfleet/internal/call"
	"callfleet/internal/ecs"
	"callfleet/internal/ecs/ecstest"
	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/stepfn/stepfntest"
	"callfleet/internal/telemetry/otlptest"
)

// childClocks makes the test binary a worker whose protection has these clocks.
const childClocks = "CALLFLEET_TEST_ECS_CLOCKS"

type clocks struct{ RenewEvery, IdleFor time.Duration }

// child is cmd/worker, but for the clocks.
func child(spec string) int {
	var c clocks
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		return 90
	}
	on := machine{listen: defaultListen, protection: ecs.ProtectionOptions{RenewEvery: c.RenewEvery, IdleFor: c.IdleFor}}
	return begin(context.Background(), program.Input(), os.Stderr, on)
}

// service is an ECS service of workers: the tasks of a state machine that wait
// for them, and an API whose calls the test ends.
type service struct {
	broker  *natsembed.Server
	sfn     *stepfntest.Server
	tasks   queue.Publisher
	depth   queue.Depth
	api     string
	calls   atomic.Int32
	reached chan held
}

// held is a call that has reached the API.
type held struct {
	answer chan<- struct{}
	gone   <-chan struct{} // closed when the worker has left it
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{sfn: stepfntest.New(t), reached: make(chan held, 10)}
	server, err := natsembed.Start(natsembed.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	s.broker = server
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		answer := make(chan struct{})
		s.reached <- held{answer, r.Context().Done()}
		select {
		case <-answer:
			_, _ = io.WriteString(w, `"answer"`)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(api.Close)
	s.api = api.URL
	b := open(t, backend.Options{Queue: server.URL()})
	if s.tasks, err = b.Publisher(t.Context(), backend.Tasks); err != nil {
		t.Fatal(err)
	}
	consumer, err := b.Consumer(t.Context(), backend.Tasks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { consumer.Close() })
	s.depth = consumer
	return s
}

// hand puts a task on the queue, as the state machine does, and waits for its
// call.
func (s *service) hand(t *testing.T, token string) held {
	t.Helper()
	s.sfn.AddTask(token)
	body, err := call.EncodeTask(call.Task{ID: "run-" + token, Token: call.TaskToken(token), Template: item(s.api), Params: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.tasks.Publish(t.Context(), queue.Message{ID: token, Body: body}); err != nil {
		t.Fatal(err)
	}
	return <-s.reached
}

// done waits for the report of a task, which must be one with an answer.
func (s *service) done(t *testing.T, token string) {
	t.Helper()
	s.sfn.Wait(t, func() bool { return s.sfn.Task(token).Settled })
	if got := s.sfn.Task(token); got.Reports != 1 || !strings.Contains(got.Output, "answer") {
		t.Errorf("task %s: %+v, want one report of the answer", token, got)
	}
}

// task is an ECS task: a worker process beside its agent.
type task struct {
	agent *ecstest.Agent
	cmd   *exec.Cmd
	log   chan string // the lines, then closed
	all   strings.Builder
}

// run starts a task and waits until its worker is ready.
func (s *service) run(t *testing.T, c clocks, env map[string]string, args ...string) *task {
	t.Helper()
	w := &task{agent: ecstest.New(), log: make(chan string, 1000)}
	spec, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	w.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], args...)
	w.cmd.Env = []string{childClocks + "=" + string(spec), "CALLFLEET_QUEUE=" + s.broker.URL(), "CALLFLEET_STEPFUNCTIONS=" + s.sfn.URL,
		"CALLFLEET_ROLES=call", "CALLFLEET_WORKER_LISTEN=127.0.0.1:0"}
	for _, more := range []map[string]string{w.agent.Serve(t), env} {
		for k, v := range more {
			w.cmd.Env = append(w.cmd.Env, k+"="+v)
		}
	}
	stderr, err := w.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(w.log)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			w.log <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill() // it has ended, unless the test has failed
		<-read
		_ = w.cmd.Wait()
	})
	w.says(t, "worker is ready")
	return w
}

// says waits for a line of the log.
func (w *task) says(t *testing.T, text string) {
	t.Helper()
	for line := range w.log {
		fmt.Fprintln(&w.all, line)
		if strings.Contains(line, text) {
			return
		}
	}
	t.Fatalf("the worker ended and never said %q:\n%s", text, &w.all)
}

// stop is what ECS does first, SIGTERM, and waits until the drain has begun.
func (w *task) stop(t *testing.T) {
	t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.says(t, "stopping, a second signal stops at once")
}

// ended waits for the end of the process and returns its exit code.
func (w *task) ended(t *testing.T) int {
	t.Helper()
	for line := range w.log {
		fmt.Fprintln(&w.all, line)
	}
	_ = w.cmd.Wait() // the exit code says it
	return w.cmd.ProcessState.ExitCode()
}

// asked checks the requests for protection so far.
func (w *task) asked(t *testing.T, want string) {
	t.Helper()
	if got := w.agent.Sequence(); !regexp.MustCompile("^" + want + "$").MatchString(got) {
		t.Errorf("the agent was asked: %s; want %s", got, want)
	}
}

// waits until the agent was asked for what want says.
func (w *task) waits(t *testing.T, want string) {
	t.Helper()
	pattern := regexp.MustCompile("^" + want + "$")
	w.agent.Wait(t, want, func() bool { return pattern.MatchString(w.agent.Sequence()) })
}

// A task asks for protection when its first call begins and gives it up when it
// is idle; a long call's is renewed. Told to stop it finishes what it can.
func TestProtectionOfAnECSTask(t *testing.T) {
	t.Parallel()
	s := newService(t)
	w := s.run(t, clocks{RenewEvery: 200 * time.Millisecond, IdleFor: 50 * time.Millisecond}, nil)
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
	s := newService(t)
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
	staying.asked(t, "on 10, off")
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
	s := newService(t)
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
	requests, err := open(t, backend.Options{Queue: s.broker.URL()}).Publisher(t.Context(), backend.Requests)
	if err != nil {
		t.Fatal(err)
	}
	if err := requests.Publish(t.Context(), queue.Message{ID: "run-2", Body: body}); err != nil {
		t.Fatal(err)
	}
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
	s := newService(t)
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
	s := newService(t)
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
	s := newService(t)
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
