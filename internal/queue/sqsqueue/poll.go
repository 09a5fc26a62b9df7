package sqsqueue

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue/request"
)

const (
	// maxPolls bounds the receipts at a time.
	maxPolls = 32
	// smallPoll is the least that is worth another receipt beside one under way.
	smallPoll = 5
	// pollTries is how often the SDK tries a receipt. More is up to the outage.
	pollTries = 2
	// pollGrace is how long SQS may take beyond the wait that it was asked for.
	pollGrace = 15 * time.Second
	// idlePause follows a receipt that should have waited, brought nothing,
	// and came back at once.
	idlePause = 100 * time.Millisecond

	// rejectTimeout bounds the rejection of what nobody gets to see.
	rejectTimeout = 10 * time.Second

	firstPause = 100 * time.Millisecond
	longPause  = 5 * time.Second
)

// poll is one receipt under way. It asks for no more than Receive calls have
// asked for, and does not end with them: what it brings goes to the next one.
type poll struct {
	most int
}

// outage is a time in which nothing could be received.
type outage struct {
	since    time.Time     // zero if there is none
	failures int           // of polls, in a row
	told     slog.Level    // of what was logged about it, 0 for nothing
	pause    time.Duration // before the next poll
	received bool          // a poll has succeeded, ever
}

// startPolls asks SQS for what is wanted and not asked for yet: by one poll at
// a time as long as there is little, by more while they come back full. The
// caller holds mu.
func (c *Consumer) startPolls(ctx context.Context) {
	wanted := -c.asked
	for _, r := range c.waiting {
		wanted += r.most
	}
	for !c.stopped && wanted > 0 && len(c.polls) < c.parallel {
		p := &poll{most: min(wanted, request.MaxEntries)}
		if len(c.polls) > 0 && p.most < smallPoll {
			return
		}
		wanted -= p.most
		c.asked += p.most
		pause := jitter(c.outage.pause)
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), pause+c.broker.options.Wait+pollGrace)
		c.polls[p] = cancel
		c.work.Add(1)
		c.broker.sqs.Go(func() {
			defer c.work.Done()
			defer cancel()
			if !c.rest(within, pause) {
				c.end(ctx, p, answered{err: queue.ErrClosed})
				return
			}
			c.end(ctx, p, c.receive(within, p.most))
		})
	}
}

// jitter spreads the polls of a fleet that comes back from an outage.
func jitter(d time.Duration) time.Duration {
	if d == 0 {
		return 0
	}
	return d/2 + rand.N(d/2+1)
}

// rest waits, and tells whether the consumer is still open then.
func (c *Consumer) rest(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.closed:
	case <-ctx.Done():
	}
	return false
}

// answered is what a poll brought.
type answered struct {
	deliveries []*queue.Delivery
	count      int  // with those that went to the dead-letter queue
	hasty      bool // nothing came, and at once
	err        error
}

// receive asks SQS once.
func (c *Consumer) receive(ctx context.Context, most int) answered {
	start := time.Now()
	in := &sqs.ReceiveMessageInput{
		QueueUrl:              &c.queue.URL,
		MaxNumberOfMessages:   int32(most),
		WaitTimeSeconds:       int32(c.broker.options.Wait / time.Second),
		VisibilityTimeout:     int32(c.lease / time.Second),
		MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{
			types.MessageSystemAttributeNameApproximateReceiveCount,
			types.MessageSystemAttributeNameSentTimestamp,
			types.MessageSystemAttributeNameMessageGroupId,
			types.MessageSystemAttributeNameDeadLetterQueueSourceArn,
		},
	}
	if c.queue.FIFO { // the SDK's second try gets what the first one leased
		in.ReceiveRequestAttemptId = aws.String(fmt.Sprintf("%x%x", rand.Uint64(), rand.Uint64()))
	}
	out, err := c.broker.sqs.API.ReceiveMessage(ctx, in, func(o *sqs.Options) { o.RetryMaxAttempts = pollTries })
	if err != nil {
		return answered{err: err}
	}
	now := time.Now()
	a := answered{count: len(out.Messages)}
	a.hasty = a.count == 0 && now.Sub(start) < min(c.broker.options.Wait, time.Second)/2
	for i := range out.Messages {
		if d := c.accept(&out.Messages[i], now); d != nil {
			a.deliveries = append(a.deliveries, d)
		}
	}
	return a
}

