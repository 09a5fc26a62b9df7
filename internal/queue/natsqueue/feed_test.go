package natsqueue_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
)

func receiveOne(t *testing.T, c queue.Consumer) *queue.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ds, err := c.Receive(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	return ds[0]
}

func TestFeedGoesToItsRun(t *testing.T) {
	t.Parallel()
	srv := startBroker(t, natsembed.Options{})
	b := openBroker(t, srv)
	p, err := b.FeedPublisher(t.Context(), "results")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(t.Context(), queue.Message{ID: "early", Group: "run0-1"}); err != nil {
		t.Fatalf("publish for a run that nobody follows: %v", err)
	}
	one, err := b.FeedConsumer(t.Context(), "results", "run1")
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	two, err := b.FeedConsumer(t.Context(), "results", "run2")
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	err = p.Publish(t.Context(),
		queue.Message{ID: "a", Group: "run1-1", Body: []byte("one")},
		queue.Message{ID: "b", Group: "run2-1", Body: []byte("two")},
		queue.Message{ID: "c", Group: "somebody else's.name *>"},
		queue.Message{ID: "d"})
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]*natsqueue.Feed{"a": one, "b": two} {
		d := receiveOne(t, c)
		if d.ID != want {
			t.Errorf("received %q: want %q", d.ID, want)
		}
		if err := d.Ack(t.Context()); err != nil {
			t.Error(err)
		}
		if n, err := c.Depth(t.Context()); err != nil || n != 0 {
			t.Errorf("depth %d, %v: want 0", n, err)
		}
	}
	if err := p.Publish(t.Context(), queue.Message{Delay: time.Second}); !errors.Is(err, queue.ErrTooLarge) {
		t.Errorf("delay on a feed: %v: want ErrTooLarge", err)
	}
}

// An ended feed leaves nothing on the server, and what comes for its run later
// vanishes.
func TestFeedEnds(t *testing.T) {
	t.Parallel()
	srv := startBroker(t, natsembed.Options{})
	b := openBroker(t, srv)
	p, err := b.FeedPublisher(t.Context(), "results")
	if err != nil {
		t.Fatal(err)
	}
	feed, err := b.FeedConsumer(t.Context(), "results", "run1")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(t.Context(), queue.Message{ID: "a", Group: "run1-1"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := feed.End(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	late, err := openBroker(t, srv).FeedPublisher(t.Context(), "results")
	if err != nil {
		t.Fatal(err)
	}
	if err := late.Publish(t.Context(), queue.Message{ID: "late", Group: "run1-3"}); err != nil {
		t.Fatal(err)
	}
	again, err := b.FeedConsumer(t.Context(), "results", "run1")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := p.Publish(t.Context(), queue.Message{ID: "b", Group: "run1-2"}); err != nil {
		t.Fatal(err)
	}
	if d := receiveOne(t, again); d.ID != "b" {
		t.Errorf("received %q: want b, for a went with the ended feed", d.ID)
	}
}

// A stream of an older version is replaced when no run reads it.
func TestFeedReplacesAnInterestStream(t *testing.T) {
	t.Parallel()
	srv := startBroker(t, natsembed.Options{})
	nc, err := srv.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	old, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "callfleet-results", Subjects: []string{"callfleet.results.run.*"}, Retention: jetstream.InterestPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "run1", FilterSubject: "callfleet.results.run.run1"}); err != nil {
		t.Fatal(err)
	}
	b := openBroker(t, srv)
	if _, err := b.FeedPublisher(t.Context(), "results"); err == nil || !strings.Contains(err.Error(), "1 of its runs") {
		t.Fatalf("with a run under way: %v", err)
	}
	if err := old.DeleteConsumer(t.Context(), "run1"); err != nil {
		t.Fatal(err)
	}
	feed, err := b.FeedConsumer(t.Context(), "results", "run2")
	if err != nil {
		t.Fatal(err)
	}
	if err := feed.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := js.Stream(t.Context(), "callfleet-results")
	if err != nil || info.CachedInfo().Config.Retention != jetstream.WorkQueuePolicy {
		t.Errorf("retention %v, %v", info.CachedInfo().Config.Retention, err)
	}
}

// TestFeedReplays reads a feed, crashes, and gets what was not acked again.
func TestFeedReplays(t *testing.T) {
	t.Parallel()
	srv := startBroker(t, natsembed.Options{})
	options := natsqueue.Options{FeedLease: 300 * time.Millisecond}
	nc, err := srv.Connect()
	if err != nil {
		t.Fatal(err)
	}
	b, err := natsqueue.New(t.Context(), nc, options)
	if err != nil {
		t.Fatal(err)
	}
	first, err := b.FeedConsumer(t.Context(), "results", "run1")
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.FeedPublisher(t.Context(), "results")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(t.Context(), queue.Message{ID: "a", Group: "run1-1"}, queue.Message{ID: "b", Group: "run1-2"}); err != nil {
		t.Fatal(err)
	}
	acked := receiveOne(t, first)
	if err := acked.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	lost := receiveOne(t, first)
	nc.Close() // the crash

	if nc, err = srv.Connect(); err != nil {
		t.Fatal(err)
	}
	if b, err = natsqueue.New(t.Context(), nc, options); err != nil {
		t.Fatal(err)
	}
	again, err := b.FeedConsumer(t.Context(), "results", "run1")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	d := receiveOne(t, again)
	if d.ID != lost.ID || d.Attempt != 2 {
		t.Errorf("received %q, attempt %d: want %q, 2", d.ID, d.Attempt, lost.ID)
	}
	if err := d.Reject(t.Context(), "no event"); err != nil {
		t.Errorf("reject: %v", err)
	}
	if err := lost.Ack(t.Context()); !errors.Is(err, queue.ErrClosed) && !errors.Is(err, queue.ErrLeaseLost) {
		t.Errorf("ack on a closed connection: %v: want ErrClosed or ErrLeaseLost", err)
	}
	dead, err := openBroker(t, srv).Consumer(t.Context(), "results-dlq", natsqueue.ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	if d := receiveOne(t, dead); d.ID != lost.ID || d.Headers[queue.DeadLetterReason] != "no event" {
		t.Errorf("dead letter %q, headers %v", d.ID, d.Headers)
	}
}
