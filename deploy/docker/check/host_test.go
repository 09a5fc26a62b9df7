package check

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The services of docker-compose.yml work together: NATS, Step Functions, the
// sample API, two workers and the producer, as processes with the images' own
// programs and variables; a server of this test is Jaeger.
func TestFleetOnNATS(t *testing.T) {
	t.Parallel()
	h := newHost(t, "nats", "producer")
	spans := standInForJaeger(t, h)
	start(t, h, "nats", "sampleapi", "stepfunctions", "worker", "worker 2")
	makeCalls(t, h, "producer")
	makeLargeCall(t, h, "producer")
	if err := h.Stop(); err != nil {
		t.Error(err)
	}
	if spans.Load() == 0 {
		t.Error("Jaeger was sent nothing")
	}
}

// The same with the profile "aws": moto is SQS, DynamoDB and S3.
func TestFleetOnEmulators(t *testing.T) {
	t.Parallel()
	h := newHost(t, "aws", "producer-aws")
	spans := standInForJaeger(t, h)
	h.Use("aws", "5000", moto(t))
	// In its container the log's broker has the loopback interface for itself.
	h.Env["stepfunctions-aws"] = append(h.Env["stepfunctions-aws"], "CALLFLEET_BROKER_LISTEN=127.0.0.1:0")
	for range 2 { // what is made once is found from then on
		cmd, err := h.Command(t.Context(), "setup", "setup")
		if err != nil {
			t.Fatal(err)
		}
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("setup: %v\n%s", err, said)
		}
	}
	start(t, h, "sampleapi", "stepfunctions-aws", "worker-aws", "worker-aws 2")
	makeCalls(t, h, "producer-aws")
	makeLargeCall(t, h, "producer-aws")
	if err := h.Stop(); err != nil {
		t.Error(err)
	}
	if spans.Load() == 0 {
		t.Error("Jaeger was sent nothing")
	}
}

// start starts services in turn; "worker 2" is a second worker.
func start(t *testing.T, h *Host, services ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, name := range services {
		service, _, _ := strings.Cut(name, " ")
		if err := h.Start(ctx, service, strings.ReplaceAll(name, " ", "-")); err != nil {
			t.Fatal(err)
		}
	}
}

// makeCalls has a producer run a call file to its end.
func makeCalls(t *testing.T, h *Host, service string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	calls, n := quickstartCalls(t)
	cmd, err := h.Command(ctx, service, service, "run", calls)
	if err != nil {
		t.Fatal(err)
	}
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("producer run: %v\n%s", err, said)
	}
	results, err := os.ReadFile(filepath.Join(h.Dir, service, "results.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(results, []byte("\n")); got != n {
		t.Errorf("%d results, want %d", got, n)
	}
}

