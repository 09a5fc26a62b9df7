package deployed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/jsii-runtime-go"

	"callfleet/deploy/cdk/internal/cfn"
	"callfleet/deploy/cdk/internal/deployed"
	"callfleet/deploy/cdk/internal/stack"
	"callfleet/internal/awstest"
	"callfleet/internal/queue/sqsqueue"
)

const (
	root  = "../../../.."
	calls = 50
)

// synthesise returns the template of the standard deployment.
func synthesise(t *testing.T) *cfn.Template {
	t.Helper()
	defer jsii.Close()
	out := t.TempDir()
	app, _, err := stack.NewApp(stack.Options{Root: root, Out: out, Context: map[string]any{
		"workerImage": "registry.example.com/worker:1", "producerImage": "registry.example.com/producer:1", "traces": "off",
	}})
	if err != nil {
		t.Fatal(err)
	}
	app.Synth(nil)
	template, err := cfn.Load(out)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// tried is what "producer doctor" tries out, to tell whether these credentials
// would do for a starter or a worker: the producer's need not.
var tried = []string{
	"states:SendTaskFailure on *", "states:SendTaskHeartbeat on *", "states:SendTaskSuccess on *",
	"states:StartExecution on arn:aws:states:" + awstest.Region + ":" + awstest.Account + ":stateMachine:call-api",
}

// fleet is the stack with the programs that run on it.
type fleet struct {
	emulator awstest.Emulator
	stack    *deployed.Stack
	bin      string
	settings []string // of the output that a person pastes
}

func setup(t *testing.T) *fleet {
	t.Helper()
	emulator := awstest.Moto(t)
	s, err := deployed.Create(t.Context(), emulator.Config(), awstest.Account, synthesise(t))
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{emulator: emulator, stack: s, bin: t.TempDir()}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", f.bin, "./cmd/producer", "./cmd/worker")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	f.settings = strings.Fields(strings.TrimPrefix(f.output(t, "Settings"), "export "))
	return f
}

func (f *fleet) output(t *testing.T, name string) string {
	t.Helper()
	value, err := f.stack.Output(name)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// environ is what a program needs to reach AWS with the permissions of a role,
// and what is given. The test fails if anything was refused.
func (f *fleet) environ(t *testing.T, role string, given ...string) []string {
	t.Helper()
	emulator, err := url.Parse(f.emulator.URL)
	if err != nil {
		t.Fatal(err)
	}
	guard, err := f.stack.Guard(role, emulator)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(guard)
	t.Cleanup(func() {
		server.Close()
		for _, d := range guard.Denied() {
			if role != "ProducerRole" || !slices.Contains(tried, d) {
				t.Errorf("%s may not %s", role, d)
			}
		}
	})
	env := awstest.Emulator{URL: server.URL}.Env()
	return append(append(env, "PATH="+os.Getenv("PATH"), "HOME="+os.TempDir()), given...)
}

// produce runs the producer with the settings of the stack's output, and wants
// an exit code.
func (f *fleet) produce(t *testing.T, dir string, code int, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(f.bin, "producer"), args...)
	cmd.Dir, cmd.Env = dir, f.environ(t, "ProducerRole", f.settings...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() != code {
		t.Fatalf("producer %v: %v, want exit code %d\n%s", args, err, code, out)
	}
	return string(out)
}

// serve runs a worker as its service's task would, until the test ends; it must
// then stop by itself within the stop timeout.
func (f *fleet) serve(t *testing.T, name string) {
	t.Helper()
	env, err := f.stack.Environment("calls-"+name, name)
	if err != nil {
		t.Fatal(err)
	}
	env["CALLFLEET_WORKER_LISTEN"] = "127.0.0.1:0" // both tasks share this machine
	env["CALLFLEET_EGRESS_ALLOW"] = "127.0.0.0/8"  // and the API is there
	var given []string
	for k, v := range env {
		given = append(given, k+"="+v)
	}
	cmd := exec.Command(filepath.Join(f.bin, "worker"))
	var log bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = f.environ(t, strings.ToUpper(name[:1])+name[1:]+"Role", given...), &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("%s: %v\n%s", name, err, log.String())
		}
	})
}

func TestStack(t *testing.T) {
	t.Parallel()
	f := setup(t)
	t.Run("fleet runs", f.testRun)
	t.Run("queues are as set up", f.testQueues)
}

