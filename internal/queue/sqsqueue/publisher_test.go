package sqsqueue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"callfleet/internal/awstest"
	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue"
)

// sending makes a publisher of a scripted queue, in a bubble.
func sending(t *testing.T, send func(call) *http.Response) (*wire, queue.Publisher) {
	t.Helper()
	w, cfg := scripted(func(c call) *http.Response {
		if res := openAnswers(c); res != nil {
			return res
		}
		return send(c)
	})
	p, err := newBroker(t, cfg, sqsqueue.Options{Prefix: "calls"}).Publisher(t.Context(), "tasks")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { <-time.After(time.Minute) }) // goroutines go home
	return w, p
}

func takeAll(c call) *http.Response { return taken(c, nil) }

func numbered(n int) []queue.Message {
	msgs := make([]queue.Message, n)
	for i := range msgs {
		msgs[i] = queue.Message{ID: fmt.Sprintf("m-%d", i), Body: []byte("body")}
	}
	return msgs
}

func TestSendsShareRequests(t *testing.T) {
	t.Parallel()
	large := numbered(5)
	for i := range large {
		large[i].Body = bytes.Repeat([]byte("x"), 400<<10)
	}
	for name, row := range map[string]struct {
		msgs []queue.Message
		want int
	}{
		"25 messages":                    {numbered(25), 3},
		"none":                           {nil, 0},
		"bytes: two of 400 KiB to 1 MiB": {large, 3},
		"one id three times":             {[]queue.Message{{ID: "a"}, {ID: "a"}, {ID: "a"}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, p := sending(t, takeAll)
				publish(t, p, row.msgs...)
				wantCalls(t, w, "SendMessageBatch", row.want)
			})
		})
	}
}

// TestCallersShareRequests has ten callers with one message each.
func TestCallersShareRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, p := sending(t, takeAll)
		var wg sync.WaitGroup
		for _, m := range numbered(10) {
			wg.Go(func() { publish(t, p, m) })
		}
		wg.Wait()
		wantCalls(t, w, "SendMessageBatch", 1)
	})
}

// TestPartialFailure refuses one entry for good, and another one twice.
func TestPartialFailure(t *testing.T) {
	t.Parallel()
	var sizes []int
	refused := 0
	send := func(c call) *http.Response {
		sizes = append(sizes, len(c.entries()))
		failed := map[int]string{}
		for i, id := range c.entries() {
			switch {
			case id == "3":
				failed[i] = `"SenderFault":true,"Code":"InvalidMessageContents","Message":"bad"`
			case id == "5" && refused < 2:
				refused++
				failed[i] = `"SenderFault":false,"Code":"InternalError","Message":"oops"`
			}
		}
		return taken(c, failed)
	}
	synctest.Test(t, func(t *testing.T) {
		_, p := sending(t, send)
		err := p.Publish(t.Context(), numbered(10)...)
		if err == nil || !strings.Contains(err.Error(), `1 of 10 messages not sent, first "m-3"`) || !strings.Contains(err.Error(), "calls-tasks") {
			t.Errorf("publish: %v: want the refused message named", err)
		}
		if !slices.Equal(sizes, []int{10, 1, 1}) {
			t.Errorf("requests of %v entries: want the one with trouble sent again alone", sizes)
		}
	})
}

// TestFailedSendIsForgotten publishes the same id after a failure, and after a
// success.
func TestFailedSendIsForgotten(t *testing.T) {
	t.Parallel()
	fail := true
	send := func(c call) *http.Response {
		if fail {
			return taken(c, map[int]string{0: `"SenderFault":true,"Code":"InvalidMessageContents"`})
		}
		return taken(c, nil)
	}
	synctest.Test(t, func(t *testing.T) {
		w, p := sending(t, send)
		m := queue.Message{ID: "a"}
		if err := p.Publish(t.Context(), m); err == nil {
			t.Error("publish: want an error")
		}
		fail = false
		publish(t, p, m)
		wantCalls(t, w, "SendMessageBatch", 2)
		publish(t, p, m)
		wantCalls(t, w, "SendMessageBatch", 2) // known now
		time.Sleep(2 * time.Minute)
		publish(t, p, m)
		wantCalls(t, w, "SendMessageBatch", 2) // still
		time.Sleep(3 * time.Minute)
		publish(t, p, m)
		wantCalls(t, w, "SendMessageBatch", 3)
	})
}

