package sqsqueue_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/evidence"
	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue"
)

// backlog is a scripted queue with a number of messages, which takes a while
// for each receipt, and the whole wait when it is empty.
type backlog struct {
	latency time.Duration

	mu       sync.Mutex
	left     int // guarded by mu
	asked    int // guarded by mu: what the receipts under way may bring
	polls    int // guarded by mu: receipts under way
	mostPoll int // guarded by mu
	mostAsk  int // guarded by mu
	total    int // guarded by mu: receipts
	back     int // guarded by mu: messages handed back
}

func (q *backlog) answer(c call) *http.Response {
	switch c.Action {
	case "ReceiveMessage":
		return q.receive(c)
	case "ChangeMessageVisibilityBatch":
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, v := range timeouts(c) {
			if v == 0 {
				q.back++
			}
		}
	}
	if res := openAnswers(c); res != nil {
		return res
	}
	return taken(c, nil)
}

func (q *backlog) receive(c call) *http.Response {
	var in struct{ MaxNumberOfMessages, WaitTimeSeconds, VisibilityTimeout int }
	if err := json.Unmarshal(c.Body, &in); err != nil || in.MaxNumberOfMessages > 10 || in.WaitTimeSeconds != 20 || in.VisibilityTimeout != 90 {
		return refuse(400, "InvalidParameterValue", string(c.Body))
	}
	q.mu.Lock()
	q.total++
	q.polls++
	q.asked += in.MaxNumberOfMessages
	q.mostPoll, q.mostAsk = max(q.mostPoll, q.polls), max(q.mostAsk, q.asked)
	n := min(q.left, in.MaxNumberOfMessages)
	q.left -= n
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.polls--
		q.asked -= in.MaxNumberOfMessages
	}()
	wait := q.latency
	if n == 0 {
		wait = 20 * time.Second
	}
	select {
	case <-time.After(wait):
		return messages(n)
	case <-c.Context().Done():
		return nil
	}
}

func (q *backlog) state() (polls, mostPoll, mostAsk, total, back int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.polls, q.mostPoll, q.mostAsk, q.total, q.back
}

func (q *backlog) consumer(t *testing.T) *sqsqueue.Consumer {
	t.Helper()
	_, cfg := scripted(q.answer)
	return newConsumerOf(t, cfg)
}

// TestPollsFollowTheBacklog asks for 100 at a time: ten receipts at a time while
// there is a backlog, and a single one when there is none.
func TestPollsFollowTheBacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &backlog{latency: 20 * time.Millisecond, left: 3000}
		c := q.consumer(t)
		start := time.Now()
		for n := 0; n < 3000; {
			ds, err := c.Receive(t.Context(), 100)
			if err != nil {
				t.Fatal(err)
			}
			n += len(ds)
		}
		if took := time.Since(start); took > time.Second { // 6 s by one at a time
			t.Errorf("3000 messages took %s: want receipts side by side", took)
		}
		if _, polls, asked, total, _ := q.state(); polls != 10 || asked != 100 || total > 320 {
			t.Errorf("%d receipts at a time, for %d messages, %d in all: want 10, for 100, about 310", polls, asked, total)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if _, err := c.Receive(ctx, 100); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("receive of an empty queue: %v", err)
		}
		if polls, _, _, total, _ := q.state(); polls > 1 || total > 350 {
			t.Errorf("%d receipts wait at an empty queue, %d in all: want one at a time", polls, total)
		}
		closeIn(t, c)
	})
}

// TestFewSlots never asks for more than there are.
func TestFewSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &backlog{latency: 20 * time.Millisecond, left: 100}
		c := q.consumer(t)
		for n := 0; n < 100; {
			ds, err := c.Receive(t.Context(), 3)
			if err != nil || len(ds) > 3 {
				t.Fatalf("%d deliveries, %v", len(ds), err)
			}
			n += len(ds)
		}
		if _, _, asked, _, back := q.state(); asked != 3 || back != 0 {
			t.Errorf("asked for %d, handed back %d: want 3, 0", asked, back)
		}
		closeIn(t, c)
	})
}

