package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"callfleet/internal/awstest"
	"callfleet/internal/evidence"
	"callfleet/internal/lifecycle"
)

// keyed is an API that answers everything and counts the calls by their
// idempotency key.
type keyed struct {
	*httptest.Server
	mu    sync.Mutex
	calls map[string]int
	came  chan struct{} // one for each call
}

func newKeyed(t *testing.T) *keyed {
	t.Helper()
	k := &keyed{calls: map[string]int{}, came: make(chan struct{}, 10_000)}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.mu.Lock()
		k.calls[r.Header.Get("Idempotency-Key")]++
		k.mu.Unlock()
		k.came <- struct{}{}
		fmt.Fprint(w, `{"ok":true}`)
	}))
	t.Cleanup(k.Close)
	return k
}

// counts are the keys that came, and the calls beyond the first of each.
func (k *keyed) counts() (keys, again int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range k.calls {
		again += n - 1
	}
	return len(k.calls), again
}

// heard is a log that a test reads.
type heard struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(p)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// outage is some trouble of AWS in the middle of a run, until it is over.
type outage struct {
	name  string
	begin func(*awstest.Proxy)
	over  func(context.Context, *awstest.Proxy) error
	says  string // what the log must say of it; "" is nothing
}

// requests is over when so many more have come than before.
func requests(n int, ops ...string) func(context.Context, *awstest.Proxy) error {
	return func(ctx context.Context, p *awstest.Proxy) error { return p.Await(ctx, p.Seen(ops...)+n, ops...) }
}

// lasts is over after a while.
func lasts(d time.Duration) func(context.Context, *awstest.Proxy) error {
	return func(ctx context.Context, _ *awstest.Proxy) error { return lifecycle.Sleep(ctx, d) }
}

// queueWork is what a fleet asks SQS for all the time.
var queueWork = []string{"ReceiveMessage", "SendMessage", "SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"}

// noticed is long enough for the log to hear of it: the SDK tries for a while by
// itself.
const noticed = 25 * time.Second

// fleetQueueMissing hides the queues of the fleet, and not those of runs: a run
// whose queue is missing has nobody who waits.
func fleetQueueMissing(x *awstest.Exchange) {
	body, err := io.ReadAll(x.Request.Body)
	x.Request.Body = io.NopCloser(bytes.NewReader(body))
	if err == nil && !bytes.Contains(body, []byte("-results-")) {
		awstest.Missing(x)
		return
	}
	awstest.Pass(x)
}

// longest is the outage that a fleet has to live through without a restart.
const longest = time.Minute

var outages = []outage{
	{"throttling", func(p *awstest.Proxy) { p.Set(awstest.Throttled, queueWork...) }, lasts(noticed), "throttles"},
	{"expired credentials", func(p *awstest.Proxy) { p.Set(awstest.Expired) }, lasts(noticed), "credentials have expired"},
	{"answers 500 in bursts", func(p *awstest.Proxy) {
		for range 4 {
			p.Times(6, awstest.Status(http.StatusInternalServerError))
			p.Times(3, awstest.Pass)
		}
	}, requests(36), ""},
	{"answers lost", func(p *awstest.Proxy) { p.Times(10, awstest.Lost) }, requests(12), ""},
	{"a clock ten minutes off", func(p *awstest.Proxy) { p.Skew(10 * time.Minute) }, requests(30), ""},
	{"no queue", func(p *awstest.Proxy) { p.Set(fleetQueueMissing, queueWork...) }, lasts(5 * time.Second), "make it with"},
	{"a minute without SQS", func(p *awstest.Proxy) { p.Set(awstest.Down, queueWork...) }, lasts(longest), "can't be reached"},
}