// TestConcurrentSameIDs has one caller fail, and the others try for themselves,
// one after the other, until one has sent it.
func TestConcurrentSameIDs(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	sent := 0
	send := func(c call) *http.Response {
		mu.Lock()
		defer mu.Unlock()
		if sent++; sent == 1 {
			return taken(c, map[int]string{0: `"SenderFault":true,"Code":"InvalidMessageContents"`})
		}
		return taken(c, nil)
	}
	synctest.Test(t, func(t *testing.T) {
		w, p := sending(t, send)
		var failed int
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := p.Publish(t.Context(), queue.Message{ID: "a"}, queue.Message{ID: "a"}); err != nil {
					mu.Lock()
					failed++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		wantCalls(t, w, "SendMessageBatch", 2)
		if failed != 1 {
			t.Errorf("%d of 5 calls failed: want the one whose request did", failed)
		}
	})
}

// TestCrossedCalls has two calls publish the same ids in another order: both
// follow each other, and both end.
func TestCrossedCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, p := sending(t, takeAll)
		msgs := numbered(30)
		other := slices.Clone(msgs)
		slices.Reverse(other)
		var wg sync.WaitGroup
		for _, m := range [][]queue.Message{msgs, other} {
			wg.Go(func() { publish(t, p, m...) })
		}
		wg.Wait()
	})
}

func TestPublishEndsWithContext(t *testing.T) {
	t.Parallel()
	never := func(c call) *http.Response { <-c.Context().Done(); return nil }
	synctest.Test(t, func(t *testing.T) {
		_, p := sending(t, never)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := p.Publish(ctx, numbered(3)...)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("publish: %v after %s: want the context's error after 1s", err, time.Since(start))
		}
		if err == nil || !strings.Contains(err.Error(), "3 of 3 messages unconfirmed") {
			t.Errorf("publish: %v: want the number of messages", err)
		}
	})
}

// TestTroubleInWords checks what a user reads.
func TestTroubleInWords(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		res  func() *http.Response
		want []string
		is   error
	}{
		"throttled":   {func() *http.Response { return refuse(400, "RequestThrottled", "slow down") }, []string{"throttles", "send slower"}, nil},
		"denied":      {func() *http.Response { return refuse(403, "AccessDeniedException", "no") }, []string{"sqs:SendMessage", "denied", "allow it"}, nil},
		"expired":     {func() *http.Response { return refuse(403, "ExpiredTokenException", "old") }, []string{"credentials have expired", "renew"}, nil},
		"missing":     {func() *http.Response { return refuse(400, "QueueDoesNotExist", "gone") }, []string{`"producer setup"`, "deploy/cdk"}, queue.ErrNotFound},
		"server down": {func() *http.Response { return reply(503, "") }, []string{"trouble of its own", "AWS_ENDPOINT_URL"}, nil},
		"key":         {func() *http.Response { return refuse(400, "KmsAccessDenied", "no") }, []string{"sqs:SendMessage", "denied"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, p := sending(t, func(call) *http.Response { return row.res() })
				err := p.Publish(t.Context(), queue.Message{ID: "a"})
				if err == nil || row.is != nil && !errors.Is(err, row.is) {
					t.Fatalf("publish: %v: want %v", err, row.is)
				}
				for _, want := range append(row.want, "calls-tasks", "us-east-1") {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("publish: %v: want %q in it", err, want)
					}
				}
				if f := row.want[0]; (f == "throttles" || f == "trouble of its own") != (w.count("SendMessageBatch") > 1) {
					t.Errorf("%d requests: want several only if that may help", w.count("SendMessageBatch"))
				}
			})
		})
	}
}

// TestWrongChecksum answers with the MD5 of another body: the SDK's check is on.
func TestWrongChecksum(t *testing.T) {
	t.Parallel()
	send := func(c call) *http.Response {
		return reply(200, `{"Successful":[{"Id":"0","MessageId":"m","MD5OfMessageBody":"d41d8cd98f00b204e9800998ecf8427e"}]}`)
	}
	synctest.Test(t, func(t *testing.T) {
		_, p := sending(t, send)
		if err := p.Publish(t.Context(), queue.Message{Body: []byte("x")}); err == nil || !strings.Contains(err.Error(), "checksum") {
			t.Errorf("publish: %v: want a checksum that does not match", err)
		}
	})
}

