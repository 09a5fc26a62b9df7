package sqsqueue_test

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/goleak"

	"callfleet/internal/awstest"
	"callfleet/internal/evidence"
	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue"
)

// TestMain lets more tests run side by side than there are processors: they
// wait for leases and delays of whole seconds most of the time.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// emulators are the servers that stand for SQS.
var emulators = map[string]func(testing.TB) awstest.Emulator{
	"moto":   awstest.Moto,
	"fauxqs": awstest.Fauxqs,
}

// newBroker makes a broker with queues of its own.
func newBroker(tb testing.TB, cfg aws.Config, o sqsqueue.Options) *sqsqueue.Broker {
	tb.Helper()
	if o.Prefix == "" {
		o.Prefix = awstest.Name("calls")
	}
	if o.Logger == nil {
		o.Logger = evidence.LoggerTo(tb, slog.NewTextHandler(io.Discard, nil))
	}
	b, err := sqsqueue.New(cfg, o)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// createTasks makes a broker with the queue "tasks".
func createTasks(tb testing.TB, cfg aws.Config, o sqsqueue.Options) *sqsqueue.Broker {
	tb.Helper()
	b := newBroker(tb, cfg, o)
	if _, err := b.Create(tb.Context(), "tasks", 0); err != nil {
		tb.Fatal(err)
	}
	return b
}

func openPublisher(tb testing.TB, b *sqsqueue.Broker, name string) *sqsqueue.Publisher {
	tb.Helper()
	p, err := b.Publisher(tb.Context(), name)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// openConsumer opens a consumer that is closed with the test.
func openConsumer(tb testing.TB, b *sqsqueue.Broker, name string, lease time.Duration) *sqsqueue.Consumer {
	tb.Helper()
	c, err := b.Consumer(tb.Context(), name, sqsqueue.ConsumerOptions{Lease: lease})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func publish(tb testing.TB, p queue.Publisher, msgs ...queue.Message) {
	tb.Helper()
	if err := p.Publish(tb.Context(), msgs...); err != nil {
		tb.Fatal(err)
	}
}

// receive takes n messages.
func receive(tb testing.TB, c queue.Consumer, n int) []*queue.Delivery {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	var all []*queue.Delivery
	for len(all) < n {
		ds, err := c.Receive(ctx, n-len(all))
		if err != nil {
			tb.Fatalf("receive: %d of %d messages, then: %v", len(all), n, err)
		}
		all = append(all, ds...)
	}
	return all
}

// newConsumerOf opens the queue "tasks" of a scripted SQS. The test closes it.
func newConsumerOf(tb testing.TB, cfg aws.Config) *sqsqueue.Consumer {
	tb.Helper()
	b := newBroker(tb, cfg, sqsqueue.Options{Prefix: "calls"})
	c, err := b.Consumer(tb.Context(), "tasks", sqsqueue.ConsumerOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
