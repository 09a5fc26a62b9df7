package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/fleet"
	"callfleet/internal/app/local"
	"callfleet/internal/auth"
	"callfleet/internal/batch"
	"callfleet/internal/claim"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/lifecycle"
	"callfleet/internal/natsembed"
	"callfleet/internal/producer"
	"callfleet/internal/producer/journal"
	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
	"callfleet/internal/template/store"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(workerSpec); spec != "" {
		os.Exit(workerProcess(spec))
	}
	goleak.VerifyTestMain(m)
}

// The ways of a call: through an execution, straight to a worker, and through an
// execution that it shares with up to perBatch others.
const (
	workflow = "workflow"
	direct   = "direct"
	batched  = "batched"

	perBatch = 100
)

var modes = []string{workflow, direct}

// patience bounds every wait of a test: a test that gets there has failed.
const patience = time.Minute

// stack is the product: a broker, a Step Functions server, a fleet member that
// starts and calls, and what a producer opens.
type stack struct {
	place
	broker   *natsembed.Server // of the event log, and of the queues that are not on SQS
	tracers  func(service string) trace.TracerProvider
	producer *backend.Backend
	steps    *local.Stack
	stops    struct{ steps, fleet func() }
	dead     graveyard

	historiesKept bool
}

// place is where queues, templates and executions are, and who hears of it; the
// zero place is the stack's own broker and server.
type place struct {
	queue, templates string
	aws              *aws.Config
	machine, batches string // of AWS's Step Functions; "" is our server
	log              *slog.Logger
	patience         time.Duration // for a run
	lease            time.Duration // of a task
	auth             *auth.Authority
	blobs            string // "" is the queue's broker's, or none on SQS
	blobLimit        int
	heartbeat        time.Duration // the longest time between two
	elsewhere        bool          // calls are made by other processes
}

// start starts everything; it stops with the test. tracers may be nil, which makes
// spans that are kept as evidence.
func start(t *testing.T, tracers func(service string) trace.TracerProvider) *stack {
	t.Helper()
	return startAt(t, place{}, tracers)
}

func startAt(t *testing.T, at place, tracers func(service string) trace.TracerProvider) *stack {
	t.Helper()
	if tracers == nil {
		tracers = func(string) trace.TracerProvider { return evidence.Tracers(t) }
	}
	s := &stack{place: at, tracers: tracers}
	var err error
	s.broker, err = natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(t), Listen: "127.0.0.1:0", Logger: evidence.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.broker.Shutdown)
	if s.queue == "" {
		s.queue = s.broker.URL()
	}
	s.log, s.patience = cmp.Or(s.log, evidence.Logger(t)), cmp.Or(s.patience, patience)
	if s.machine == "" {
		s.startSteps(t, "127.0.0.1:0")
	}
	s.startFleet(t)
	if s.producer, err = s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.producer.Close)
	t.Cleanup(func() { s.keepHistories(t) })
	return s
}

// open is what cmd/worker and cmd/producer do when servers run.
func (s *stack) open(ctx context.Context) (*backend.Backend, error) {
	o := backend.Options{Queue: s.queue, Templates: s.templates, AWS: s.aws, Blobs: s.blobs, Lease: s.lease, Name: "e2e", Logger: s.log}
	if s.machine == "" {
		o.StepFunctions = s.steps.URL()
	} else {
		o.StepFunctions, o.StateMachine, o.BatchMachine = "aws:", s.machine, s.batches
	}
	return backend.Open(ctx, o)
}

