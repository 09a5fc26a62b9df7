package sqsqueue_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/evidence"
	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue"
)

func openFeed(t *testing.T, b *sqsqueue.Broker, run string) *sqsqueue.Feed {
	t.Helper()
	f, err := b.FeedConsumer(t.Context(), "results", run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestFeed publishes to runs, some of which are not there.
func TestFeed(t *testing.T) {
	t.Parallel()
	for name, start := range emulators {
		for _, fifo := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := newBroker(t, start(t).Config(), sqsqueue.Options{FIFO: fifo})
				if _, err := b.Create(t.Context(), "results", 0); err != nil {
					t.Fatal(err)
				}
				p, err := b.FeedPublisher(t.Context(), "results")
				if err != nil {
					t.Fatal(err)
				}
				publish(t, p, queue.Message{ID: "early", Group: "run3-0"})
				one, two := openFeed(t, b, "run1"), openFeed(t, b, "run2")
				publish(t, p,
					queue.Message{ID: "a", Group: "run1-1", Body: []byte("one")},
					queue.Message{ID: "b", Group: "run2-1", Body: []byte("two")},
					queue.Message{ID: "c", Group: "somebody else's.name *>"},
					queue.Message{ID: "e", Group: "dlq-1"}, // no run: the feed's dead letters
					queue.Message{ID: "d"})
				for want, f := range map[string]*sqsqueue.Feed{"a": one, "b": two} {
					d := receive(t, f, 1)[0]
					if d.ID != want {
						t.Errorf("received %q: want %q", d.ID, want)
					}
					if err := d.Ack(t.Context()); err != nil {
						t.Error(err)
					}
					if n, err := f.Depth(t.Context()); err != nil || n != 0 {
						t.Errorf("depth %d, %v: want 0", n, err)
					}
				}
				if n, err := b.Counts(t.Context(), "results-dlq"); err != nil || n.Backlog() != 0 {
					t.Errorf("dead letters %+v, %v: want none", n, err)
				}
				if err := p.Publish(t.Context(), queue.Message{Group: "run1-2", Delay: time.Second}); !errors.Is(err, queue.ErrTooLarge) {
					t.Errorf("delay on a feed: %v: want ErrTooLarge", err)
				}
				publish(t, p, queue.Message{ID: "bad", Group: "run1-3"})
				if err := receive(t, one, 1)[0].Reject(t.Context(), "no event"); err != nil {
					t.Errorf("reject: %v", err)
				}
				if d := receive(t, openConsumer(t, b, "results-dlq", 0), 1)[0]; d.ID != "bad" {
					t.Errorf("dead letter %q: want bad", d.ID)
				}
				for range 2 {
					if err := one.End(t.Context()); err != nil {
						t.Errorf("end: %v", err)
					}
				}
				publish(t, p, queue.Message{ID: "late", Group: "run1-9"}) // vanishes
				if _, err := b.URL(t.Context(), "results-run1"); !errors.Is(err, queue.ErrNotFound) {
					t.Errorf("queue of a run that has ended: %v: want ErrNotFound", err)
				}
				if _, err := one.Receive(t.Context(), 1); !errors.Is(err, queue.ErrClosed) {
					t.Errorf("receive after end: %v: want ErrClosed", err)
				}
			})
		}
	}
}

// TestFeedIsReadOn closes a feed, and goes on with what was not acked.
func TestFeedIsReadOn(t *testing.T) {
	t.Parallel()
	for name, start := range emulators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, start(t).Config(), sqsqueue.Options{FeedLease: time.Second})
			first := openFeed(t, b, "run1")
			if first.Lease() != time.Second {
				t.Errorf("lease %s: want 1s", first.Lease())
			}
			p, err := b.FeedPublisher(t.Context(), "results")
			if err != nil {
				t.Fatal(err)
			}
			publish(t, p, queue.Message{ID: "a", Group: "run1-1"}, queue.Message{ID: "b", Group: "run1-2"})
			ds := receive(t, first, 2)
			if err := ds[0].Ack(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			if d := receive(t, openFeed(t, b, "run1"), 1)[0]; d.ID != ds[1].ID || d.Attempt != 2 {
				t.Errorf("received %q, attempt %d: want %q, 2", d.ID, d.Attempt, ds[1].ID)
			}
		})
	}
}

