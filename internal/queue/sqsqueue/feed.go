package sqsqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"callfleet/internal/lifecycle"
	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue/batch"
	"callfleet/internal/queue/sqsqueue/message"
)

const (
	// missingFor is how long a run without a queue is not looked up again.
	missingFor = 2 * time.Second
	// maxRuns bounds the runs whose queues a FeedPublisher remembers.
	maxRuns = 1000
	// deletedPause is how long to wait before a name is tried again that was
	// in use until lately: SQS wants a minute.
	deletedPause = 5 * time.Second
	deletedTries = 15
	// usableAfter is how long SQS wants a new queue to be left alone (API
	// reference, CreateQueue). Until then one part of it may still say that
	// there is no such queue, and an outcome that vanishes is lost.
	usableAfter = time.Second
)

var (
	_ queue.Publisher = (*FeedPublisher)(nil)
	_ queue.Feed      = (*Feed)(nil)
)

// FeedPublisher publishes on the queues of runs.
type FeedPublisher struct {
	sender
	broker *Broker
	feed   string

	mu   sync.Mutex
	runs map[string]*runQueue // guarded by mu
}

// runQueue is what is known about a run's queue.
type runQueue struct {
	sends *batch.Batcher[*message.Outgoing] // nil if there is no queue
	asked time.Time                         // when it was last wanted
}

// FeedPublisher opens a feed for publishing: each message goes to the queue of
// the run that its Group names, up to the first '-' ("<run>-<n>"). A message
// for a run without a queue is accepted and vanishes. Runs are looked up as
// their messages come, so that nothing needs to exist yet.
func (b *Broker) FeedPublisher(_ context.Context, feed string) (*FeedPublisher, error) {
	full, err := b.names.queue(feed)
	if err != nil {
		return nil, fmt.Errorf("open feed %s: %w", feed, err)
	}
	p := &FeedPublisher{broker: b, feed: feed, runs: make(map[string]*runQueue)}
	limits := message.Limits(0, b.names.fifo)
	limits.MaxDelay = 0
	p.sender = sender{name: full, limits: limits, fifo: b.names.fifo, route: p.find, forgive: p.vanish}
	if !b.names.fifo {
		p.ids = b.ids.Of(full)
	}
	return p, nil
}

// runOf is the run of a message, and the name of its queue; "" without one.
func (p *FeedPublisher) runOf(m *queue.Message) (run, full string) {
	run, _, _ = strings.Cut(m.Group, "-")
	full, err := p.broker.names.run(p.feed, run)
	if err != nil {
		return "", ""
	}
	return run, full
}

// find routes a message; to nil if its run has no queue.
func (p *FeedPublisher) find(ctx context.Context, m *queue.Message) (*batch.Batcher[*message.Outgoing], error) {
	run, full := p.runOf(m)
	if run == "" || isDeadLetters(full) {
		return nil, nil
	}
	p.mu.Lock()
	if r := p.runs[run]; r != nil && (r.sends != nil || time.Since(r.asked) < missingFor) {
		if r.sends != nil {
			r.asked = time.Now()
		}
		p.mu.Unlock()
		return r.sends, nil
	}
	p.mu.Unlock()
	url, err := p.broker.url(ctx, full, "")
	switch {
	case errors.Is(err, queue.ErrNotFound):
		return p.remember(run, nil), nil
	case err != nil:
		return nil, err
	}
	return p.remember(run, p.broker.sqs.Sends(full, url, p.fifo)), nil
}

// remember notes the queue of a run, unless another call has.
func (p *FeedPublisher) remember(run string, sends *batch.Batcher[*message.Outgoing]) *batch.Batcher[*message.Outgoing] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.runs[run]; r != nil && r.sends != nil {
		return r.sends
	}
	if len(p.runs) >= maxRuns {
		p.forgetOldest()
	}
	p.runs[run] = &runQueue{sends: sends, asked: time.Now()}
	return sends
}

// forgetOldest makes room. The caller holds mu.
func (p *FeedPublisher) forgetOldest() {
	oldest := ""
	for run, r := range p.runs {
		if oldest == "" || r.asked.Before(p.runs[oldest].asked) {
			oldest = run
		}
	}
	delete(p.runs, oldest)
}

// vanish forgives that a run's queue was deleted: the run is over.
func (p *FeedPublisher) vanish(m *queue.Message, err error) error {
	if !errors.Is(err, queue.ErrNotFound) {
		return err
	}
	run, _ := p.runOf(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs[run] = &runQueue{asked: time.Now()}
	return nil
}

// Feed receives the events of one run, from a queue of its own.
type Feed struct{ *Consumer }

// FeedConsumer opens a feed for one run, and makes the run's queue if it is
// missing. It must be made before the run publishes, and may be made again
// after a crash: what was not acked is delivered again. The queue stays until
// End.
func (b *Broker) FeedConsumer(ctx context.Context, feed, run string) (*Feed, error) {
	full, err := b.names.run(feed, run)
	if err != nil {
		return nil, fmt.Errorf("open feed %s: %w", feed, err)
	}
	q, err := b.describe(ctx, full)
	if errors.Is(err, queue.ErrNotFound) {
		q, err = b.makeRun(ctx, full, run)
	}
	if err != nil {
		return nil, fmt.Errorf("open feed %s: %w", feed, err)
	}
	all, err := b.names.queue(feed)
	if err != nil {
		return nil, fmt.Errorf("open feed %s: %w", feed, err)
	}
	c := newConsumer(b, q, message.WholeSeconds(b.options.FeedLease), -1)
	c.dead = newGrave(b, Info{Name: all, FIFO: q.FIFO}) // runs share the feed's
	return &Feed{c}, nil
}

// makeRun makes the queue of a run, and waits out that SQS keeps the name of a
// deleted queue for a minute.
func (b *Broker) makeRun(ctx context.Context, full, run string) (Info, error) {
	for try := 1; ; try++ {
		err := b.make(ctx, full, map[string]string{
			"MessageRetentionPeriod": secondsOf(deadLetterRetention),
			"VisibilityTimeout":      secondsOf(message.WholeSeconds(b.options.FeedLease)),
		}, map[string]string{"callfleet:run": run})
		var deleted *types.QueueDeletedRecently
		switch {
		case err == nil:
			if err := lifecycle.Sleep(ctx, usableAfter); err != nil {
				return Info{}, err
			}
			return b.awaitQueue(ctx, full)
		case !errors.As(err, &deleted) || try == deletedTries:
			return Info{}, err
		case try == 1:
			b.options.Logger.WarnContext(ctx, "a queue of this name was deleted less than a minute ago, waiting until SQS frees the name", "queue", full)
		}
		if err := lifecycle.Sleep(ctx, deletedPause); err != nil {
			return Info{}, fmt.Errorf("queue %s was deleted less than a minute ago, SQS does not free the name yet: %w", full, err)
		}
	}
}

// End closes the feed and deletes the run's queue with what it holds. A queue
// that is gone already is no error.
func (f *Feed) End(ctx context.Context) error {
	if err := f.Close(); err != nil {
		return err
	}
	q := f.queue
	if _, err := f.broker.sqs.API.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &q.URL}); err != nil {
		err = f.broker.sqs.Explain("sqs:DeleteQueue", q.Name, err)
		if !errors.Is(err, queue.ErrNotFound) {
			return fmt.Errorf("end feed %s: %w", q.Name, err)
		}
	}
	return nil
}
