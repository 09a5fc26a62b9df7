package relay_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"callfleet/internal/call"
	"callfleet/internal/evidence"
	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
	"callfleet/internal/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type bundle struct {
	broker *natsqueue.Broker
	events *natsqueue.Consumer
	put    *natsqueue.Publisher
	feed   *natsqueue.FeedPublisher
	opts   relay.Options
}

func setup(t testing.TB, o natsqueue.ConsumerOptions) *bundle {
	t.Helper()
	server, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(t)})
	must(t, err)
	t.Cleanup(server.Shutdown)
	nc, err := server.Connect()
	must(t, err)
	t.Cleanup(nc.Close)
	b := &bundle{opts: relay.Options{Logger: evidence.Logger(t)}}
	b.broker, err = natsqueue.New(t.Context(), nc, natsqueue.Options{})
	must(t, err)
	b.events, err = b.broker.Consumer(t.Context(), "events", o)
	must(t, err)
	t.Cleanup(func() { b.events.Close() })
	b.put, err = b.broker.Publisher(t.Context(), "events")
	must(t, err)
	b.feed, err = b.broker.FeedPublisher(t.Context(), "results")
	must(t, err)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// event is one as EventBridge writes it.
func event(name string, status call.Status) string {
	stop := "null"
	if status.Ended() {
		stop = "1790000001000"
	}
	return fmt.Sprintf(`{"version":"0","id":"315c1398-40ff-a850-213b-158f73e60175","detail-type":"Step Functions Execution Status Change",
		"source":"aws.states","account":"123456789012","time":"2026-09-21T14:13:21Z","region":"us-east-1",
		"resources":["arn:aws:states:us-east-1:123456789012:execution:call-api:%[1]s"],
		"detail":{"executionArn":"arn:aws:states:us-east-1:123456789012:execution:call-api:%[1]s",
		"stateMachineArn":"arn:aws:states:us-east-1:123456789012:stateMachine:call-api","name":"%[1]s","status":"%[2]s",
		"startDate":1790000000000,"stopDate":%[3]s,"input":"{}","output":null}}`, name, status, stop)
}

func (b *bundle) send(t testing.TB, bodies ...string) {
	t.Helper()
	msgs := make([]queue.Message, len(bodies))
	for i, body := range bodies {
		msgs[i].Body = []byte(body)
	}
	must(t, b.put.Publish(t.Context(), msgs...))
}

func (b *bundle) follow(t testing.TB, run string) *natsqueue.Feed {
	t.Helper()
	f, err := b.broker.FeedConsumer(t.Context(), "results", run)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// receive takes the events of a run until each of the names is there, and
// returns how often each came.
func receive(t testing.TB, f queue.Consumer, names int) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	got := map[string]int{}
	for len(got) < names {
		ds, err := f.Receive(ctx, 100)
		if err != nil {
			t.Fatalf("got %d of %d events: %v", len(got), names, err)
		}
		for _, d := range ds {
			o, err := call.DecodeOutcome(d.Body)
			must(t, err)
			got[o.ID+" "+string(o.Status)]++
			must(t, d.Ack(ctx))
		}
	}
	return got
}

// run starts a relay; stop ends it and returns its error.
func (b *bundle) run(t testing.TB, events queue.Consumer, feed queue.Publisher) (r *relay.Relay, stop func() error) {
	t.Helper()
	r, err := relay.New(events, feed, b.opts)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = stop() })
	return r, stop
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (b *bundle) deadLetters(t *testing.T) []*queue.Delivery {
	t.Helper()
	dead, err := b.broker.Consumer(t.Context(), "events-dlq", natsqueue.ConsumerOptions{})
	must(t, err)
	defer dead.Close()
	n, err := dead.Depth(t.Context())
	must(t, err)
	if n == 0 {
		return nil
	}
	ds, err := dead.Receive(t.Context(), 100)
	must(t, err)
	return ds
}

