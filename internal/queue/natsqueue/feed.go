package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/queue"
)

// FeedPublisher opens a feed for publishing: each message goes to the run that
// its Group names, up to the first '-' ("<run>-<n>"). A message for a run
// without a FeedConsumer is accepted and vanishes.
func (b *Broker) FeedPublisher(ctx context.Context, feed string) (*Publisher, error) {
	n, err := b.openFeed(ctx, feed)
	if err != nil {
		return nil, fmt.Errorf("open feed %s: %w", feed, err)
	}
	limits := b.limits
	limits.MaxDelay = 0 // nobody is interested in a schedule, so the server would drop it
	route := func(m *queue.Message) string { return feedSubject(n, m.Group) }
	return &Publisher{broker: b, names: n, limits: limits, route: route}, nil
}

// FeedConsumer opens a feed for one run. It must be made before the run
// publishes, and may be made again after a crash: what was not acked is
// delivered again when its lease has ended. The server forgets the run when
// nobody has received for Options.FeedIdle.
func (b *Broker) FeedConsumer(ctx context.Context, feed, run string) (*Feed, error) {
	n, err := b.openFeed(ctx, feed)
	if err != nil {
		return nil, fmt.Errorf("open feed %s: %w", feed, err)
	}
	if !isToken(run) || strings.Contains(run, "-") {
		return nil, fmt.Errorf("open feed %s: run %q: want letters, digits and _", feed, run)
	}
	c, err := b.consume(ctx, n, -1, jetstream.ConsumerConfig{
		Durable:           run,
		FilterSubject:     feedSubject(n, run),
		AckWait:           b.options.FeedLease,
		InactiveThreshold: b.options.FeedIdle,
	})
	if err != nil {
		return nil, err
	}
	return &Feed{c}, nil
}

// Feed is a feed's consumer for one run.
type Feed struct{ *Consumer }

// End closes the feed and removes the run's consumer from the server, and with
// it the events that nobody else follows.
func (f *Feed) End(ctx context.Context) error {
	if err := f.Close(); err != nil {
		return err
	}
	err := f.broker.js.DeleteConsumer(ctx, f.names.stream, f.config.Durable)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("end feed %s of run %s: %w", f.names.queue, f.config.Durable, border(err))
	}
	return nil
}

// openFeed makes sure that the feed's streams exist.
func (b *Broker) openFeed(ctx context.Context, feed string) (names, error) {
	n, err := queueNames(feed)
	if err != nil {
		return names{}, err
	}
	err = b.ensureStream(ctx, jetstream.StreamConfig{
		Name:        n.stream,
		Description: "Callfleet feed " + feed,
		Subjects:    []string{n.subject + ".run.*"},
		Retention:   jetstream.InterestPolicy,
		Replicas:    b.options.Replicas,
		Duplicates:  b.options.DedupWindow,
	})
	if err != nil {
		return names{}, err
	}
	return n, b.ensureDeadLetters(ctx, n)
}

// feedSubject is where the messages of a group go. Groups that no run can have
// share a subject that nobody reads.
func feedSubject(n names, group string) string {
	run, _, _ := strings.Cut(group, "-")
	if !isToken(run) {
		run = "-"
	}
	return n.subject + ".run." + run
}
