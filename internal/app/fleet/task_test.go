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
	"callfleet/internal/awstest"
	"callfleet/internal/call"
	"callfleet/internal/ecs"
	"callfleet/internal/ecs/ecstest"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/stepfn/stepfntest"
)

// childClocks makes the test binary a worker whose protection has these clocks.
const childClocks = "CALLFLEET_TEST_ECS_CLOCKS"

type clocks struct{ RenewEvery, IdleFor, Long time.Duration }

// child is cmd/worker, but for the clocks.
func child(spec string) int {
	var c clocks
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		return 90
	}
	on := machine{listen: defaultListen, protection: ecs.ProtectionOptions{RenewEvery: c.RenewEvery, IdleFor: c.IdleFor, Long: c.Long}}
	return begin(context.Background(), program.Input(), os.Stderr, on)
}

// service is an ECS service of workers: the tasks of a state machine that wait
// for them, and an API whose calls the test ends.
type service struct {
	queue   []string // the variables that name it, and let the API be called
	fleet   *backend.Backend
	sfn     *stepfntest.Server
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

// onNATS is a service whose queues are on JetStream.
func onNATS(t *testing.T) *service {
	t.Helper()
	server, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(t), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	return newService(t, backend.Options{Queue: server.URL()}, nil)
}

// onSQS is a service whose queues are on SQS.
func onSQS(t *testing.T) *service {
	t.Helper()
	emulator := awstest.Fauxqs(t)
	aws := emulator.Config()
	o := backend.Options{Queue: "sqs://" + awstest.Name("calls"), Templates: "file://" + t.TempDir(), AWS: &aws}
	b := open(t, o)
	for _, q := range []string{backend.Requests, backend.Tasks, backend.Results} {
		if _, err := b.SQS().Create(t.Context(), q, 90*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	return newService(t, o, append(emulator.Env(), "CALLFLEET_TEMPLATES="+o.Templates))
}

func newService(t *testing.T, o backend.Options, env []string) *service {
	t.Helper()
	s := &service{sfn: stepfntest.New(t), reached: make(chan held, 10), queue: append(env, "CALLFLEET_QUEUE="+o.Queue, egresstest.Setting)}
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
	s.fleet = open(t, o)
	consumer, err := s.fleet.Consumer(t.Context(), backend.Tasks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { consumer.Close() })
	s.depth = consumer
	return s
}

func (s *service) publish(t *testing.T, to string, m queue.Message) {
	t.Helper()
	p, err := s.fleet.Publisher(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
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
	s.publish(t, backend.Tasks, queue.Message{ID: token, Body: body})
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
	w.cmd.Env = append([]string{childClocks + "=" + string(spec), "CALLFLEET_STEPFUNCTIONS=" + s.sfn.URL,
		"CALLFLEET_ROLES=call", "CALLFLEET_WORKER_LISTEN=127.0.0.1:0"}, s.queue...)
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
			evidence.Write(t, evidence.Log, lines.Text())
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