// Each run gets its own events, running or ended, and those of runs that nobody
// follows vanish.
func TestEachRunGetsItsEvents(t *testing.T) {
	t.Parallel()
	b := setup(t, natsqueue.ConsumerOptions{})
	one, two := b.follow(t, "one"), b.follow(t, "two")
	b.send(t, event("one-1", call.StatusRunning), event("one-1", call.StatusSucceeded), event("two-1", call.StatusFailed),
		event("one-2", call.StatusTimedOut), event("three-1", call.StatusSucceeded), event("byhand", call.StatusAborted))
	r, stop := b.run(t, b.events, b.feed)
	if got := receive(t, one, 3); got["one-1 RUNNING"] != 1 || got["one-1 SUCCEEDED"] != 1 || got["one-2 TIMED_OUT"] != 1 {
		t.Errorf("one got %v", got)
	}
	if got := receive(t, two, 1); got["two-1 FAILED"] != 1 {
		t.Errorf("two got %v", got)
	}
	eventually(t, "the counts", func() bool { return r.Stats() == relay.Stats{Relayed: 6} })
	must(t, stop())
	if n, err := b.events.Depth(t.Context()); n != 0 || err != nil {
		t.Errorf("%d events are left (%v)", n, err)
	}
}

// An event that EventBridge delivers twice is told apart from another of the
// same execution.
func TestCopiesHaveOneID(t *testing.T) {
	t.Parallel()
	b := setup(t, natsqueue.ConsumerOptions{})
	feed := &spy{Publisher: b.feed}
	b.send(t, event("one-1", call.StatusRunning), event("one-1", call.StatusSucceeded), event("one-1", call.StatusSucceeded), event("one-2", call.StatusSucceeded))
	r, _ := b.run(t, b.events, feed)
	eventually(t, "the counts", func() bool { return r.Stats().Relayed == 4 })
	ids := map[string]int{}
	for _, m := range feed.messages() {
		ids[m.ID]++
		if m.Group == "" || !strings.HasPrefix(m.ID, m.Group+".") {
			t.Errorf("got id %q in group %q", m.ID, m.Group)
		}
	}
	if len(ids) != 3 {
		t.Errorf("got ids %v, want 3 for 3 events", ids)
	}
}

func TestRejectsWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	b := setup(t, natsqueue.ConsumerOptions{})
	one := b.follow(t, "one")
	b.send(t, "no json", `{"detail-type":"EC2 Instance State-change Notification","detail":{}}`, event("one-1", call.StatusSucceeded), `{}`)
	r, _ := b.run(t, b.events, b.feed)
	receive(t, one, 1)
	eventually(t, "the counts", func() bool { return r.Stats() == relay.Stats{Relayed: 1, Rejected: 3} })
	dead := b.deadLetters(t)
	if len(dead) != 3 {
		t.Errorf("%d dead letters, want 3", len(dead))
	}
	for _, d := range dead {
		if d.Headers[queue.DeadLetterReason] == "" {
			t.Errorf("%s has no reason", d.Body)
		}
	}
}

// An execution that somebody started by hand is no fault that should ring.
func TestDropsWhatIsOfNoProducer(t *testing.T) {
	t.Parallel()
	b := setup(t, natsqueue.ConsumerOptions{})
	one := b.follow(t, "one")
	b.send(t, event("started by hand", call.StatusSucceeded), event("one-1", call.StatusSucceeded))
	r, _ := b.run(t, b.events, b.feed)
	receive(t, one, 1)
	eventually(t, "the counts", func() bool { return r.Stats() == relay.Stats{Relayed: 1, Foreign: 1} })
	if dead := b.deadLetters(t); len(dead) != 0 {
		t.Errorf("%d dead letters, want none", len(dead))
	}
}

// spy is a feed that fails as it is told to, and remembers.
type spy struct {
	queue.Publisher
	fails atomic.Pointer[error]
	large int // bytes from which a message is too large, although Limits says no

	mu   sync.Mutex
	msgs []queue.Message // guarded by mu
}

