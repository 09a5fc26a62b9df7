package sqsqueue

import (
	"context"
	"errors"
	"time"

	"callfleet/internal/queue"
)

const maxVisibility = 12 * time.Hour

var (
	_ queue.Consumer = (*Consumer)(nil)
	_ queue.Depth    = (*Consumer)(nil)
)

// Consumer receives from one queue or feed.
type Consumer struct {
	broker *Broker
	queue  Info
	lease  time.Duration
}

func newConsumer(b *Broker, q Info, lease time.Duration, maxDeliver int) *Consumer {
	return &Consumer{b, q, lease}
}

// Receive takes messages.
func (c *Consumer) Receive(context.Context, int) ([]*queue.Delivery, error) {
	return nil, errors.ErrUnsupported
}

// Lease is how long a delivery stays with its receiver without Extend.
func (c *Consumer) Lease() time.Duration { return c.lease }

// Depth counts the messages that wait.
func (c *Consumer) Depth(ctx context.Context) (int, error) {
	n, err := c.broker.counts(ctx, c.queue.Name, c.queue.URL)
	return n.Visible, err
}

// Close gives back what it holds.
func (c *Consumer) Close() error { return nil }