// accept makes a delivery of a message. One that was received too often, or
// that cannot be read, goes to the dead-letter queue, and the result is nil.
func (c *Consumer) accept(raw *types.Message, now time.Time) *queue.Delivery {
	d, err := newDelivery(c, raw, now)
	reason := ""
	switch {
	case err != nil && !isDeadLetters(c.queue.Name): // from there it is delivered as it is
		reason = "message cannot be decoded: " + err.Error()
	case c.maxDeliver > 0 && d.Attempt > c.maxDeliver:
		reason = fmt.Sprintf("received %d times and never settled", d.Attempt-1)
	default:
		return d
	}
	c.work.Go(func() { // called by a poll, so there is work already
		ctx, cancel := context.WithTimeout(context.Background(), rejectTimeout)
		defer cancel()
		if err := d.Reject(ctx, reason); err != nil {
			c.broker.options.Logger.WarnContext(ctx, "message not moved to dead-letter queue, will be received again",
				"queue", c.queue.Name, "message", d.ID, "reason", reason, "error", err)
		}
	})
	return nil
}

// end takes what a poll brought, and starts the next ones if somebody waits.
func (c *Consumer) end(ctx context.Context, p *poll, a answered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.polls, p)
	c.asked -= p.most
	switch {
	case c.stopped && a.err != nil:
		return
	case a.err != nil:
		c.failed(ctx, a.err)
	default:
		c.recovered(ctx)
		c.adapt(p, a)
	}
	c.take(a.deliveries)
	c.startPolls(ctx)
}

// adapt sets how many polls run at a time. The caller holds mu.
func (c *Consumer) adapt(p *poll, a answered) {
	c.outage.pause = 0
	switch {
	case a.count == request.MaxEntries:
		c.parallel = min(2*c.parallel, maxPolls)
	case a.count == 0:
		c.parallel = 1
		if a.hasty {
			c.outage.pause = idlePause
		}
	case a.count < p.most/2:
		c.parallel = max(1, c.parallel-1)
	}
}

// failed notes that a poll brought an error: the next one comes after a pause.
// An outage is logged once, from the second failure on, and once more when it
// turns out to need somebody. The caller holds mu.
func (c *Consumer) failed(ctx context.Context, err error) {
	err = c.broker.sqs.Explain("sqs:ReceiveMessage", c.queue.Name, err)
	kind := request.TroubleOf(err)
	o := &c.outage
	c.parallel = 1
	o.pause = min(max(2*o.pause, firstPause), longPause)
	if kind == request.Denied && !o.received {
		c.fail(err)
		return
	}
	if o.failures++; o.failures == 1 {
		o.since = time.Now()
	}
	level := slog.LevelWarn
	if kind.Urgent() {
		level = slog.LevelError
	}
	if level > o.told && (o.failures > 1 || kind.Urgent()) {
		o.told = level
		c.broker.options.Logger.Log(ctx, level, "cannot receive messages, trying until it works", "queue", c.queue.Name, "error", err)
	}
}

// fail gives an error to all who wait. The caller holds mu.
func (c *Consumer) fail(err error) {
	for _, r := range c.waiting {
		r.got <- received{err: fmt.Errorf("receive from %s: %w", c.queue.Name, err)}
	}
	c.waiting = nil
}

// recovered notes that a poll succeeded. The caller holds mu.
func (c *Consumer) recovered(ctx context.Context) {
	if c.outage.told > 0 {
		c.broker.options.Logger.WarnContext(ctx, "receiving messages again",
			"queue", c.queue.Name, "outage", time.Since(c.outage.since).Round(time.Millisecond))
	}
	c.outage = outage{received: true}
}