func (s *spy) fail(err error) { s.fails.Store(&err) }
func (s *spy) recover()       { s.fails.Store(nil) }

func (s *spy) Publish(ctx context.Context, msgs ...queue.Message) error {
	if err := s.fails.Load(); err != nil {
		return *err
	}
	for _, m := range msgs {
		if s.large > 0 && len(m.Body) >= s.large {
			return fmt.Errorf("publish: %w", queue.ErrTooLarge)
		}
	}
	s.mu.Lock()
	s.msgs = append(s.msgs, msgs...)
	s.mu.Unlock()
	return s.Publisher.Publish(ctx, msgs...)
}

func (s *spy) messages() []queue.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.msgs
}

func TestOneTooLargeEventIsRejectedAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, natsqueue.ConsumerOptions{})
	one := b.follow(t, "one")
	large := strings.Replace(event("one-2", call.StatusSucceeded), `"{}"`, `"`+strings.Repeat("1", 5000)+`"`, 1)
	b.send(t, event("one-1", call.StatusSucceeded), large, event("one-3", call.StatusSucceeded))
	r, _ := b.run(t, b.events, &spy{Publisher: b.feed, large: 5000})
	if got := receive(t, one, 2); got["one-1 SUCCEEDED"] != 1 || got["one-3 SUCCEEDED"] != 1 {
		t.Errorf("got %v", got)
	}
	eventually(t, "the counts", func() bool { return r.Stats().Rejected == 1 && r.Stats().Relayed == 2 })
}

// A feed that is away for many leases costs no event and no delivery.
func TestOutageOfTheFeedLosesNothing(t *testing.T) {
	t.Parallel()
	const lease = 800 * time.Millisecond
	b := setup(t, natsqueue.ConsumerOptions{Lease: lease, MaxDeliver: 2})
	one := b.follow(t, "one")
	b.opts.Batches, b.opts.Batch = 2, 10
	feed := &spy{Publisher: b.feed}
	feed.fail(errors.New("the broker is away"))
	const n = 50 // more than are held at once
	for i := range n {
		b.send(t, event(fmt.Sprint("one-", i), call.StatusSucceeded))
	}
	r, _ := b.run(t, b.events, feed)
	began := time.Now()
	eventually(t, "three leases to pass", func() bool { return time.Since(began) > 3*lease })
	feed.recover()
	receive(t, one, n)
	eventually(t, "the counts", func() bool { return r.Stats().Relayed >= n && r.Stats().Errors > 0 && r.Stats().Rejected == 0 })
	if dead := b.deadLetters(t); len(dead) != 0 {
		t.Errorf("%d dead letters, want none", len(dead))
	}
}

// dying is a queue whose receiver is killed: from then on nothing that it says
// reaches the broker.
type dying struct {
	queue.Consumer
	lives atomic.Int64 // settlements until then
	feed  *spy         // which it publishes on no more
}

func (d *dying) Receive(ctx context.Context, n int) ([]*queue.Delivery, error) {
	ds, err := d.Consumer.Receive(ctx, n)
	for _, x := range ds {
		x.Settler = &deadHand{x.Settler, d}
	}
	return ds, err
}

type deadHand struct {
	queue.Settler
	of *dying
}

var errKilled = errors.New("killed")

func (h *deadHand) Ack(ctx context.Context) error {
	if h.of.lives.Add(-1) < 0 {
		h.of.feed.fail(errKilled)
		return errKilled
	}
	return h.Settler.Ack(ctx)
}
func (h *deadHand) Extend(context.Context) error               { return errKilled }
func (h *deadHand) Retry(context.Context, time.Duration) error { return errKilled }