// TestOneMiB sends messages at the edge of the limits, each a request or two.
func TestOneMiB(t *testing.T) {
	t.Parallel()
	for name, start := range emulators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := createTasks(t, start(t).Config(), sqsqueue.Options{})
			p := openPublisher(t, b, "tasks")
			const overhead = len("callfleet" + "String" + "v=1&id=0")
			most := p.Limits().MaxBytes - overhead
			body := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
			publish(t, p, queue.Message{ID: "0", Body: body(most)}, queue.Message{ID: "1", Body: body(most)}, queue.Message{ID: "2", Body: body(most)})
			err := p.Publish(t.Context(), queue.Message{ID: "3", Body: body(most + 1)})
			if !errors.Is(err, queue.ErrTooLarge) {
				t.Errorf("publish of a byte too much: %v: want ErrTooLarge", err)
			}
			c := openConsumer(t, b, "tasks", 0)
			for _, d := range receive(t, c, 3) { // room for a reason is left
				if len(d.Body) != most {
					t.Errorf("received %d bytes: want %d", len(d.Body), most)
				}
				if err := d.Reject(t.Context(), strings.Repeat("r", 2000)); err != nil {
					t.Errorf("reject: %v", err)
				}
			}
			for _, d := range receive(t, openConsumer(t, b, "tasks-dlq", 0), 3) {
				if len(d.Body) != most || len(d.Headers[queue.DeadLetterReason]) < 1000 {
					t.Errorf("dead letter of %d bytes, reason of %d: want both whole", len(d.Body), len(d.Headers[queue.DeadLetterReason]))
				}
			}
		})
	}
}

// TestSmallQueue has a limit of its own: older queues take 256 KiB.
func TestSmallQueue(t *testing.T) {
	t.Parallel()
	cfg := awstest.Moto(t).Config()
	b := createTasks(t, cfg, sqsqueue.Options{})
	u, err := b.URL(t.Context(), "tasks")
	if err != nil {
		t.Fatal(err)
	}
	_, err = sqs.NewFromConfig(cfg).SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{
		QueueUrl: &u, Attributes: map[string]string{"MaximumMessageSize": "262144"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := openPublisher(t, b, "tasks").Limits().MaxBytes; got > 256<<10 || got < 250<<10 {
		t.Errorf("limit %d: want the queue's 262144, but for a reason", got)
	}
}

// TestGroupOnStandardQueue: SQS gets the flow key for its fair queues.
func TestGroupOnStandardQueue(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var bodies []string
	send := func(c call) *http.Response {
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, string(c.Body))
		return taken(c, nil)
	}
	synctest.Test(t, func(t *testing.T) {
		_, p := sending(t, send)
		for group, want := range map[string]string{
			"tenant-1": `"MessageGroupId":"tenant-1"`, "tenant ä": `"MessageGroupId":"sha256-`, "": "",
		} {
			bodies = nil
			publish(t, p, queue.Message{Group: group})
			if want == "" && strings.Contains(bodies[0], "MessageGroupId") || !strings.Contains(bodies[0], want) {
				t.Errorf("group %q: request %s: want %s", group, bodies[0], want)
			}
			if strings.Contains(bodies[0], "MessageDeduplicationId") {
				t.Errorf("group %q: a dedup id: SQS refuses it on standard queues", group)
			}
		}
	})
}

// TestTraceReachesOtherReaders reads a message without this package.
func TestTraceReachesOtherReaders(t *testing.T) {
	t.Parallel()
	cfg := awstest.Moto(t).Config()
	b := createTasks(t, cfg, sqsqueue.Options{})
	trace := "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	publish(t, openPublisher(t, b, "tasks"), queue.Message{ID: "a", Body: []byte(`{"n":1}`), Headers: map[string]string{"traceparent": trace}})
	u, err := b.URL(t.Context(), "tasks")
	if err != nil {
		t.Fatal(err)
	}
	out, err := sqs.NewFromConfig(cfg).ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &u, WaitTimeSeconds: 5, MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil || len(out.Messages) != 1 {
		t.Fatalf("received %v, %v", out, err)
	}
	m := out.Messages[0]
	if got := aws.ToString(m.MessageAttributes["traceparent"].StringValue); got != trace || aws.ToString(m.Body) != `{"n":1}` {
		t.Errorf("received body %s, traceparent %q", aws.ToString(m.Body), got)
	}
}