// Nothing is lost in any trouble of SQS and DynamoDB, whoever runs the state
// machine, and nobody has to restart anything.
func TestOutagesOfAWS(t *testing.T) {
	t.Parallel()
	for name, where := range map[string]func(*testing.T, awstest.Emulator) place{"our server": onAWS, "all on AWS": onMoto} {
		for _, o := range outages {
			t.Run(name+"/"+o.name, func(t *testing.T) {
				t.Parallel()
				proxy := awstest.FaultProxy(t, awstest.Moto(t).URL)
				liveThrough(t, proxy, where(t, proxy.Emulator), o)
			})
		}
	}
}

// Trouble of Step Functions alone slows the fleet down and loses nothing.
func TestOutagesOfStepFunctions(t *testing.T) {
	t.Parallel()
	api := []string{"StartExecution", "SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat", "DescribeExecution"}
	for _, o := range []outage{
		{"throttling", func(p *awstest.Proxy) { p.Set(awstest.Throttled, api...) }, requests(10, api...), ""},
		{"expired credentials", func(p *awstest.Proxy) { p.Set(awstest.Expired, api...) }, lasts(5 * time.Second), "credentials"},
		{"down", func(p *awstest.Proxy) { p.Set(awstest.Down, api...) }, requests(10, api...), ""},
	} {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			proxy := awstest.FaultProxy(t, awstest.Moto(t).URL)
			liveThrough(t, proxy, onMoto(t, proxy.Emulator), o)
		})
	}
}

// liveThrough runs calls, has the outage when some of them are done, and counts.
func liveThrough(t *testing.T, proxy *awstest.Proxy, at place, o outage) {
	t.Helper()
	const calls = 40
	var log heard
	at.log = evidence.LoggerTo(t, slog.NewTextHandler(&log, nil))
	at.patience, at.lease = longest+2*patience, 15*time.Second
	s := startAt(t, at, nil)
	api := newKeyed(t)
	get := s.put(t, map[string]any{"name": "get", "method": "GET", "url": api.URL + "/{{ n }}"})
	var lines []line
	for n := range calls {
		lines = append(lines, line{get, map[string]any{"n": n}})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range calls / 4 {
			<-api.came
		}
		o.begin(proxy)
		if err := o.over(t.Context(), proxy); err != nil {
			t.Errorf("outage: %v", err)
		}
		proxy.Clear()
	}()
	for _, r := range s.run(t, workflow, lines...) {
		wantOK(t, r)
	}
	<-done
	keys, again := api.counts()
	if keys != calls {
		t.Errorf("%d of %d calls were made", keys, calls)
	}
	t.Logf("%d calls, %d of them made again", calls, again)
	if !strings.Contains(log.String(), o.says) {
		t.Errorf("the log does not say %q:\n%s", o.says, log.String())
	}
}

// A call that is too large for a message, or for an execution, fails alone and
// says why; what is large and fits is made.
func TestLargeCallsOverSQS(t *testing.T) {
	t.Parallel()
	s := startAt(t, onAWS(t, awstest.Moto(t)), nil)
	api := newKeyed(t)
	post := s.put(t, map[string]any{"name": "post", "method": "POST", "url": api.URL + "/", "payload": map[string]any{"text": "{{ text }}"}})
	sized := func(bytes int) line { return line{post, map[string]any{"text": strings.Repeat("x", bytes)}} }
	for mode, row := range map[string]struct {
		fits, above int
		says        string
	}{
		workflow: {200 << 10, 300 << 10, "bytes, an execution takes 262144"},
		direct:   {900 << 10, 1200 << 10, "bytes, at most 1048576 are allowed"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			got := s.run(t, mode, sized(10), sized(row.above), sized(row.fits))
			wantOK(t, got[0])
			wantOK(t, got[2])
			if r := got[1]; r.Status != "FAILED" || r.Error != "Callfleet.BadInput" || !strings.Contains(r.Cause, row.says) {
				t.Errorf("status %s, error %s: %s; want FAILED Callfleet.BadInput that says %q", r.Status, r.Error, r.Cause, row.says)
			}
		})
	}
}
