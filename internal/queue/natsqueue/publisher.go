package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue/confirm"
)

const (
	// minSchedule is the shortest delay that the server keeps exactly.
	minSchedule = 250 * time.Millisecond
	// window is how many messages of one Publish wait for their answers.
	window = 512
	// windowBytes bounds the bytes of one Publish that wait for their answers.
	windowBytes = 32 << 20
	firstPause  = 10 * time.Millisecond
	longPause   = time.Second
)

var _ queue.Publisher = (*Publisher)(nil)

// Publisher publishes on one queue or feed.
type Publisher struct {
	broker *Broker
	names  names
	limits queue.Limits
	route  func(*queue.Message) string // the subject of a message
}

// Limits are the server's max payload less what this package adds. Feeds know
// no delay.
func (p *Publisher) Limits() queue.Limits { return p.limits }

// Publish sends the messages and returns when the server has stored all of
// them. While the server is away it waits and sends again what was not
// answered, until ctx ends. It refuses all of them when one is above the
// limits. A delay below 250 ms is waited out here, before the message is sent.
func (p *Publisher) Publish(ctx context.Context, msgs ...queue.Message) error {
	for i := range msgs {
		if err := check(&msgs[i], p.limits); err != nil {
			return fmt.Errorf("publish on %s: %w", p.names.queue, err)
		}
	}
	b := newBatch(p, msgs)
	pause := firstPause
	for {
		if err := p.broker.confirms.Ready(ctx); err != nil {
			return fmt.Errorf("publish on %s: %w", p.names.queue, err)
		}
		if err := b.send(ctx); err != nil {
			return fmt.Errorf("publish on %s: %w", p.names.queue, err)
		}
		if len(b.todo) == 0 {
			return nil
		}
		if err := p.broker.exists(ctx, p.names, b.reason); err != nil {
			return fmt.Errorf("publish on %s: %w", p.names.queue, err)
		}
		if err := confirm.Sleep(ctx, pause); err != nil {
			return fmt.Errorf("publish on %s: %d of %d messages unconfirmed (%w): %w", p.names.queue, len(b.todo), len(msgs), b.reason, err)
		}
		pause = min(2*pause, longPause)
	}
}

// exists tells a queue that is gone from a server that is not ready.
func (b *Broker) exists(ctx context.Context, n names, reason error) error {
	if !errors.Is(reason, confirm.ErrNoResponder) {
		return nil
	}
	if _, err := b.js.Stream(ctx, n.stream); errors.Is(err, jetstream.ErrStreamNotFound) {
		return queue.ErrNotFound
	}
	return nil
}

// batch is one Publish under way, owned by its goroutine.
type batch struct {
	publisher *Publisher
	msgs      []queue.Message
	start     time.Time
	ids       string // distinguishes the schedules of this batch

	todo   []int // not confirmed yet: indexes of msgs
	reason error // why they were not
}

func newBatch(p *Publisher, msgs []queue.Message) *batch {
	b := &batch{publisher: p, msgs: msgs, todo: make([]int, len(msgs))}
	for i := range msgs {
		b.todo[i] = i
		if msgs[i].Delay > 0 && b.ids == "" {
			b.ids, b.start = nuid.Next(), time.Now()
		}
	}
	return b
}

// send sends what is to do, in a sliding window, and leaves what should be
// sent again. An error is for good.
func (b *batch) send(ctx context.Context) error {
	confirms := b.publisher.broker.confirms
	l := confirm.NewCall()
	bytes := 0
	for _, i := range b.todo {
		if err := b.awaitShortDelay(ctx, i); err != nil {
			confirms.Abandon(l, err)
			return err
		}
		bytes += len(b.msgs[i].Body)
		confirms.Send(l, i, b.message(i))
		most := window
		switch {
		case bytes >= windowBytes:
			most, bytes = 0, 0
		case l.Outstanding() >= window:
			most = window / 2
		}
		if err := confirms.Wait(ctx, l, most); err != nil {
			return err
		}
	}
	if err := confirms.Wait(ctx, l, 0); err != nil {
		return err
	}
	return b.sort(l.Failures())
}

// sort keeps what should be sent again and returns what is for good.
func (b *batch) sort(failed []confirm.Failure) error {
	b.todo = b.todo[:0]
	for _, f := range failed {
		if !confirm.Temporary(f.Err) {
			return fmt.Errorf("message %q: %w", b.msgs[f.Index].ID, border(f.Err))
		}
		b.todo = append(b.todo, f.Index)
		b.reason = f.Err
	}
	return nil
}

// message encodes message i, as a schedule if it has a delay.
func (b *batch) message(i int) *nats.Msg {
	m := &b.msgs[i]
	msg := encode(m, b.publisher.route(m))
	if m.Delay >= minSchedule {
		later := fmt.Sprintf("%s%s-%d", b.publisher.names.later, b.ids, i)
		postpone(msg, later, b.start, b.start.Add(m.Delay))
	}
	return msg
}

// awaitShortDelay waits out a delay that is too short for a schedule.
func (b *batch) awaitShortDelay(ctx context.Context, i int) error {
	if d := b.msgs[i].Delay; d > 0 && d < minSchedule {
		return confirm.Sleep(ctx, time.Until(b.start.Add(d)))
	}
	return nil
}

// border translates errors of the client library to those of the seam.
func border(err error) error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", queue.ErrTooLarge, err)
	case errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("%w: %w", queue.ErrClosed, err)
	}
	return err
}
