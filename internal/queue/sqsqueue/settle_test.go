package sqsqueue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue"
)

// messages answers a receipt with n messages.
func messages(n int) *http.Response {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`{"MessageId":"m%d","ReceiptHandle":"r%d","Body":"b","Attributes":{"ApproximateReceiveCount":"1","SentTimestamp":"1000"}}`, i, i))
	}
	return reply(http.StatusOK, `{"Messages":[`+strings.Join(all, ",")+`]}`)
}

// lone is a scripted queue whose first receipt brings n messages, and the
// others nothing; settlements are answered by settle, or all taken.
func lone(n int, settle func(call) *http.Response) (*wire, *sqsqueue.Broker, error) {
	first := make(chan struct{}, 1)
	first <- struct{}{}
	w, cfg := scripted(func(c call) *http.Response {
		if res := openAnswers(c); res != nil {
			return res
		}
		switch {
		case c.Action == "ReceiveMessage":
			select {
			case <-first:
				return messages(n)
			default:
			}
			<-c.Context().Done() // the long poll
			return nil
		case settle != nil:
			return settle(c)
		}
		return taken(c, nil)
	})
	b, err := sqsqueue.New(cfg, sqsqueue.Options{Prefix: "calls"})
	return w, b, err
}

// deliveries receives n messages under a lease of an hour, in a bubble. The
// consumer is closed with the test.
func deliveries(t *testing.T, n int, settle func(call) *http.Response) (*wire, []*queue.Delivery) {
	t.Helper()
	w, b, err := lone(n, settle)
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Consumer(t.Context(), "tasks", sqsqueue.ConsumerOptions{Lease: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIn(t, c) })
	ds, err := c.Receive(t.Context(), n)
	if err != nil || len(ds) != n {
		t.Fatalf("%d deliveries, %v: want %d", len(ds), err, n)
	}
	return w, ds
}

// closeIn closes a consumer in a bubble, and lets the goroutines go home that
// wait for another job.
func closeIn(t *testing.T, c queue.Consumer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	<-time.After(time.Second)
}

// timeouts are the visibilities of a batch.
func timeouts(c call) []int {
	var in struct {
		Entries []struct{ VisibilityTimeout int }
	}
	if err := json.Unmarshal(c.Body, &in); err != nil {
		return nil
	}
	var all []int
	for _, e := range in.Entries {
		all = append(all, e.VisibilityTimeout)
	}
	return all
}

// visibilities records what a settlement asks for.
type visibilities struct {
	mu   sync.Mutex
	last int
}

func (v *visibilities) answer(c call) *http.Response {
	v.mu.Lock()
	defer v.mu.Unlock()
	if all := timeouts(c); len(all) > 0 {
		v.last = all[len(all)-1]
	}
	return taken(c, nil)
}

// TestExtendEndsAfterTwelveHours extends a lease of an hour for as long as SQS
// lets it. (The emulators would not object.)
func TestExtendEndsAfterTwelveHours(t *testing.T) {
	t.Parallel()
	var seen visibilities
	synctest.Test(t, func(t *testing.T) {
		_, ds := deliveries(t, 1, seen.answer)
		d, start := ds[0], time.Now()
		for {
			if err := d.Extend(t.Context()); err != nil {
				if !errors.Is(err, queue.ErrLeaseLost) || !strings.Contains(err.Error(), "12h") {
					t.Errorf("extend after %s: %v: want ErrLeaseLost and the reason", time.Since(start), err)
				}
				break
			}
			if end := time.Since(start) + time.Duration(seen.last)*time.Second; end > 12*time.Hour {
				t.Fatalf("after %s a visibility of %ds: SQS refuses that", time.Since(start), seen.last)
			}
			time.Sleep(30 * time.Minute)
		}
		if took := time.Since(start); took < 11*time.Hour || took > 13*time.Hour {
			t.Errorf("extended for %s: want about 12h", took)
		}
		if err := d.Retry(t.Context(), time.Hour); !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("retry after 12h: %v: want ErrLeaseLost", err)
		}
	})
}

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		after, delay time.Duration
		want         int
	}{
		"at once":          {0, 0, 0},
		"negative":         {0, -time.Second, 0},
		"rounded up":       {0, 1500 * time.Millisecond, 2},
		"an hour":          {time.Minute, time.Hour, 3600},
		"beyond 12 hours":  {30 * time.Minute, 24 * time.Hour, 12*3600 - 30*60 - 2},
		"within 12 hours":  {30 * time.Minute, 11 * time.Hour, 11 * 3600},
		"a minute of them": {time.Minute, 12 * time.Hour, 12*3600 - 60 - 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen visibilities
			synctest.Test(t, func(t *testing.T) {
				_, ds := deliveries(t, 1, seen.answer)
				time.Sleep(row.after)
				if err := ds[0].Retry(t.Context(), row.delay); err != nil {
					t.Fatal(err)
				}
				if seen.last != row.want {
					t.Errorf("visibility %d: want %d", seen.last, row.want)
				}
			})
		})
	}
}

// TestLateSettlingAsksNobody: what SQS makes of an old receipt could disturb
// the new holder.
func TestLateSettlingAsksNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ds := deliveries(t, 4, nil)
		time.Sleep(time.Hour - time.Second) // the last second is for the way
		for how, err := range map[string]error{
			"ack": ds[0].Ack(t.Context()), "retry": ds[1].Retry(t.Context(), 0),
			"extend": ds[2].Extend(t.Context()), "reject": ds[3].Reject(t.Context(), "r"),
		} {
			if !errors.Is(err, queue.ErrLeaseLost) {
				t.Errorf("%s: %v: want ErrLeaseLost", how, err)
			}
		}
		for _, action := range []string{"DeleteMessageBatch", "ChangeMessageVisibilityBatch", "SendMessage"} {
			wantCalls(t, w, action, 0)
		}
	})
}

