package sqsqueue

import (
	"context"
	"errors"

	"callfleet/internal/queue"
)

var _ queue.Publisher = (*FeedPublisher)(nil)

// FeedPublisher publishes on the queues of runs.
type FeedPublisher struct{}

// Limits are what SQS takes.
func (p *FeedPublisher) Limits() queue.Limits { return queue.Limits{} }

// Publish sends each message to its run.
func (p *FeedPublisher) Publish(context.Context, ...queue.Message) error {
	return errors.ErrUnsupported
}

// FeedPublisher opens a feed for publishing.
func (b *Broker) FeedPublisher(ctx context.Context, feed string) (*FeedPublisher, error) {
	return nil, errors.ErrUnsupported
}

// Feed is the consumer of one run's events.
type Feed struct{ *Consumer }

// End deletes the run's queue.
func (f *Feed) End(ctx context.Context) error { return errors.ErrUnsupported }

// FeedConsumer opens a feed for one run.
func (b *Broker) FeedConsumer(ctx context.Context, feed, run string) (*Feed, error) {
	return nil, errors.ErrUnsupported
}