// The fleet runs on the queues, the table and the state machine of the
// template, with the settings of its outputs and of its task definitions, and
// each program with the permissions of its role alone. No emulator carries out
// EventBridge's rule for executions: awstest stands in.
func (f *fleet) testRun(t *testing.T) {
	t.Parallel()
	var made atomic.Int64
	dir := t.TempDir()
	prepare(t, dir, &made)
	for _, args := range [][]string{
		{"template", "put", "get-user.GET.json"}, {"template", "put", "gone.GET.json"}, {"template", "put", "gone.GET.json"},
		{"template", "rm", "gone", "GET"}, {"template", "ls"}, {"template", "get", "get-user", "GET"},
	} {
		f.produce(t, dir, 0, args...)
	}
	if report := f.produce(t, dir, 0, "doctor"); !strings.Contains(report, "the bucket is there, and keeps them 7 days") {
		t.Errorf("the doctor says\n%s", report)
	}
	f.serve(t, "starter")
	f.serve(t, "worker")
	ctx, cancel := context.WithCancel(t.Context())
	var rule sync.WaitGroup
	for _, machine := range []string{"StateMachineArn", "BatchStateMachineArn"} {
		arn, events := f.output(t, machine), f.output(t, "ResultsQueueUrl")
		rule.Go(func() { awstest.NewEventBridge(f.emulator.Config(), arn, events).Run(ctx) })
	}
	t.Cleanup(rule.Wait)
	t.Cleanup(cancel)

	for name, mode := range map[string][]string{"workflow.jsonl": nil, "direct.jsonl": {"--direct"}, "batched.jsonl": {"--batch", strconv.Itoa(calls)}} {
		args := append([]string{"run", "calls.jsonl", "--results", name}, mode...)
		out := f.produce(t, dir, 1, args...) // one call fails on purpose
		if got := results(t, filepath.Join(dir, name)); got["SUCCEEDED"] != calls-1 || got["FAILED"] != 1 {
			t.Errorf("%s: %v of %d calls\n%s", name, got, calls, out)
		}
	}
	f.produce(t, dir, 0, "call", "get-user", "GET", "-p", "id=1", "--wait")
	f.produce(t, dir, 0, "execution", "ls")
	f.largeBody(t, dir)
	if n := made.Load(); n < 3*calls+2 {
		t.Errorf("%d calls reached the API, want %d", n, 3*calls+2)
	}
}

// largeBody sends a text and gets it back, both by way of the bucket.
func (f *fleet) largeBody(t *testing.T, dir string) {
	t.Helper()
	f.produce(t, dir, 0, "template", "put", "mirror.POST.json")
	text := strings.Repeat("300 KB\n", 300_000/7)
	write(t, filepath.Join(dir, "text"), text)
	out := f.produce(t, dir, 0, "call", "mirror", "POST", "-p", "text=@text", "--wait")
	var called struct{ ID string }
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&called); err != nil || !strings.Contains(out, `"bodyRef"`) {
		t.Fatalf("%v in %s", err, out)
	}
	f.produce(t, dir, 0, "result", "get", called.ID, "-o", "back")
	if back, err := os.ReadFile(filepath.Join(dir, "back")); err != nil || string(back) != text {
		t.Errorf("%d bytes came back, %v, want %d", len(back), err, len(text))
	}
}

// prepare writes templates and calls for an API that counts what reaches it,
// and knows no user 13.
func prepare(t *testing.T, dir string, made *atomic.Int64) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		made.Add(1)
		if r.URL.Path == "/mirror" {
			_, _ = io.Copy(w, r.Body)
			return
		}
		if r.URL.Path == "/users/13" {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
	}))
	t.Cleanup(api.Close)
	write(t, filepath.Join(dir, "get-user.GET.json"), `{"name":"get-user","method":"GET","url":"`+api.URL+`/users/{{ id }}"}`)
	write(t, filepath.Join(dir, "mirror.POST.json"),
		`{"name":"mirror","method":"POST","url":"`+api.URL+`/mirror","contentType":"text/plain","payload":"{{ text }}"}`)
	write(t, filepath.Join(dir, "gone.GET.json"), `{"name":"gone","method":"GET","url":"`+api.URL+`"}`)
	var lines strings.Builder
	for id := range calls {
		fmt.Fprintf(&lines, `{"templateName":"get-user","method":"GET","params":{"id":%d}}`+"\n", id)
	}
	write(t, filepath.Join(dir, "calls.jsonl"), lines.String())
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// results counts the lines of a results file by what became of the call.
func results(t *testing.T, name string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(text)) {
		var r struct{ Status string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		counts[r.Status]++
	}
	return counts
}

// The stack's queues are as "producer setup" would make them.
func (f *fleet) testQueues(t *testing.T) {
	t.Parallel()
	ours := broker(t, f, awstest.Name("setup"))
	theirs := broker(t, f, "calls")
	for _, name := range []string{"requests", "tasks", "results"} {
		if _, err := ours.Create(t.Context(), name, 90*time.Second); err != nil {
			t.Fatal(err)
		}
		a, err := ours.Describe(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := theirs.Describe(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if a.Visibility != b.Visibility || a.Retention != b.Retention || a.MaxReceives != b.MaxReceives || !strings.HasSuffix(b.DeadLetters, ":calls-"+name+"-dlq") {
			t.Errorf("stack: %+v\nproducer setup: %+v", b, a)
		}
	}
}

func broker(t *testing.T, f *fleet, prefix string) *sqsqueue.Broker {
	t.Helper()
	b, err := sqsqueue.New(f.emulator.Config(), sqsqueue.Options{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