// makeLargeCall sends what an execution cannot carry and has it sent back.
func makeLargeCall(t *testing.T, h *Host, service string) {
	t.Helper()
	api, err := h.Addr("sampleapi", "8089")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("500 KB\n", 500_000/7)
	for name, content := range map[string]string{
		"text": text, "echo.POST.json": `{"name":"echo","method":"POST","url":"http://` + api + `/anything","payload":{"text":"{{ text }}"}}`,
	} {
		if err := os.WriteFile(filepath.Join(h.Dir, service, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	produce := func(args ...string) []byte {
		cmd, err := h.Command(ctx, service, service, args...)
		if err != nil {
			t.Fatal(err)
		}
		said, err := cmd.Output()
		if err != nil {
			t.Fatalf("producer %v: %v\n%s", args, err, said)
		}
		return said
	}
	produce("template", "put", "echo.POST.json")
	var called struct {
		ID     string
		Output struct{ BodyRef any }
	}
	if err := json.Unmarshal(produce("call", "echo", "POST", "-p", "text=@text", "--wait"), &called); err != nil || called.Output.BodyRef == nil {
		t.Fatalf("no reference in %+v, %v", called, err)
	}
	var echoed struct{ JSON struct{ Text string } }
	if err := json.Unmarshal(produce("result", "get", called.ID), &echoed); err != nil || echoed.JSON.Text != text {
		t.Errorf("%d bytes came back, %v, want %d", len(echoed.JSON.Text), err, len(text))
	}
}

// moto starts the emulator of the project's tests and returns where it is. It
// ends with its standard input.
func moto(t *testing.T) (addr string) {
	t.Helper()
	cmd := exec.Command("go", "run", "./scripts/emulator", "moto")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // it is not what is tested
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("start moto: %v", err)
	}
	return strings.TrimPrefix(strings.TrimSpace(url), "http://")
}

// A service that is not what the file says is found.
func TestFleetCanFail(t *testing.T) {
	t.Parallel()
	h := newHost(t, "nats")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := h.Start(ctx, "stepfunctions", "stepfunctions") // without its broker
	if err == nil || !strings.Contains(err.Error(), "start stepfunctions") {
		t.Errorf("started without a broker: %v", err)
	}
	h.Project.Services["sampleapi"].HealthCheck.Test[2] = "--no-such-flag"
	if err := h.Start(ctx, "sampleapi", "sampleapi"); err == nil {
		t.Error("is well by a health check that it does not know")
	}
	_ = h.Stop() // the first one ended by an error, as it should
}

// log is what processes print, shown when the test fails.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func newHost(t *testing.T, profiles ...string) *Host {
	t.Helper()
	p, err := LoadCompose(t.Context(), root, composeFile, profiles...)
	if err != nil {
		t.Fatal(err)
	}
	printed := new(log)
	h := &Host{Project: p, Programs: map[string][]string{}, Env: map[string][]string{}, Dir: t.TempDir(), Log: printed}
	for name, s := range p.Services {
		if s.Build != nil {
			image := images(t, "Dockerfile")[s.Build.Target]
			h.Programs[name], h.Env[name] = []string{image.program()}, image.Config.Env
		}
	}
	addr, err := h.Addr("nats", "4222")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	h.Programs["nats"] = []string{natsServer(t), "--addr=127.0.0.1", "--port=" + port}
	t.Cleanup(func() {
		if err := h.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the processes printed:\n%s", printed.text.String())
		}
	})
	return h
}

// The broker that the tests run is the one that the Compose file names.
func TestBrokerIsTheImages(t *testing.T) {
	t.Parallel()
	p, err := LoadCompose(t.Context(), root, composeFile)
	if err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "github.com/nats-io/nats-server/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	if image, version := p.Services["nats"].Image, strings.TrimPrefix(strings.TrimSpace(string(said)), "v"); !strings.HasPrefix(image, "nats:"+version+"-") {
		t.Errorf("compose runs %s, the tests %s", image, version)
	}
}

// natsServer is the program in the image that the Compose file names, by its
// version: a tool of this module.
func natsServer(t *testing.T) string {
	t.Helper()
	said, err := exec.CommandContext(t.Context(), "go", "tool", "-n", "nats-server").CombinedOutput()
	if err != nil {
		t.Fatalf("build nats-server: %v\n%s", err, said)
	}
	return strings.TrimSpace(string(said))
}

// standInForJaeger counts the traces that are sent to it.
func standInForJaeger(t *testing.T, h *Host) *atomic.Int64 {
	t.Helper()
	addr, err := h.Addr("jaeger", "4318")
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	sent := new(atomic.Int64)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/v1/traces" {
			sent.Add(1)
		} else {
			t.Errorf("Jaeger is asked for %s %s", r.Method, r.URL)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	_ = srv.Listener.Close() // its own, for one at the address
	srv.Listener = lis
	srv.Start()
	t.Cleanup(srv.Close)
	return sent
}

// quickstartCalls is a file with the first calls of the quickstart that end
// well.
func quickstartCalls(t *testing.T) (name string, n int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "examples", "quickstart", "calls.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var calls bytes.Buffer
	for line := range bytes.Lines(text) {
		var call struct{ TemplateName string }
		if err := json.Unmarshal(line, &call); err != nil {
			t.Fatal(err)
		}
		if call.TemplateName != "not-found" && call.TemplateName != "too-slow" && n < 20 {
			calls.Write(line)
			n++
		}
	}
	name = filepath.Join(t.TempDir(), "calls.jsonl")
	if err := os.WriteFile(name, calls.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name, n
}