// TestAcksShareRequests counts the requests of 25 acks.
func TestAcksShareRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ds := deliveries(t, 25, nil)
		var wg sync.WaitGroup
		for _, d := range ds {
			wg.Go(func() {
				if err := d.Ack(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		wantCalls(t, w, "DeleteMessageBatch", 3)
	})
}

// TestAnswersToAcks: what SQS says about one entry concerns this entry alone.
func TestAnswersToAcks(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		failed   string // of the second entry, every time
		times    int    // that it is refused; then it is taken
		want     error  // nil: any
		ok       bool
		requests int
	}{
		"handle expired":     {`"SenderFault":true,"Code":"ReceiptHandleIsInvalid"`, 99, queue.ErrLeaseLost, false, 1},
		"not in flight":      {`"SenderFault":true,"Code":"MessageNotInflight"`, 99, queue.ErrLeaseLost, false, 1},
		"not available":      {`"SenderFault":true,"Code":"InvalidParameterValue","Message":"Value r1 for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."`, 99, queue.ErrLeaseLost, false, 1},
		"denied":             {`"SenderFault":true,"Code":"AccessDenied"`, 99, nil, false, 1},
		"trouble of its own": {`"SenderFault":false,"Code":"InternalError"`, 2, nil, true, 3},
		"throttled":          {`"SenderFault":true,"Code":"RequestThrottled"`, 2, nil, true, 3},
		"long trouble":       {`"SenderFault":false,"Code":"ServiceUnavailable"`, 10, nil, true, 11},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusals := 0
			settle := func(c call) *http.Response {
				for i, id := range c.entries() {
					if id == "1" && refusals < row.times && strings.Contains(string(c.Body), `"r1"`) {
						refusals++
						return taken(c, map[int]string{i: row.failed})
					}
				}
				if strings.Contains(string(c.Body), `"r1"`) && refusals < row.times { // alone, as number 0
					refusals++
					return taken(c, map[int]string{0: row.failed})
				}
				return taken(c, nil)
			}
			synctest.Test(t, func(t *testing.T) {
				w, ds := deliveries(t, 3, settle)
				errs := make([]error, len(ds))
				for i, d := range ds { // in this order
					go func() { errs[i] = d.Ack(t.Context()) }()
					synctest.Wait()
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if errs[0] != nil || errs[2] != nil {
					t.Errorf("other entries: %v, %v", errs[0], errs[2])
				}
				if (errs[1] == nil) != row.ok || row.want != nil && !errors.Is(errs[1], row.want) {
					t.Errorf("the entry: %v: want ok %t, %v", errs[1], row.ok, row.want)
				}
				wantCalls(t, w, "DeleteMessageBatch", row.requests)
			})
		})
	}
}

// TestSettlingGoesOnThroughOutage acks while nobody answers, and gives up with
// the context, or with the lease.
func TestSettlingGoesOnThroughOutage(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	down := true
	settle := func(c call) *http.Response {
		mu.Lock()
		defer mu.Unlock()
		if down {
			return reply(http.StatusServiceUnavailable, "")
		}
		return taken(c, nil)
	}
	synctest.Test(t, func(t *testing.T) {
		_, ds := deliveries(t, 3, settle)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := ds[0].Ack(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ack with a context that ends: %v", err)
		}
		got := make(chan error, 1)
		go func() { got <- ds[1].Ack(t.Context()) }()
		time.Sleep(time.Minute)
		mu.Lock()
		down = false
		mu.Unlock()
		if err := <-got; err != nil {
			t.Errorf("ack after the outage: %v", err)
		}
		mu.Lock()
		down = true
		mu.Unlock()
		start := time.Now()
		if err := ds[2].Ack(t.Context()); !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("ack in an outage longer than the lease: %v: want ErrLeaseLost", err)
		}
		if time.Since(start) > time.Hour {
			t.Errorf("gave up after %s: the lease is 1h", time.Since(start))
		}
	})
}

// TestExtendDoesNotOvertakeRetry: a message handed back while its lease is
// being extended must not be hidden for another lease.
func TestExtendDoesNotOvertakeRetry(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var order []int
	hold := make(chan struct{})
	settle := func(c call) *http.Response {
		mu.Lock()
		order = append(order, timeouts(c)...)
		first := len(order) == 1
		mu.Unlock()
		if first {
			<-hold
		}
		return taken(c, nil)
	}
	synctest.Test(t, func(t *testing.T) {
		hold = make(chan struct{}) // of this bubble
		_, b, err := lone(1, settle)
		if err != nil {
			t.Fatal(err)
		}
		c, err := b.Consumer(t.Context(), "tasks", sqsqueue.ConsumerOptions{Lease: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		ds, err := c.Receive(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := ds[0].Extend(t.Context()); err != nil {
				t.Errorf("extend: %v", err)
			}
		})
		time.Sleep(time.Second) // under way
		wg.Go(func() {
			if err := ds[0].Retry(t.Context(), 0); err != nil {
				t.Errorf("retry: %v", err)
			}
		})
		time.Sleep(time.Second)
		close(hold)
		wg.Wait()
		if err := ds[0].Extend(t.Context()); !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("extend after retry: %v: want ErrLeaseLost", err)
		}
		if fmt.Sprint(order) != "[3600 0]" {
			t.Errorf("visibilities %v: want the lease, then 0", order)
		}
		closeIn(t, c)
	})
}
