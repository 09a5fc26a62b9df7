package backend

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"

	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
)

// natsBroker is a broker on NATS JetStream. Its methods never return a nil
// pointer as an interface.
type natsBroker struct {
	conn   *nats.Conn
	queues *natsqueue.Broker
}

func (b *Backend) openNATS(ctx context.Context) (queueBroker, error) {
	nc, err := b.connect(ctx, b.options.Queue)
	if err != nil {
		return nil, err
	}
	queues, err := natsqueue.New(ctx, nc, natsqueue.Options{Logger: b.options.Logger})
	if err != nil {
		return nil, err
	}
	b.System = "nats"
	return &natsBroker{nc, queues}, nil
}

func (b *Backend) connect(ctx context.Context, at string) (*nats.Conn, error) {
	if b.options.Embedded != nil && at == b.options.Queue {
		return b.options.Embedded, nil
	}
	options := append(natsqueue.ConnectOptions(b.options.Name), nats.Timeout(5*time.Second))
	if deadline, ok := ctx.Deadline(); ok {
		options = append(options, nats.Timeout(time.Until(deadline)))
	}
	nc, err := nats.Connect(at, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to the broker %s: %w: start one with \"stepfunctions\", or say with CALLFLEET_QUEUE where it is", redact(at), err)
	}
	b.close = append(b.close, nc.Close)
	return nc, nil
}

func redact(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return "(URL that cannot be read)"
	}
	return u.Redacted()
}

func (n *natsBroker) publisher(ctx context.Context, name string) (queue.Publisher, error) {
	p, err := n.queues.Publisher(ctx, name)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (n *natsBroker) consumer(ctx context.Context, name string, lease time.Duration) (Consumer, error) {
	c, err := n.queues.Consumer(ctx, name, natsqueue.ConsumerOptions{Lease: lease})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (n *natsBroker) feedPublisher(ctx context.Context, feed string) (queue.Publisher, error) {
	p, err := n.queues.FeedPublisher(ctx, feed)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (n *natsBroker) feedConsumer(ctx context.Context, feed, run string) (queue.Feed, error) {
	c, err := n.queues.FeedConsumer(ctx, feed, run)
	if err != nil {
		return nil, err
	}
	return c, nil
}
