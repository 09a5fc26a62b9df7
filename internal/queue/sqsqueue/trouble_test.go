package sqsqueue_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"callfleet/internal/awstest"
	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue"
)

// TestNothingIsLost publishes, receives and acks while SQS has one kind of
// trouble, and after it: all messages come, and nothing is restarted.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]awstest.Fault{
		"down": awstest.Down, "answers lost": awstest.Lost, "500": awstest.Status(http.StatusInternalServerError),
		"throttled": awstest.Throttled, "credentials expired": awstest.Expired, "denied for a while": awstest.Denied,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := awstest.FaultProxy(t, awstest.Fauxqs(t).URL)
			b := createTasks(t, proxy.Config(), sqsqueue.Options{MaxDeliver: -1})
			p := openPublisher(t, b, "tasks")
			c := openConsumer(t, b, "tasks", 3*time.Second)
			publish(t, p, queue.Message{ID: "before"})
			if err := receive(t, c, 1)[0].Ack(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			const total = 60
			seen := newTally(total)
			var wg sync.WaitGroup
			wg.Go(func() { seen.receive(ctx, c) })
			wg.Go(func() { publishUntilTaken(ctx, t, p, total) })
			proxy.Set(fault, "SendMessageBatch", "ReceiveMessage", "DeleteMessageBatch")
			if err := proxy.Await(ctx, proxy.Seen()+12); err != nil {
				t.Fatal(err)
			}
			proxy.Clear()
			select {
			case <-seen.all:
			case <-ctx.Done():
				t.Errorf("%d messages of %d", len(seen.seen), total)
			}
			cancel()
			wg.Wait()
		})
	}
}

// publishUntilTaken publishes message by message, each as often as it takes.
func publishUntilTaken(ctx context.Context, t *testing.T, p queue.Publisher, total int) {
	for i := range total {
		for p.Publish(ctx, queue.Message{ID: fmt.Sprintf("m-%d", i)}) != nil {
			if ctx.Err() != nil {
				t.Errorf("message %d was never taken", i)
				return
			}
		}
	}
}

// tally counts messages that were received.
type tally struct {
	want int
	all  chan struct{} // closed when all were

	mu   sync.Mutex
	seen map[string]bool // guarded by mu
}

func newTally(want int) *tally {
	return &tally{want: want, all: make(chan struct{}), seen: make(map[string]bool)}
}

// receive acks what comes until ctx ends. An ack that fails brings its message
// again, which is no loss.
func (y *tally) receive(ctx context.Context, c queue.Consumer) {
	var acks sync.WaitGroup
	defer acks.Wait()
	for {
		ds, err := c.Receive(ctx, 10)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			continue
		}
		for _, d := range ds {
			acks.Go(func() {
				_ = d.Ack(ctx)
				y.count(d.ID)
			})
		}
	}
}

func (y *tally) count(id string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.seen[id] {
		return
	}
	if y.seen[id] = true; len(y.seen) == y.want {
		close(y.all)
	}
}

// TestClockSkew has SQS live in another hour: the SDK learns that from the
// first refusal.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	proxy := awstest.FaultProxy(t, awstest.Fauxqs(t).URL)
	proxy.Skew(-2 * time.Hour)
	b := createTasks(t, proxy.Config(), sqsqueue.Options{})
	publish(t, openPublisher(t, b, "tasks"), queue.Message{ID: "a"})
	d := receive(t, openConsumer(t, b, "tasks", 0), 1)[0]
	if err := d.Ack(t.Context()); d.ID != "a" || err != nil {
		t.Errorf("received %q, ack: %v", d.ID, err)
	}
}

// TestQueueMadeAnew deletes the queue under a consumer and a publisher, and
// makes it again.
func TestQueueMadeAnew(t *testing.T) {
	t.Parallel()
	cfg := awstest.Fauxqs(t).Config()
	b := createTasks(t, cfg, sqsqueue.Options{})
	p, c := openPublisher(t, b, "tasks"), openConsumer(t, b, "tasks", 0)
	publish(t, p, queue.Message{ID: "before"})
	if err := receive(t, c, 1)[0].Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := mustDescribe(t, b, "tasks").URL
	if _, err := sqs.NewFromConfig(cfg).DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &u}); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if ds, err := c.Receive(short, 1); short.Err() == nil {
		t.Errorf("receive from a queue that is gone: %d deliveries, %v: want it to wait", len(ds), err)
	}
	if _, err := b.Create(t.Context(), "tasks", 0); err != nil {
		t.Fatal(err)
	}
	publish(t, p, queue.Message{ID: "after"})
	if d := receive(t, c, 1)[0]; d.ID != "after" {
		t.Errorf("received %q: want after", d.ID)
	}
}
