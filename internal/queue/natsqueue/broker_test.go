package natsqueue_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
)

func TestMustExist(t *testing.T) {
	t.Parallel()
	srv := startBroker(t, natsembed.Options{})
	nc, err := srv.Connect()
	if err != nil {
		t.Fatal(err)
	}
	b, err := natsqueue.New(t.Context(), nc, natsqueue.Options{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publisher(t.Context(), "tasks"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("publisher: %v: want ErrNotFound", err)
	}
	if _, err := b.Consumer(t.Context(), "tasks", natsqueue.ConsumerOptions{}); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("consumer: %v: want ErrNotFound", err)
	}
}

// TestQueueRemoved removes the stream under a publisher and two kinds of
// receivers.
func TestQueueRemoved(t *testing.T) {
	t.Parallel()
	srv := startBroker(t, natsembed.Options{})
	nc, err := srv.Connect()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	b := openBroker(t, srv)
	p, err := b.Publisher(ctx, "tasks")
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Consumer(ctx, "tasks", natsqueue.ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}

	// The consumer alone is made again.
	if err := js.DeleteConsumer(ctx, "callfleet-tasks", "fleet"); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(ctx, queue.Message{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	if d := receiveOne(t, c); d.ID != "a" {
		t.Errorf("received %q: want a", d.ID)
	}

	if err := js.DeleteStream(ctx, "callfleet-tasks"); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(ctx, queue.Message{}); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("publish: %v: want ErrNotFound", err)
	}
	if _, err := c.Receive(ctx, 1); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("receive: %v: want ErrNotFound", err)
	}
	if _, err := c.Depth(ctx); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("depth: %v: want ErrNotFound", err)
	}
}

func TestOtherStreamOfThatName(t *testing.T) {
	t.Parallel()
	b := openBroker(t, startBroker(t, natsembed.Options{}))
	if _, err := b.FeedPublisher(t.Context(), "results"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publisher(t.Context(), "results"); err == nil {
		t.Error("a feed was opened as a queue: want an error")
	}
}

// TestShortDelays are those that the server would not keep exactly.
func TestShortDelays(t *testing.T) {
	t.Parallel()
	b := openBroker(t, startBroker(t, natsembed.Options{}))
	p, err := b.Publisher(t.Context(), "tasks")
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Consumer(t.Context(), "tasks", natsqueue.ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, delay := range []time.Duration{time.Millisecond, 60 * time.Millisecond, 249 * time.Millisecond, 250 * time.Millisecond} {
		start := time.Now()
		if err := p.Publish(t.Context(), queue.Message{ID: delay.String(), Delay: delay}); err != nil {
			t.Fatal(err)
		}
		d := receiveOne(t, c)
		if took := time.Since(start); took < delay || took > delay+2*time.Second {
			t.Errorf("delay of %s took %s", delay, took)
		}
		if err := d.Ack(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestConnectionClosed closes the connection under everything.
func TestConnectionClosed(t *testing.T) {
	t.Parallel()
	srv := startBroker(t, natsembed.Options{})
	nc, err := srv.Connect()
	if err != nil {
		t.Fatal(err)
	}
	b, err := natsqueue.New(t.Context(), nc, natsqueue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Publisher(t.Context(), "tasks")
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Consumer(t.Context(), "tasks", natsqueue.ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.Receive(t.Context(), 1); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("receive: %v: want ErrClosed", err)
		}
	})
	nc.Close()
	if err := p.Publish(t.Context(), queue.Message{}); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("publish: %v: want ErrClosed", err)
	}
	wg.Wait()
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
