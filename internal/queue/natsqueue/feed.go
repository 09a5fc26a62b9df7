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
func (b *Broker) FeedPublisher(ctx context.Context, feed string) (*FeedPublisher, error) {
	n, err := b.openFeed(ctx, feed)
	if err != nil {
		return nil, fmt.Errorf("open feed %s: %w", feed, err)
	}
	limits := b.limits
	limits.MaxDelay = 0 // the subjects of a feed are its runs: there is none for schedules
	route := func(m *queue.Message) string { return feedSubject(n, runOf(m)) }
	return &FeedPublisher{
		publisher: Publisher{broker: b, names: n, limits: limits, route: route},
		readers:   newReaders(b.js, n.stream),
	}, nil
}

// FeedPublisher publishes on one feed.
type FeedPublisher struct {
	publisher Publisher
	readers   *readers
}

var _ queue.Publisher = (*FeedPublisher)(nil)

// Limits are those of a Publisher. Feeds know no delay.
func (p *FeedPublisher) Limits() queue.Limits { return p.publisher.Limits() }

// Publish is that of a Publisher, for the messages that somebody reads.
func (p *FeedPublisher) Publish(ctx context.Context, msgs ...queue.Message) error {
	read := msgs
	for i := range msgs {
		if err := check(&msgs[i], p.Limits()); err != nil {
			return fmt.Errorf("publish on %s: %w", p.publisher.names.queue, err)
		}
		known, err := p.readers.know(ctx, runOf(&msgs[i]))
		switch {
		case err != nil:
			return fmt.Errorf("publish on %s: %w", p.publisher.names.queue, err)
		case known && len(read) < len(msgs):
			read = append(read, msgs[i])
		case !known && len(read) == len(msgs):
			read = append(make([]queue.Message, 0, len(msgs)), msgs[:i]...)
		}
	}
	if len(read) == 0 {
		return nil
	}
	return p.publisher.Publish(ctx, read...)
}

// FeedConsumer opens a feed for one run. It must be made before the run
// publishes, and may be made again after a crash: what was not acked is
// delivered again when its lease has ended. The server forgets the run when
// nobody has received for Options.FeedIdle, and each event at that age.
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

// End closes the feed and removes the run's consumer from the server, and then
// the events that it has not received.
func (f *Feed) End(ctx context.Context) error {
	if err := f.Close(); err != nil {
		return err
	}
	if err := f.remove(ctx); err != nil {
		return fmt.Errorf("end feed %s of run %s: %w", f.names.queue, f.config.Durable, border(err))
	}
	return nil
}

func (f *Feed) remove(ctx context.Context) error {
	stream, err := f.broker.js.Stream(ctx, f.names.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := stream.DeleteConsumer(ctx, f.config.Durable); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject(f.config.FilterSubject))
}

// openFeed makes sure that the feed's streams exist. A work queue keeps an
// event until its run has acked it. Interest retention would be the obvious
// choice, and loses events: when a consumer is deleted while others publish,
// nats-server (2.15.2 at least) now and then drops what another consumer has
// not received yet.
func (b *Broker) openFeed(ctx context.Context, feed string) (names, error) {
	n, err := queueNames(feed)
	if err != nil {
		return names{}, err
	}
	if err := b.dropInterest(ctx, n); err != nil {
		return names{}, err
	}
	err = b.ensureStream(ctx, jetstream.StreamConfig{
		Name:        n.stream,
		Description: "Callfleet feed " + feed,
		Subjects:    []string{n.subject + ".run.*"},
		Retention:   jetstream.WorkQueuePolicy,
		MaxAge:      b.options.FeedIdle,
		Replicas:    b.options.Replicas,
		Duplicates:  b.options.DedupWindow,
	})
	if err != nil {
		return names{}, err
	}
	return n, b.ensureDeadLetters(ctx, n)
}

// dropInterest deletes the feed's stream if it has interest retention, as
// versions before 1.0 made it, which cannot be changed in place. A stream that
// runs still read stays, and is refused.
func (b *Broker) dropInterest(ctx context.Context, n names) error {
	have, err := b.js.Stream(ctx, n.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", n.stream, err)
	}
	info := have.CachedInfo()
	switch {
	case info.Config.Retention != jetstream.InterestPolicy || b.options.MustExist:
		return nil
	case info.State.Consumers > 0:
		return fmt.Errorf("stream %s was made by an older version, and %d of its runs are not complete: end them with that version, or delete the stream",
			n.stream, info.State.Consumers)
	}
	err = b.js.DeleteStream(ctx, n.stream)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) { // somebody else just did
		return fmt.Errorf("delete stream %s of an older version: %w", n.stream, err)
	}
	return nil
}

// runOf is the run of a message; "" for groups that no run can have.
func runOf(m *queue.Message) string {
	run, _, _ := strings.Cut(m.Group, "-")
	if !isToken(run) {
		return ""
	}
	return run
}

func feedSubject(n names, run string) string { return n.subject + ".run." + run }
