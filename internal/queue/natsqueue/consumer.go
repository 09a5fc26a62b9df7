package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue/confirm"
)

const (
	defaultLease      = 90 * time.Second
	defaultMaxDeliver = 10
	// maxLeased is how many messages may be leased fleet-wide; one worker
	// holds thousands.
	maxLeased = 1_000_000
	// maxReceivers is how many Receive calls may wait fleet-wide.
	maxReceivers = 16_384
)

var (
	_ queue.Consumer = (*Consumer)(nil)
	_ queue.Depth    = (*Consumer)(nil)
)

// ConsumerOptions are those of everybody who receives from one queue: they
// share one consumer on the server, and who opens it last sets its lease.
type ConsumerOptions struct {
	// Lease is 90 s if 0.
	Lease time.Duration
	// MaxDeliver is how often a message is received before it goes to the
	// dead-letter queue; 10 if 0, no limit if negative.
	MaxDeliver int
}

// Consumer receives from one queue or feed.
type Consumer struct {
	broker     *Broker
	names      names
	config     jetstream.ConsumerConfig
	maxDeliver int
	closed     chan struct{} // closed by Close

	mu        sync.Mutex
	idle      []*puller      // guarded by mu
	receiving sync.WaitGroup // Add is guarded by mu and closed
	stopped   bool           // guarded by mu
}

// Consumer opens a queue for receiving. The queue and its dead-letter queue
// are made if they are missing.
func (b *Broker) Consumer(ctx context.Context, name string, o ConsumerOptions) (*Consumer, error) {
	n, err := b.openQueue(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open queue %s: %w", name, err)
	}
	if o.Lease < 0 {
		return nil, fmt.Errorf("open queue %s: lease %s: must not be negative", name, o.Lease)
	}
	o.MaxDeliver = orDefault(o.MaxDeliver, defaultMaxDeliver)
	if n.deadLetter {
		o.MaxDeliver = -1 // there is nowhere further to go
	}
	return b.consume(ctx, n, o.MaxDeliver, jetstream.ConsumerConfig{
		Durable:       fleetConsumer,
		FilterSubject: n.subject,
		AckWait:       orDefault(o.Lease, defaultLease),
	})
}

// consume makes the consumer on the server, or brings it up to date.
func (b *Broker) consume(ctx context.Context, n names, maxDeliver int, config jetstream.ConsumerConfig) (*Consumer, error) {
	config.AckPolicy = jetstream.AckExplicitPolicy
	config.MaxDeliver = -1 // see Consumer.accept
	config.MaxAckPending = maxLeased
	config.MaxWaiting = maxReceivers
	c := &Consumer{broker: b, names: n, config: config, maxDeliver: maxDeliver, closed: make(chan struct{})}
	if err := c.ensure(ctx); err != nil {
		return nil, fmt.Errorf("open queue %s: %w", n.queue, err)
	}
	return c, nil
}

// ensure makes the consumer on the server if it is not there.
func (c *Consumer) ensure(ctx context.Context) error {
	_, err := c.broker.js.CreateOrUpdateConsumer(ctx, c.names.stream, c.config)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return queue.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("consumer %s of stream %s: %w", c.config.Durable, c.names.stream, err)
	}
	return nil
}

// Lease is how long a delivery stays with its receiver without Extend.
func (c *Consumer) Lease() time.Duration { return c.config.AckWait }

// useful is how long a lease is relied on here: the server's began before the
// message arrived, and a settlement needs time to get there. An ack that slips
// through late takes the message off the queue, for which its sender has done
// the work.
func (c *Consumer) useful() time.Duration {
	return c.config.AckWait - min(c.config.AckWait/10, time.Second)
}

// Depth counts the messages that were never received. Messages that wait for
// another receipt are not among them: the server counts those as leased.
func (c *Consumer) Depth(ctx context.Context) (int, error) {
	consumer, err := c.broker.js.Consumer(ctx, c.names.stream, c.config.Durable) // fetches the state
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = queue.ErrNotFound
	}
	if err != nil {
		return 0, fmt.Errorf("depth of queue %s: %w", c.names.queue, err)
	}
	return int(consumer.CachedInfo().NumPending), nil
}

