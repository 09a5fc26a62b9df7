package sqsqueue

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue/batch"
	"callfleet/internal/queue/sqsqueue/request"
)

const (
	// closeGrace is how long Close waits for receipts under way: one that is
	// cut off may have leased messages that nobody gets to see.
	closeGrace = time.Second
	// handBackTimeout bounds the hand-back of messages that nobody asked for.
	handBackTimeout = 5 * time.Second
	// bufferFor is how long a message waits here to be asked for, unless a
	// quarter of its lease is less.
	bufferFor = time.Second
)

var (
	_ queue.Consumer = (*Consumer)(nil)
	_ queue.Depth    = (*Consumer)(nil)
)

// Consumer receives from one queue or feed.
type Consumer struct {
	broker     *Broker
	queue      Info
	lease      time.Duration
	maxDeliver int // negative is no limit
	deletes    *batch.Batcher[string]
	changes    *batch.Batcher[request.Visibility]
	dead       *grave
	closed     chan struct{} // closed by Close

	// work is polls and hand-backs. Add is guarded by mu and stopped.
	work sync.WaitGroup

	mu       sync.Mutex
	waiting  []*receiver      // guarded by mu: Receive calls, oldest first
	buffer   []*held          // guarded by mu: arrived after their Receive was left
	tidy     *time.Timer      // guarded by mu: hands back what is in buffer
	polls    map[*poll]func() // guarded by mu: under way, with what cancels each
	asked    int              // guarded by mu: messages that polls may bring
	parallel int              // guarded by mu: polls at a time
	outage   outage           // guarded by mu
	stopped  bool             // guarded by mu
}

// receiver is a Receive call that waits.
type receiver struct {
	most int
	got  chan received // takes one
}

type received struct {
	deliveries []*queue.Delivery
	err        error
}

// held is a delivery that nobody asked for yet.
type held struct {
	delivery *queue.Delivery
	since    time.Time
}

func newConsumer(b *Broker, q Info, lease time.Duration, maxDeliver int) *Consumer {
	return &Consumer{
		broker: b, queue: q, lease: lease, maxDeliver: maxDeliver,
		deletes: b.sqs.Deletes(q.Name, q.URL), changes: b.sqs.Changes(q.Name, q.URL),
		dead: newGrave(b, q), closed: make(chan struct{}),
		polls: make(map[*poll]func()), parallel: 1,
	}
}

// Lease is how long a delivery stays with its receiver without Extend.
func (c *Consumer) Lease() time.Duration { return c.lease }

// useful is how long a lease is relied on here: SQS's began before the message
// arrived, and a settlement needs time to get there.
func (c *Consumer) useful(lease time.Duration) time.Duration {
	return lease - min(lease/10, time.Second)
}

// Depth counts the messages that wait, as SQS does: approximately.
func (c *Consumer) Depth(ctx context.Context) (int, error) {
	n, err := c.broker.counts(ctx, c.queue.Name, c.queue.URL)
	if err != nil {
		return 0, fmt.Errorf("depth of queue %s: %w", c.queue.Name, err)
	}
	return n.Visible, nil
}

// Receive blocks until there are messages and takes up to limit of them. It
// goes on through outages of SQS. Only when these credentials have never
// received anything and may not, it says so.
func (c *Consumer) Receive(ctx context.Context, limit int) ([]*queue.Delivery, error) {
	if limit < 1 {
		return nil, fmt.Errorf("receive from %s: at most %d messages asked for, want 1 or more", c.queue.Name, limit)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("receive from %s: %w", c.queue.Name, err)
	}
	r := &receiver{most: limit, got: make(chan received, 1)}
	if !c.enter(ctx, r) {
		return nil, fmt.Errorf("receive from %s: %w", c.queue.Name, queue.ErrClosed)
	}
	var cause error
	select {
	case got := <-r.got:
		return got.deliveries, got.err
	case <-ctx.Done():
		cause = ctx.Err()
	case <-c.closed:
		cause = queue.ErrClosed
	}
	if got, ok := c.leave(r); ok {
		return got.deliveries, got.err
	}
	return nil, fmt.Errorf("receive from %s: %w", c.queue.Name, cause)
}

// enter lines a receiver up, unless the consumer is closed.
func (c *Consumer) enter(ctx context.Context, r *receiver) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	c.waiting = append(c.waiting, r)
	c.serve()
	c.startPolls(ctx)
	return true
}

// leave takes a receiver out of the line, unless it was served meanwhile.
func (c *Consumer) leave(r *receiver) (received, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case got := <-r.got:
		return got, true
	default:
	}
	c.waiting = slices.DeleteFunc(c.waiting, func(other *receiver) bool { return r == other })
	return received{}, false
}

// serve gives what is in the buffer to who waits, in the order of both. The
// caller holds mu.
func (c *Consumer) serve() {
	for len(c.waiting) > 0 && len(c.buffer) > 0 {
		r := c.waiting[0]
		c.waiting = c.waiting[1:]
		n := min(r.most, len(c.buffer))
		deliveries := make([]*queue.Delivery, n)
		for i, h := range c.buffer[:n] {
			deliveries[i] = h.delivery
		}
		c.buffer = slices.Delete(c.buffer, 0, n)
		r.got <- received{deliveries: deliveries}
	}
}

// take puts what a poll brought where it is wanted. The caller holds mu.
func (c *Consumer) take(deliveries []*queue.Delivery) {
	now := time.Now()
	for _, d := range deliveries {
		c.buffer = append(c.buffer, &held{d, now})
	}
	c.serve()
	switch {
	case len(c.buffer) == 0:
	case c.stopped:
		c.handBack(len(c.buffer))
	case c.tidy == nil:
		c.tidy = time.AfterFunc(c.patience(), c.handBackOld)
	default:
		c.tidy.Reset(c.patience())
	}
}

// patience is how long a message waits to be asked for.
func (c *Consumer) patience() time.Duration { return min(bufferFor, c.lease/4) }

// handBackOld hands back what nobody has asked for in time.
func (c *Consumer) handBackOld() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped || len(c.buffer) == 0 {
		return
	}
	old := 0
	for old < len(c.buffer) && time.Since(c.buffer[old].since) >= c.patience() {
		old++
	}
	c.handBack(old)
	if len(c.buffer) > 0 {
		c.tidy.Reset(c.patience())
	}
}

// handBack returns the first n messages of the buffer to the queue. When that
// fails, their leases end in their own time. The caller holds mu.
func (c *Consumer) handBack(n int) {
	ctx, cancel := context.WithTimeout(context.Background(), handBackTimeout)
	var left sync.WaitGroup
	for _, h := range c.buffer[:n] {
		left.Go(func() { _ = h.delivery.Retry(ctx, 0) })
	}
	c.buffer = slices.Delete(c.buffer, 0, n)
	c.work.Go(func() {
		left.Wait()
		cancel()
	})
}

// Close ends the Receive calls with ErrClosed, waits a moment for receipts
// under way, and hands back what they bring. Deliveries already returned can
// still be settled.
func (c *Consumer) Close() error {
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return nil
	}
	c.stopped = true
	close(c.closed)
	if c.tidy != nil {
		c.tidy.Stop()
	}
	c.handBack(len(c.buffer))
	c.mu.Unlock()

	grace := time.AfterFunc(closeGrace, c.cancelPolls)
	defer grace.Stop()
	c.work.Wait()
	return nil
}

func (c *Consumer) cancelPolls() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cancel := range c.polls {
		cancel()
	}
}