func (s *stack) startSteps(t *testing.T, listen string) {
	t.Helper()
	tracers := s.tracers("stepfunctions")
	caller, err := httpcall.New(httpcall.Options{Egress: egresstest.Loopback(), TracerProvider: tracers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(caller.Close)
	steps, services, err := local.New(t.Context(), local.Options{
		Queue: s.queue, EventLog: s.broker.URL(), Templates: s.templates, AWS: s.aws, Listen: listen, Renderer: template.NewRenderer(template.Options{}), Caller: caller,
		Logger: evidence.Logger(t), Tracers: tracers,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.steps, s.stops.steps = steps, run(t, services)
}

// restartSteps ends the Step Functions server and starts another in its place.
func (s *stack) restartSteps(t *testing.T) {
	t.Helper()
	at, err := url.Parse(s.steps.URL())
	if err != nil {
		t.Fatal(err)
	}
	s.stops.steps()
	s.startSteps(t, at.Host)
}

func (s *stack) startFleet(t *testing.T) {
	t.Helper()
	member, err := fleet.New(s.open, fleet.Options{
		Start: true, Call: !s.elsewhere, Slots: 32, Egress: egresstest.Loopback(), Drain: time.Second, BlobLimit: s.blobLimit,
		HeartbeatEvery: s.heartbeat, Auth: s.auth, Logger: s.log, Tracers: s.tracers("worker"),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.stops.fleet = run(t, member.Services())
}

// run starts services and returns what stops them, at the latest when the test
// ends.
func run(t *testing.T, services []lifecycle.Service) (stop func()) {
	t.Helper()
	ready, ended := make(chan struct{}), make(chan error, 1)
	group := lifecycle.NewGroup(lifecycle.Options{Drain: 10 * time.Second, Logger: evidence.Logger(t)})
	group.Add(services...)
	group.Add(lifecycle.Service{Name: "ready", Start: func(context.Context) error { close(ready); return nil }})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() { ended <- group.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(stop)
	return stop
}

// put stores a template written as plain JSON.
func (s *stack) put(t *testing.T, attributes map[string]any) store.Key {
	t.Helper()
	plain, err := json.Marshal(attributes)
	if err != nil {
		t.Fatal(err)
	}
	item, err := itemjson.FromPlain(plain)
	if err != nil {
		t.Fatal(err)
	}
	return s.putItem(t, attributes["name"].(string), attributes["method"].(string), item)
}

func (s *stack) putItem(t *testing.T, name, method string, item json.RawMessage) store.Key {
	t.Helper()
	key := store.Key{Name: name, Method: method}
	if _, err := s.producer.Templates.Put(t.Context(), store.Item{Key: key, Attributes: item}, store.Always()); err != nil {
		t.Fatal(err)
	}
	return key
}

// line is one line of a call file.
type line struct {
	template store.Key
	params   any
}

// due are params of a request with a deadline.
type due struct {
	params any
	at     time.Time
}

// run runs a call file, and returns the result of each line. Every line must
// have exactly one.
func (s *stack) run(t *testing.T, mode string, lines ...line) []journal.Result {
	t.Helper()
	return s.runAs(t, "", mode, lines...)
}

// runAs is run with the id of the run given, "" for a new one.
func (s *stack) runAs(t *testing.T, id, mode string, lines ...line) []journal.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), s.patience)
	defer cancel()
	dir := evidence.Dir(t)
	var calls bytes.Buffer
	for _, l := range lines {
		request := map[string]any{"templateName": l.template.Name, "method": l.template.Method, "params": l.params}
		if d, ok := l.params.(due); ok {
			request["params"], request["deadline"] = d.params, d.at
		}
		text, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		calls.Write(append(text, '\n'))
	}
	file, results := filepath.Join(dir, "calls.jsonl"), filepath.Join(dir, "results.jsonl")
	if err := os.WriteFile(file, calls.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	deps := producer.Deps{Encoder: producer.Workflow{}, Feed: s.producer.ConsumeResults}
	if mode == direct {
		deps.Encoder = producer.NewDirect(s.producer.Templates)
	}
	if s.producer.Blobs != nil {
		claims := claim.New(claim.Options{})
		claims.Bind(s.producer.Blobs)
		deps.Claims = claims
	}
	share := 0
	if mode == batched {
		deps.Batches, share = batch.New(s.producer.Blobs), perBatch
	}
	var err error
	if deps.Queue, err = s.producer.Publisher(ctx, deps.Encoder.Destination()); err != nil {
		t.Fatal(err)
	}
	p, err := producer.New(deps, producer.Options{
		File: file, Run: id, Root: filepath.Join(dir, "runs"), Results: results, PerExecution: share, MaxLine: 16 << 20, Log: evidence.Logger(t), System: s.producer.System, Tracers: s.tracers("producer"),
	})
	if err != nil {
		t.Fatal(err)
	}
	summary, err := p.Run(ctx)
	if err != nil || summary.Open != 0 || summary.Interrupted {
		t.Fatalf("run of %d calls: %d without an outcome, error %v", len(lines), summary.Open, err)
	}
	return readResults(t, results, len(lines))
}

// readResults returns the results of lines 1 to n, of which there must be one
// each.
func readResults(t *testing.T, file string, n int) []journal.Result {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var results []journal.Result
	for l := range bytes.Lines(text) {
		var r journal.Result
		if err := json.Unmarshal(l, &r); err != nil {
			t.Fatalf("results: %v", err)
		}
		results = append(results, r)
		evidence.Write(t, evidence.Result, string(l))
	}
	slices.SortFunc(results, func(a, b journal.Result) int { return int(a.Line - b.Line) })
	for i, r := range results {
		if r.Line != int64(i+1) {
			t.Fatalf("result %d of %d is of line %d: lines 1 to %d must have one each", i+1, len(results), r.Line, n)
		}
	}
	if len(results) != n {
		t.Fatalf("%d results for %d lines", len(results), n)
	}
	return results
}

// wantNothingLeft checks, when the test and its subtests have ended, that every
// execution has ended and that no message is left on any of the queues.
func (s *stack) wantNothingLeft(t *testing.T, queues ...string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		for e, err := range s.producer.Executions.List(ctx, "RUNNING") {
			if err != nil {
				t.Fatalf("list executions: %v", err)
			}
			t.Errorf("execution %s is still open", e.Name)
		}
		for _, name := range queues {
			c, err := s.producer.Consumer(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := c.Depth(ctx); err != nil || n != 0 {
				t.Errorf("%d messages are left on %s (%v)", n, name, err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// everyQueue is all that must be empty when no message was unreadable.
var everyQueue = []string{backend.Requests, backend.Tasks, backend.Requests + "-dlq", backend.Tasks + "-dlq"}

// wantFailed checks a failure's name and what its cause must say.
func wantFailed(t *testing.T, got journal.Result, name string, says ...string) {
	t.Helper()
	if got.Status != "FAILED" || got.Error != name {
		t.Errorf("status %s, error %q (%s), want FAILED, %q", got.Status, got.Error, got.Cause, name)
	}
	for _, text := range says {
		if !strings.Contains(got.Cause, text) {
			t.Errorf("cause %q does not say %q", got.Cause, text)
		}
	}
	if strings.ContainsAny(got.Cause, "\r\n\x00") || len(got.Cause) > 2000 {
		t.Errorf("cause of %d bytes is no short line: %.200q", len(got.Cause), got.Cause)
	}
}

func wantOK(t *testing.T, got journal.Result) {
	t.Helper()
	if got.Status != "SUCCEEDED" || got.StatusCode != 200 {
		t.Errorf("status %s %d, error %q: %s; want SUCCEEDED 200", got.Status, got.StatusCode, got.Error, got.Cause)
	}
}

// receive waits for a value, or for ch to be closed.
func receive[T any](t *testing.T, ch <-chan T) (v T) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case v = <-ch:
	case <-limit.C:
		t.Fatal("waited in vain")
	}
	return v
}
