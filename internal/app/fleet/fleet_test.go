package fleet

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/local"
	"callfleet/internal/call"
	"callfleet/internal/config"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/lifecycle"
	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/template"
	"callfleet/internal/template/store"
)

func TestMain(m *testing.M) {
	if clocks := os.Getenv(childClocks); clocks != "" {
		os.Exit(child(clocks))
	}
	goleak.VerifyTestMain(m)
}

// group runs services until the test ends, or returns why they did not start.
func group(t *testing.T, services []lifecycle.Service) error {
	t.Helper()
	up := make(chan struct{})
	g := lifecycle.NewGroup(lifecycle.Options{Logger: evidence.Logger(t)})
	g.Add(services...)
	g.Add(lifecycle.Service{Name: "up", Start: func(context.Context) error { close(up); return nil }})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	select {
	case <-up:
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("stop: %v", err)
			}
		})
		return nil
	case err := <-ended:
		cancel()
		return err
	}
}

func broker(t *testing.T) *nats.Conn {
	t.Helper()
	server, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	conn, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func opener(o backend.Options) func(context.Context) (*backend.Backend, error) {
	return func(ctx context.Context) (*backend.Backend, error) { return backend.Open(ctx, o) }
}

func open(t *testing.T, o backend.Options) *backend.Backend {
	t.Helper()
	b, err := backend.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func api(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`"answer"`)) }))
	t.Cleanup(server.Close)
	return server.URL
}

func item(url string) []byte {
	return []byte(`{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"` + url + `"}}`)
}

// outcome publishes a message and waits for what becomes of the call "run-1".
func outcome(t *testing.T, b *backend.Backend, to string, body []byte) call.Outcome {
	t.Helper()
	feed, err := b.ConsumeResults(t.Context(), "run")
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	publisher, err := b.Publisher(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	if err := publisher.Publish(t.Context(), queue.Message{ID: "run-1", Body: body}); err != nil {
		t.Fatal(err)
	}
	for {
		events, err := feed.Receive(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			o, err := call.DecodeOutcome(e.Body)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Ack(t.Context()); err != nil {
				t.Error(err)
			}
			if o.ID == "run-1" && o.Status.Ended() {
				return o
			}
		}
	}
}

func TestARoleIsNeeded(t *testing.T) {
	t.Parallel()
	if _, err := New(nil, Options{}); err == nil || !strings.Contains(err.Error(), "a role is needed") {
		t.Errorf("error = %v", err)
	}
}

func TestRolesAreServices(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		"backend limits worker intake": {Call: true}, "backend backlog relay starter intake": {Start: true},
		"backend limits worker backlog relay starter intake": {Start: true, Call: true},
	} {
		m, err := New(nil, o)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range m.Services() {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%+v: services %s, want %s", o, got, want)
		}
		m.Caller().Close()
	}
}