// A relay that is killed while it works leaves every event to the next one.
func TestKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	b := setup(t, natsqueue.ConsumerOptions{Lease: time.Second})
	one := b.follow(t, "one")
	const n = 600
	bodies := make([]string, n)
	for i := range bodies {
		bodies[i] = event(fmt.Sprint("one-", i), call.StatusSucceeded)
	}
	b.send(t, bodies...)
	b.opts.Batches, b.opts.Batch = 4, 50
	first := &dying{Consumer: b.events, feed: &spy{Publisher: b.feed}}
	first.lives.Store(170)
	b.opts.DrainTimeout = 10 * time.Millisecond
	_, stop := b.run(t, first, first.feed)
	eventually(t, "the kill", func() bool { return first.lives.Load() < 0 })
	must(t, stop())
	r, _ := b.run(t, b.events, b.feed)
	receive(t, one, n)
	eventually(t, "what was not acked to come again", func() bool { return r.Stats().Relayed >= n-170 })
	if dead := b.deadLetters(t); len(dead) != 0 {
		t.Errorf("%d dead letters, want none", len(dead))
	}
}

// Who is told to stop while the feed is away hands the events back, and soon.
func TestStopHandsBack(t *testing.T) {
	t.Parallel()
	const lease = time.Minute
	b := setup(t, natsqueue.ConsumerOptions{Lease: lease})
	one := b.follow(t, "one")
	b.opts.DrainTimeout = 10 * time.Millisecond
	feed := &spy{Publisher: b.feed}
	feed.fail(errors.New("the broker is away"))
	b.send(t, event("one-1", call.StatusSucceeded), event("one-2", call.StatusSucceeded))
	r, stop := b.run(t, b.events, feed)
	eventually(t, "an error", func() bool { return r.Stats().Errors >= 2 })
	began := time.Now()
	must(t, stop())
	feed.recover()
	b.run(t, b.events, feed)
	receive(t, one, 2)
	if d := time.Since(began); d > lease/4 {
		t.Errorf("they came again after %s", d)
	}
}

func TestEndsWhenClosed(t *testing.T) {
	t.Parallel()
	t.Run("queue", func(t *testing.T) {
		t.Parallel()
		b := setup(t, natsqueue.ConsumerOptions{})
		r, err := relay.New(b.events, b.feed, b.opts)
		must(t, err)
		done := make(chan error, 1)
		go func() { done <- r.Run(t.Context()) }()
		must(t, b.events.Close())
		if err := <-done; !errors.Is(err, queue.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
	t.Run("feed", func(t *testing.T) {
		t.Parallel()
		b := setup(t, natsqueue.ConsumerOptions{})
		one := b.follow(t, "one")
		feed := &spy{Publisher: b.feed}
		feed.fail(queue.ErrClosed)
		b.send(t, event("one-1", call.StatusSucceeded))
		r, err := relay.New(b.events, feed, b.opts)
		must(t, err)
		if err := r.Run(t.Context()); !errors.Is(err, queue.ErrClosed) || !strings.Contains(err.Error(), "publish events") {
			t.Errorf("got %v, want ErrClosed of the feed", err)
		}
		b.run(t, b.events, b.feed)
		receive(t, one, 1) // it was handed back
	})
}

func TestNewRefusesBadOptions(t *testing.T) {
	t.Parallel()
	b := setup(t, natsqueue.ConsumerOptions{})
	if _, err := relay.New(nil, b.feed, b.opts); err == nil {
		t.Error("no queue: got nil")
	}
	if _, err := relay.New(b.events, b.feed, relay.Options{Batch: -1}); err == nil {
		t.Error("a negative batch: got nil")
	}
}

// BenchmarkRelay is one event through the relay, from queue to feed.
func BenchmarkRelay(b *testing.B) {
	x := setup(b, natsqueue.ConsumerOptions{})
	x.follow(b, "one")
	bodies := make([]string, 0, 500)
	for i := 0; i < b.N; i += len(bodies) {
		bodies = bodies[:0]
		for j := i; j < min(i+500, b.N); j++ {
			bodies = append(bodies, event(fmt.Sprint("one-", j), call.StatusSucceeded))
		}
		x.send(b, bodies...)
	}
	b.ResetTimer()
	r, _ := x.run(b, x.events, x.feed)
	eventually(b, "all events", func() bool { return r.Stats().Relayed >= uint64(b.N) })
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