// TestLeftReceipt cancels Receive while its receipt is under way: the next one
// gets the messages; when there is none, they are handed back within a second.
func TestLeftReceipt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &backlog{latency: time.Second, left: 20}
		c := q.consumer(t)
		leave := func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := c.Receive(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("receive: %v", err)
			}
		}
		leave()
		time.Sleep(time.Second) // they are here, and wait
		ds, err := c.Receive(t.Context(), 4)
		if err != nil || len(ds) != 4 {
			t.Fatalf("%d deliveries, %v: want 4 of those that wait", len(ds), err)
		}
		ds, err = c.Receive(t.Context(), 4)
		if err != nil || len(ds) != 4 {
			t.Fatalf("%d deliveries, %v: want 4 more", len(ds), err)
		}
		if _, _, _, total, back := q.state(); total != 1 || back != 0 {
			t.Errorf("%d receipts, %d handed back: want one for both, and none", total, back)
		}
		time.Sleep(1100 * time.Millisecond)
		if _, _, _, _, back := q.state(); back != 2 {
			t.Errorf("%d handed back: want the 2 that nobody asked for", back)
		}
		leave()
		time.Sleep(2100 * time.Millisecond)
		if _, _, _, _, back := q.state(); back != 12 {
			t.Errorf("%d handed back: want 10 more", back)
		}
		closeIn(t, c)
	})
}

// TestCloseHandsBack closes while messages wait to be asked for, and while they
// are on their way.
func TestCloseHandsBack(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		latency, wait time.Duration // of a receipt; until Close
		back          int
		within        time.Duration
	}{
		"waiting":    {10 * time.Millisecond, 100 * time.Millisecond, 10, 50 * time.Millisecond},
		"on the way": {500 * time.Millisecond, 100 * time.Millisecond, 10, 500 * time.Millisecond},
		"too late":   {5 * time.Second, 100 * time.Millisecond, 0, 1100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := &backlog{latency: row.latency, left: 10}
				c := q.consumer(t)
				ctx, cancel := context.WithCancel(t.Context())
				left := make(chan struct{})
				go func() {
					defer close(left)
					_, _ = c.Receive(ctx, 10)
				}()
				synctest.Wait() // the receipt is under way
				cancel()
				<-left
				time.Sleep(row.wait)
				start := time.Now()
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took > row.within {
					t.Errorf("close took %s: want at most %s", took, row.within)
				}
				if _, _, _, _, back := q.state(); back != row.back {
					t.Errorf("%d handed back: want %d", back, row.back)
				}
				time.Sleep(time.Second)
			})
		})
	}
}

// logBuffer is what a logger wrote.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.b.String(), "\n"), "\n")
}

// TestOutage lets ten minutes of trouble pass over a blocked Receive.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		res   func() *http.Response
		level string
		words string
	}{
		"500":     {func() *http.Response { return reply(500, "") }, "WARN", "trouble of its own"},
		"slow":    {func() *http.Response { return refuse(400, "ThrottlingException", "") }, "WARN", "throttles"},
		"full":    {func() *http.Response { return refuse(403, "OverLimit", "") }, "WARN", "120,000"},
		"expired": {func() *http.Response { return refuse(403, "ExpiredToken", "") }, "ERROR", "renew"},
		"denied":  {func() *http.Response { return refuse(403, "AccessDenied", "") }, "ERROR", "sqs:ReceiveMessage"},
		"missing": {func() *http.Response { return refuse(400, "QueueDoesNotExist", "") }, "ERROR", "producer setup"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := &backlog{latency: time.Millisecond, left: 1}
				w, cfg := scripted(q.answer)
				var log logBuffer
				b, err := sqsqueue.New(cfg, sqsqueue.Options{Prefix: "calls", Logger: evidence.LoggerTo(t, slog.NewTextHandler(&log, nil))})
				if err != nil {
					t.Fatal(err)
				}
				c, err := b.Consumer(t.Context(), "tasks", sqsqueue.ConsumerOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Receive(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				w.set(func(call) *http.Response { return row.res() })
				got := make(chan error, 1)
				go func() {
					_, err := c.Receive(t.Context(), 1)
					got <- err
				}()
				time.Sleep(10 * time.Minute)
				if n := w.count("ReceiveMessage"); n < 60 || n > 600 {
					t.Errorf("%d receipts in ten minutes: want pauses, and no end", n)
				}
				q.mu.Lock()
				q.left = 1
				q.mu.Unlock()
				w.set(q.answer)
				time.Sleep(6 * time.Second)
				select {
				case err := <-got:
					if err != nil {
						t.Error(err)
					}
				default:
					t.Error("nothing received 6s after the outage")
				}
				lines := log.lines()
				if len(lines) != 2 || !strings.Contains(lines[0], "level="+row.level) || !strings.Contains(lines[0], row.words) || !strings.Contains(lines[1], "again") {
					t.Errorf("logged %q: want one line about the outage and one about its end", lines)
				}
				closeIn(t, c)
			})
		})
	}
}