func TestStarterNeedsStepFunctions(t *testing.T) {
	t.Parallel()
	m, err := New(opener(backend.Options{Embedded: broker(t)}), Options{Start: true, Call: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := group(t, m.Services()); err == nil || !strings.Contains(err.Error(), "role start needs Step Functions: set CALLFLEET_STEPFUNCTIONS") {
		t.Errorf("error = %v", err)
	}
}

// A worker without Step Functions makes the calls that come without a token.
func TestDirectCall(t *testing.T) {
	t.Parallel()
	o := backend.Options{Embedded: broker(t)}
	m, err := New(opener(o), Options{Call: true, Slots: 2, Egress: egresstest.Loopback()})
	if err != nil {
		t.Fatal(err)
	}
	if err := group(t, m.Services()); err != nil {
		t.Fatal(err)
	}
	body, err := call.EncodeTask(call.Task{ID: "run-1", Template: item(api(t)), Params: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcome(t, open(t, o), backend.Tasks, body); got.Status != call.StatusSucceeded {
		t.Errorf("ended as %s, %q, %q", got.Status, got.Error, got.Cause)
	}
}

// Two workers at their defaults on one machine: the second takes another port,
// and together they bring a request to its outcome.
func TestTwoWorkersOfOneMachine(t *testing.T) {
	t.Parallel()
	caller, err := httpcall.New(httpcall.Options{Egress: egresstest.Loopback()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(caller.Close)
	stack, services, err := local.New(t.Context(), local.Options{
		DataDir: evidence.Dir(t), BrokerListen: "127.0.0.1:0", Listen: "127.0.0.1:0",
		Renderer: template.NewRenderer(template.Options{}), Caller: caller, Logger: evidence.Logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := group(t, services); err != nil {
		t.Fatal(err)
	}
	first := freeAddress(t)
	health := map[string]bool{}
	for range 2 {
		health[work(t, stack, first)] = true
	}
	if len(health) != 2 || !health["http://"+string(first)] {
		t.Errorf("health is served at %v, want %s and another", health, first)
	}
	b := open(t, backend.Options{Queue: stack.BrokerURL(), StepFunctions: stack.URL()})
	if _, err := b.Templates.Put(t.Context(), store.Item{Key: store.Key{Name: "a", Method: "GET"}, Attributes: item(api(t))}, store.Always()); err != nil {
		t.Fatal(err)
	}
	body, err := call.EncodeRequest(call.Request{ID: "run-1", Template: "a", Method: "GET", Params: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcome(t, b, backend.Requests, body); got.Status != call.StatusSucceeded {
		t.Errorf("ended as %s, %q, %q", got.Status, got.Error, got.Cause)
	}
}

func freeAddress(t *testing.T) config.Address {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return config.Address(l.Addr().String())
}

var healthURL = regexp.MustCompile(`msg="worker is ready".* health=(\S+)`)

// work runs the worker program until the test ends, and returns where it
// serves its health.
func work(t *testing.T, stack *local.Stack, first config.Address) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	log := &watched{lines: make(chan string, 100)}
	ended := make(chan int, 1)
	go func() {
		ended <- begin(ctx, input("--queue", stack.BrokerURL(), "--stepfunctions", stack.URL(), "--listen", string(first)), log, machine{listen: first})
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("exit code %d:\n%s", code, log)
		}
	})
	for {
		select {
		case line := <-log.lines:
			if m := healthURL.FindStringSubmatch(line); m != nil {
				return m[1]
			}
		case code := <-ended:
			ended <- code
			t.Fatalf("the worker ended:\n%s", log)
		}
	}
}

func input(args ...string) config.Input {
	return config.Input{
		Args: args, Getenv: egresstest.Getenv, Stdout: new(bytes.Buffer), Version: "1.2.3",
		Schemes: config.Schemes{Queue: backend.QueueSchemes, StepFunctions: backend.StepFunctionsSchemes, Templates: backend.TemplateSchemes},
	}
}

// watched is a log that is read line by line while it is written.
type watched struct {
	lines chan string
	mu    sync.Mutex
	all   bytes.Buffer // guarded by mu
}

func (w *watched) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.lines <- string(line):
	default:
	}
	return w.all.Write(line)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for args, row := range map[string]struct {
		code int
		text string
	}{
		"--help":                        {0, ""},
		"--slots many":                  {2, `--slots (CALLFLEET_SLOTS): want a whole number, not "many"`},
		"--queue nats://127.0.0.1:1":    {1, "CALLFLEET_QUEUE where it is"},
		"--queue broken":                {2, "want a URL, scheme first"},
		"--roles rest":                  {2, "want start or call"},
		"--listen 127.0.0.1:0 --nope x": {2, "unknown flag --nope"},
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			var log watched
			words := strings.Fields(args)
			if row.code == 1 {
				words = append(words, "--listen", "127.0.0.1:0")
			}
			if code := Main(t.Context(), input(words...), &log); code != row.code || !strings.Contains(log.String(), row.text) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, row.code, row.text, log.String())
			}
		})
	}
}