// TestFeedLookups counts how often a run's queue is looked up.
func TestFeedLookups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		there := true
		w, cfg := scripted(func(c call) *http.Response {
			if !there {
				return refuse(400, "QueueDoesNotExist", "gone")
			}
			if res := openAnswers(c); res != nil {
				return res
			}
			return taken(c, nil)
		})
		p, err := newBroker(t, cfg, sqsqueue.Options{Prefix: "calls"}).FeedPublisher(t.Context(), "results")
		if err != nil {
			t.Fatal(err)
		}
		send := func() { publish(t, p, queue.Message{Group: "run1-1"}, queue.Message{Group: "run1-2"}) }
		send()
		send()
		wantCalls(t, w, "GetQueueUrl", 1)
		wantCalls(t, w, "SendMessageBatch", 2)
		there = false
		send() // finds out, and vanishes
		send()
		wantCalls(t, w, "GetQueueUrl", 1)
		wantCalls(t, w, "SendMessageBatch", 3)
		time.Sleep(3 * time.Second)
		send()
		send()
		wantCalls(t, w, "GetQueueUrl", 2)
		there = true
		time.Sleep(3 * time.Second)
		send()
		wantCalls(t, w, "GetQueueUrl", 3)
		wantCalls(t, w, "SendMessageBatch", 4)
		w.set(func(call) *http.Response { return refuse(403, "AccessDenied", "no") })
		if err := p.Publish(t.Context(), queue.Message{Group: "run2-1"}); err == nil || !strings.Contains(err.Error(), "sqs:GetQueueUrl on calls-results-run2") {
			t.Errorf("publish without permission: %v: want the action and the queue", err)
		}
		time.Sleep(time.Second)
	})
}

// TestFeedNameInUse makes a run's queue a moment after one of that name was
// deleted, which AWS refuses for a minute. (The emulators don't.)
func TestFeedNameInUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, made := time.Now(), false
		w, cfg := scripted(func(c call) *http.Response {
			switch {
			case c.Action == "CreateQueue" && time.Since(start) < time.Minute:
				return refuse(400, "QueueDeletedRecently", "You must wait 60 seconds after deleting a queue before you can create another with the same name.")
			case c.Action == "CreateQueue":
				made = true
				return reply(200, `{"QueueUrl":"http://sqs.test/1/queue"}`)
			case !made:
				return refuse(400, "QueueDoesNotExist", "none")
			}
			return openAnswers(c)
		})
		var log logBuffer
		b := newBroker(t, cfg, sqsqueue.Options{Prefix: "calls", Logger: evidence.LoggerTo(t, slog.NewTextHandler(&log, nil))})
		short, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if _, err := b.FeedConsumer(short, "results", "run1"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "deleted less than a minute ago") {
			t.Errorf("feed without time: %v: want the reason", err)
		}
		f, err := b.FeedConsumer(t.Context(), "results", "run1")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < time.Minute || took > 70*time.Second {
			t.Errorf("feed after %s: want soon after a minute", took)
		}
		if lines := log.lines(); len(lines) != 2 || !strings.Contains(lines[1], "queue=calls-results-run1") {
			t.Errorf("logged %q: want one line for each call", lines)
		}
		if n := w.count("CreateQueue"); n > 20 {
			t.Errorf("%d requests", n)
		}
		closeIn(t, f)
	})
}

func TestFeedNames(t *testing.T) {
	t.Parallel()
	_, cfg := scripted(openAnswers)
	b := newBroker(t, cfg, sqsqueue.Options{Prefix: "calls"})
	for _, run := range []string{"", "a-b", "a.b", strings.Repeat("r", 80)} {
		if _, err := b.FeedConsumer(t.Context(), "results", run); err == nil {
			t.Errorf("run %q: want an error", run)
		}
	}
	if _, err := b.FeedPublisher(t.Context(), "re sults"); err == nil {
		t.Error("feed with a space: want an error")
	}
}
