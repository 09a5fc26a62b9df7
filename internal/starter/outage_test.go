package starter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"callfleet/internal/evidence"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
	"callfleet/internal/stepfn"
	"callfleet/internal/stepfn/stepfntest"
)

const lease = 1500 * time.Millisecond

// setupOutage is setup with a queue that gives up on a message soon, and a
// starter that logs.
func setupOutage(t *testing.T, maxDeliver int) (*bundle, *journal) {
	t.Helper()
	b := setup(t, lease)
	must(t, b.requests.Close())
	var err error
	b.requests, err = b.broker.Consumer(t.Context(), "requests", natsqueue.ConsumerOptions{Lease: lease, MaxDeliver: maxDeliver})
	must(t, err)
	t.Cleanup(func() { b.requests.Close() })
	log := &journal{}
	b.opts.Logger = evidence.LoggerTo(t, slog.NewJSONHandler(log, nil))
	return b, log
}

// journal keeps log lines.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

// messages counts the lines of one message.
func (j *journal) messages(t *testing.T, msg string) (n int) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range bytes.Lines(j.text.Bytes()) {
		var entry struct{ Msg string }
		must(t, json.Unmarshal(line, &entry))
		if entry.Msg == msg {
			n++
		}
	}
	return n
}

const cannotStart = "executions cannot be started: keeping their requests, and trying again until they can"

// deadLetters is how many messages were given up.
func (b *bundle) deadLetters(t *testing.T) int {
	t.Helper()
	dead, err := b.broker.Consumer(t.Context(), "requests-dlq", natsqueue.ConsumerOptions{})
	must(t, err)
	defer dead.Close()
	n, err := dead.Depth(t.Context())
	must(t, err)
	return n
}

// However Step Functions is away, and however long: every request is started
// in the end, none goes to the dead-letter queue, few requests are sent, and
// there is one line in the log.
func TestOutageLosesNothing(t *testing.T) {
	t.Parallel()
	for code, status := range map[string]int{
		"InternalFailure":           http.StatusInternalServerError,
		"ServiceUnavailable":        http.StatusServiceUnavailable,
		"ThrottlingException":       http.StatusBadRequest,
		"ExecutionLimitExceeded":    http.StatusBadRequest,
		"ExpiredTokenException":     http.StatusBadRequest,
		"AccessDeniedException":     http.StatusBadRequest,
		"InvalidSignatureException": http.StatusBadRequest,
		"StateMachineDoesNotExist":  http.StatusBadRequest,
		"InvalidArn":                http.StatusBadRequest,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			b, log := setupOutage(t, 2)
			b.opts.Concurrency = 8
			b.sfn.Fail("StartExecution", code, status, 1_000_000)
			const requests = 20 // more than are taken in at once
			for n := range requests {
				b.send(t, request(n))
			}
			began := time.Now()
			s, _ := b.run(t)
			eventually(t, "three leases to pass", func() bool { return time.Since(began) > 3*lease })
			// A request is tried after pauses of at least 0.1, 0.2, 0.4, 0.8 and 1.6 s.
			if n := b.sfn.Calls("StartExecution"); n > 8*8 { // eight requests are in hand
				t.Errorf("%d tries for 8 requests in %s", n, time.Since(began))
			}
			b.sfn.Recover("StartExecution")
			b.waitFor(t, requests)
			eventually(t, "all to be settled", func() bool { return s.Stats().Started == requests })
			if got := s.Stats(); got.Rejected != 0 || b.deadLetters(t) != 0 {
				t.Errorf("got %+v and %d dead letters, want none", got, b.deadLetters(t))
			}
			throttled := code == "ThrottlingException" || code == "ExecutionLimitExceeded"
			if n := log.messages(t, cannotStart); throttled != (n == 0) || n > 1 {
				t.Errorf("%d lines in the log", n)
			}
		})
	}
}

