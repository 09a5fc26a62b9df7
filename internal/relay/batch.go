package relay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/lifecycle"
	"callfleet/internal/queue"
)

const (
	// publishTimeout bounds one try to publish a batch.
	publishTimeout = 10 * time.Second
	// settleTimeout bounds one settlement, and one extension of a lease.
	settleTimeout = 5 * time.Second
	firstPause    = 100 * time.Millisecond
	lastPause     = 5 * time.Second
	// longestStay is the longest that an event stays away that was handed back.
	longestStay = 5 * time.Minute
)

// batch is events under way, owned by their goroutine.
type batch struct {
	deliveries []*queue.Delivery
	msgs       []queue.Message // what they become, in the same order
	every      time.Duration   // a third of the lease
	due        time.Time       // of the next extension
}

// relay publishes what it can of the deliveries, and settles all of them. It
// returns an error when the feed is closed.
func (r *Relay) relay(ctx context.Context, deliveries []*queue.Delivery) error {
	every := r.events.Lease() / 3
	b := &batch{every: every, due: time.Now().Add(every)}
	for _, d := range deliveries {
		o, err := call.DecodeOutcome(d.Body)
		if most := r.feed.Limits().MaxBytes; err == nil && len(d.Body) > most {
			err = fmt.Errorf("%w: %d bytes, the feed takes %d", queue.ErrTooLarge, len(d.Body), most)
		}
		if errors.Is(err, call.ErrID) {
			// Started by hand, or by somebody else: nobody waits on a feed.
			r.stats.foreign.Add(1)
			r.settle(ctx, d, d.Ack)
			continue
		}
		if err != nil {
			r.reject(ctx, d, err.Error())
			continue
		}
		b.add(d, queue.Message{ID: eventID(&o), Group: o.ID, Body: d.Body})
	}
	return r.publish(ctx, b)
}

func (b *batch) add(d *queue.Delivery, m queue.Message) {
	b.deliveries, b.msgs = append(b.deliveries, d), append(b.msgs, m)
}

// eventID is the same for each copy of an event, and another for each event of
// an execution: EventBridge may deliver an event twice.
func eventID(o *call.Outcome) string {
	at := o.Stopped
	if at.IsZero() {
		at = o.Started
	}
	return o.ID + "." + string(o.Status) + "." + strconv.FormatInt(at.UnixMilli(), 36)
}

// publish tries until the events are on their feeds. They are kept meanwhile:
// to hand them back and receive them again would use up their deliveries.
func (r *Relay) publish(ctx context.Context, b *batch) error {
	for bound := firstPause; len(b.msgs) > 0; bound = min(2*bound, lastPause) {
		once, cancel := context.WithTimeout(ctx, publishTimeout)
		err := r.feed.Publish(once, b.msgs...)
		cancel()
		switch {
		case err == nil:
			r.stats.relayed.Add(uint64(len(b.msgs)))
			b.each(func(d *queue.Delivery) { r.settle(ctx, d, d.Ack) })
			return nil
		case errors.Is(err, queue.ErrTooLarge):
			return r.publishEach(ctx, b, err)
		case errors.Is(err, queue.ErrClosed):
			r.handBack(ctx, b)
			return fmt.Errorf("publish events: %w", err)
		case ctx.Err() == nil:
			r.stats.errors.Add(uint64(len(b.msgs)))
			if r.told.pass() {
				r.log.WarnContext(ctx, "events cannot be published: keeping them, and trying again until they can", "events", len(b.msgs), "error", err)
			}
			b.hold(ctx, bound/2+rand.N(bound/2))
		}
		if ctx.Err() != nil {
			r.handBack(ctx, b)
			return nil
		}
	}
	return nil
}

// publishEach finds the event that, with what is added on the way, is too large
// for its feed.
func (r *Relay) publishEach(ctx context.Context, b *batch, err error) error {
	if len(b.msgs) == 1 {
		r.reject(ctx, b.deliveries[0], err.Error())
		return nil
	}
	for i := range b.msgs {
		one := &batch{deliveries: b.deliveries[i : i+1], msgs: b.msgs[i : i+1], every: b.every, due: b.due}
		if err := r.publish(ctx, one); err != nil {
			r.handBack(ctx, &batch{deliveries: b.deliveries[i+1:]})
			return err
		}
	}
	return nil
}

// each settles all deliveries at once, for brokers that do so in batches.
func (b *batch) each(settle func(*queue.Delivery)) {
	var all sync.WaitGroup
	for _, d := range b.deliveries {
		all.Go(func() { settle(d) })
	}
	all.Wait()
}

// hold waits for d and keeps the leases. Events whose lease is lost are another
// relay's, and leave the batch.
func (b *batch) hold(ctx context.Context, d time.Duration) {
	for end := time.Now().Add(d); ctx.Err() == nil; {
		_ = lifecycle.Sleep(ctx, min(time.Until(end), time.Until(b.due)))
		if !time.Now().Before(b.due) {
			b.extend(ctx)
		}
		if !time.Now().Before(end) {
			return
		}
	}
}

// extend starts the leases anew. After an error that is tried again soon: two
// thirds of them are left for the broker to come back.
func (b *batch) extend(ctx context.Context) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	errs := make([]error, len(b.deliveries))
	var all sync.WaitGroup
	for i, d := range b.deliveries {
		all.Go(func() { errs[i] = d.Extend(ctx) })
	}
	all.Wait()
	b.due = began.Add(b.every)
	kept := batch{every: b.every, due: b.due}
	for i, err := range errs {
		if errors.Is(err, queue.ErrLeaseLost) {
			continue
		}
		if err != nil {
			kept.due = time.Now().Add(b.every / 8)
		}
		kept.add(b.deliveries[i], b.msgs[i])
	}
	*b = kept
}

// handBack gives up events when the relay stops. One that has come to that
// before stays away for a while, longer each time, so that relays which are
// replaced during an outage do not use up its deliveries.
func (r *Relay) handBack(ctx context.Context, b *batch) {
	b.each(func(d *queue.Delivery) {
		var delay time.Duration
		if d.Attempt > 1 {
			delay = min(r.events.Lease()/8<<min(d.Attempt-1, 10), longestStay)
		}
		r.settle(ctx, d, func(ctx context.Context) error { return d.Retry(ctx, delay) })
	})
}

func (r *Relay) reject(ctx context.Context, d *queue.Delivery, reason string) {
	r.stats.rejected.Add(1)
	r.log.WarnContext(ctx, "moving an event to the dead-letter queue", "message", d.ID, "reason", reason)
	r.settle(ctx, d, func(ctx context.Context) error { return d.Reject(ctx, reason) })
}

// settle ends a delivery. When that cannot be recorded the event comes again,
// and is published once more.
func (r *Relay) settle(ctx context.Context, d *queue.Delivery, how func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := how(ctx); err != nil && !errors.Is(err, queue.ErrLeaseLost) && r.told.pass() {
		r.log.WarnContext(ctx, "leaving an event to come again when its lease ends", "message", d.ID, "error", err)
	}
}