// TestFlickerIsNotLogged has every other receipt fail.
func TestFlickerIsNotLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		_, cfg := scripted(func(c call) *http.Response {
			if res := openAnswers(c); res != nil {
				return res
			}
			if n++; n%3 != 0 { // both tries of a receipt
				return reply(500, "")
			}
			return messages(1)
		})
		var log logBuffer
		b, err := sqsqueue.New(cfg, sqsqueue.Options{Prefix: "calls", Logger: evidence.LoggerTo(t, slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		c, err := b.Consumer(t.Context(), "tasks", sqsqueue.ConsumerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if _, err := c.Receive(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
		}
		if lines := log.lines(); lines[0] != "" {
			t.Errorf("logged %q: want nothing", lines)
		}
		closeIn(t, c)
	})
}

// TestDeniedFromTheStart says so: nobody should wait for what never comes.
func TestDeniedFromTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, cfg := scripted(func(c call) *http.Response {
			if res := openAnswers(c); res != nil {
				return res
			}
			return refuse(403, "AccessDeniedException", "User: x is not authorized")
		})
		c := newConsumerOf(t, cfg)
		for range 2 {
			_, err := c.Receive(t.Context(), 1)
			if err == nil || !strings.Contains(err.Error(), "sqs:ReceiveMessage on calls-tasks in us-east-1 is denied") {
				t.Errorf("receive: %v: want the action and the queue", err)
			}
		}
		closeIn(t, c)
	})
}

// TestSilentConnection gives up a receipt that gets no answer long after its
// wait, and asks anew.
func TestSilentConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		_, cfg := scripted(func(c call) *http.Response {
			if res := openAnswers(c); res != nil {
				return res
			}
			if n++; n == 1 {
				<-c.Context().Done()
				return nil
			}
			return messages(1)
		})
		c := newConsumerOf(t, cfg)
		start := time.Now()
		if _, err := c.Receive(t.Context(), 1); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 40*time.Second {
			t.Errorf("received after %s: want soon after the wait of 20s", took)
		}
		closeIn(t, c)
	})
}

// TestHastyQueue answers at once that it is empty, as SQS does when too many
// messages are in flight: that must not become a busy loop.
func TestHastyQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, cfg := scripted(func(c call) *http.Response {
			if res := openAnswers(c); res != nil {
				return res
			}
			return messages(0)
		})
		c := newConsumerOf(t, cfg)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := c.Receive(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("receive: %v", err)
		}
		if n := w.count("ReceiveMessage"); n > 250 {
			t.Errorf("%d receipts in 10s: want pauses", n)
		}
		closeIn(t, c)
	})
}

// TestManyReceivers shares what comes among the calls that wait, in order.
func TestManyReceivers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &backlog{latency: time.Second, left: 10}
		c := q.consumer(t)
		var wg sync.WaitGroup
		got := make([]int, 5)
		for i := range got {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				ds, _ := c.Receive(ctx, 4)
				got[i] = len(ds)
			})
			synctest.Wait()
		}
		wg.Wait()
		if fmt.Sprint(got) != "[4 0 0 0 0]" && fmt.Sprint(got) != "[4 4 2 0 0]" {
			t.Errorf("received %v: want the 10 messages, oldest calls first", got)
		}
		if _, err := c.Receive(t.Context(), 0); err == nil {
			t.Error("receive of 0: want an error")
		}
		closeIn(t, c)
		if _, err := c.Receive(t.Context(), 1); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("receive after close: %v: want ErrClosed", err)
		}
	})
}