// Starters that are replaced again and again during an outage do not use up
// the deliveries of what they hand to each other.
func TestRestartsDuringOutageLoseNothing(t *testing.T) {
	t.Parallel()
	const restarts, maxDeliver = 12, 10
	b, _ := setupOutage(t, maxDeliver)
	b.opts.DrainTimeout = time.Millisecond
	b.sfn.Fail("StartExecution", "InternalFailure", http.StatusInternalServerError, 1_000_000)
	for n := range 3 {
		b.send(t, request(n))
	}
	for range restarts {
		tried := b.sfn.Calls("StartExecution")
		_, stop := b.run(t)
		life := time.Now()
		eventually(t, "a try, or the time of one", func() bool {
			return b.sfn.Calls("StartExecution") > tried || time.Since(life) > lease/4
		})
		stop()
	}
	b.sfn.Recover("StartExecution")
	b.run(t)
	b.waitFor(t, 3)
	if n := b.deadLetters(t); n != 0 {
		t.Errorf("%d dead letters, want none", n)
	}
}

// A network that has gone is an outage like any other.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	b, log := setupOutage(t, 2)
	down := &switched{next: http.DefaultTransport}
	var err error
	b.client, err = stepfn.New(stepfn.Options{Endpoint: b.sfn.URL, StateMachine: stepfntest.Machine, MaxAttempts: 1, Transport: down})
	must(t, err)
	t.Cleanup(b.client.Close)
	down.set(true)
	b.send(t, request(1))
	began := time.Now()
	s, _ := b.run(t)
	eventually(t, "three leases to pass", func() bool { return time.Since(began) > 3*lease })
	if got := s.Stats(); got.Started != 0 || got.Errors == 0 {
		t.Errorf("got %+v without a network", got)
	}
	down.set(false)
	b.waitFor(t, 1)
	if n := b.deadLetters(t); n != 0 || log.messages(t, cannotStart) != 1 {
		t.Errorf("%d dead letters, %d lines in the log", n, log.messages(t, cannotStart))
	}
}

// switched is a network that can be down.
type switched struct {
	next http.RoundTripper
	mu   sync.Mutex
	down bool // guarded by mu
}

func (s *switched) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *switched) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if down {
		return nil, &netError{}
	}
	return s.next.RoundTrip(r)
}

type netError struct{}

func (*netError) Error() string { return "connection refused" }

// flaky is a delivery whose lease can't be extended for a while.
type flaky struct {
	queue.Settler
	mu    sync.Mutex
	fails int // guarded by mu: extensions that fail yet
}

func (f *flaky) Extend(ctx context.Context) error {
	f.mu.Lock()
	f.fails--
	fails := f.fails >= 0
	f.mu.Unlock()
	if fails {
		return &netError{}
	}
	return f.Settler.Extend(ctx)
}

// flakyQueue is a broker that fails to extend each lease a few times.
type flakyQueue struct {
	queue.Consumer
	fails int
}

func (q flakyQueue) Receive(ctx context.Context, n int) ([]*queue.Delivery, error) {
	ds, err := q.Consumer.Receive(ctx, n)
	for _, d := range ds {
		d.Settler = &flaky{Settler: d.Settler, fails: q.fails}
	}
	return ds, err
}

// A lease whose extension fails is extended in time all the same.
func TestLeaseSurvivesFailedExtensions(t *testing.T) {
	t.Parallel()
	b, _ := setupOutage(t, 1) // a lost lease would be the end of it
	b.sfn.Fail("StartExecution", "InternalFailure", http.StatusInternalServerError, 1_000_000)
	b.send(t, request(1))
	began := time.Now()
	b.runOn(t, flakyQueue{b.requests, 3})
	eventually(t, "three leases to pass", func() bool { return time.Since(began) > 3*lease })
	b.sfn.Recover("StartExecution")
	b.waitFor(t, 1)
	if n := b.deadLetters(t); n != 0 {
		t.Errorf("%d dead letters, want none", n)
	}
}