// Receive blocks until there are messages and takes up to max of them. It
// survives restarts of the server. When ctx ends just as messages arrive, it
// returns them without an error.
func (c *Consumer) Receive(ctx context.Context, limit int) ([]*queue.Delivery, error) {
	if limit < 1 {
		return nil, fmt.Errorf("receive from %s: at most %d messages asked for, want 1 or more", c.names.queue, limit)
	}
	if !c.enter() {
		return nil, fmt.Errorf("receive from %s: %w", c.names.queue, queue.ErrClosed)
	}
	defer c.receiving.Done()
	pause := firstPause
	for {
		arrived, cause := c.pull(ctx, limit)
		if deliveries := c.accept(ctx, arrived); len(deliveries) > 0 {
			return deliveries, nil
		}
		if err := c.recover(ctx, cause, &pause); err != nil {
			return nil, fmt.Errorf("receive from %s: %w", c.names.queue, err)
		}
	}
}

// enter registers a Receive, unless the consumer is closed.
func (c *Consumer) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	c.receiving.Add(1)
	return true
}

// pull asks the server once. The cause says why there may be no messages.
func (c *Consumer) pull(ctx context.Context, limit int) ([]arrival, error) {
	if err := c.broker.confirms.Ready(ctx); err != nil {
		return nil, err
	}
	p, err := c.take()
	if err != nil {
		return nil, err
	}
	arrived, cause := p.pull(ctx, limit, c.closed)
	if p.retired() {
		p.drain()
	} else {
		c.put(p)
	}
	return arrived, cause
}

// take gets an idle puller or makes one.
func (c *Consumer) take() (*puller, error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		p := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		return p, nil
	}
	c.mu.Unlock()
	return newPuller(c)
}

func (c *Consumer) put(p *puller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, p)
}

// recover decides what to do about a pull that brought nothing: go on (nil),
// after a pause where the server needs one, or give up.
func (c *Consumer) recover(ctx context.Context, cause error, pause *time.Duration) error {
	switch {
	case cause == nil, errors.Is(cause, errReconnected):
		*pause = firstPause
		return ctx.Err()
	case errors.Is(cause, errBusy):
		// Others wait for the messages there are: they are gone in a moment.
		*pause = min(2**pause, 50*time.Millisecond)
		return confirm.Sleep(ctx, *pause/8)
	case errors.Is(cause, confirm.ErrNoAnswer), errors.Is(cause, errConsumerGone):
		if err := confirm.Sleep(ctx, *pause); err != nil {
			return err
		}
		*pause = min(2**pause, longPause)
		return c.revive(ctx)
	}
	return border(cause)
}

// revive looks after the consumer on the server, which somebody may have
// removed. A server that does not answer is no reason to give up.
func (c *Consumer) revive(ctx context.Context) error {
	err := c.ensure(ctx)
	if errors.Is(err, queue.ErrNotFound) {
		return err
	}
	if err != nil {
		c.broker.options.Logger.DebugContext(ctx, "queue not ready, trying again", "queue", c.names.queue, "error", err)
	}
	return ctx.Err()
}

// accept turns arrivals into deliveries, and dead-letters those that were
// received too often. The server would stop delivering such a message and keep
// it for ever, so MaxDeliver is kept here.
func (c *Consumer) accept(ctx context.Context, arrived []arrival) []*queue.Delivery {
	if len(arrived) == 0 {
		return nil
	}
	deliveries := make([]*queue.Delivery, 0, len(arrived))
	for _, a := range arrived {
		d := newDelivery(c, a)
		if c.maxDeliver < 0 || d.Attempt <= c.maxDeliver {
			deliveries = append(deliveries, d)
			continue
		}
		reason := fmt.Sprintf("received %d times and never settled", c.maxDeliver)
		if err := d.Reject(context.WithoutCancel(ctx), reason); err != nil {
			c.broker.options.Logger.WarnContext(ctx, "message not moved to dead-letter queue, will be received again",
				"queue", c.names.queue, "message", d.ID, "error", err)
		}
	}
	return deliveries
}

// Close ends the Receive calls with ErrClosed and hands back what was on its
// way to them. Deliveries already returned can still be settled.
func (c *Consumer) Close() error {
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return nil
	}
	c.stopped = true
	close(c.closed)
	c.mu.Unlock()
	c.receiving.Wait()
	for _, p := range c.idle { // nobody else touches it any more
		p.drain()
	}
	c.idle = nil
	// After the answer to this the server sends nothing more to the pullers.
	// Without a connection it sends nothing anyway.
	if c.broker.nc.IsConnected() {
		_ = c.broker.nc.FlushTimeout(time.Second)
	}
	return nil
}
