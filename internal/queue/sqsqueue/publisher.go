package sqsqueue

import (
	"context"
	"fmt"

	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue/batch"
	"callfleet/internal/queue/sqsqueue/dedup"
	"callfleet/internal/queue/sqsqueue/message"
)

var _ queue.Publisher = (*Publisher)(nil)

// Publisher publishes on one queue.
type Publisher struct{ sender }

func newPublisher(b *Broker, q Info) *Publisher {
	sends := b.sqs.Sends(q.Name, q.URL, q.FIFO)
	p := &Publisher{sender{
		name: q.Name, limits: message.Limits(q.MaxBytes, q.FIFO), fifo: q.FIFO,
		route: func(context.Context, *queue.Message) (*batch.Batcher[*message.Outgoing], error) { return sends, nil },
	}}
	if !q.FIFO {
		p.ids = b.ids.Of(q.Name)
	}
	return p
}

// sender is what the publishers of queues and feeds share.
type sender struct {
	name   string // of the queue or feed
	limits queue.Limits
	fifo   bool
	ids    *dedup.Memory // nil where SQS deduplicates by itself
	// route finds the requests that a message goes with; nil drops it.
	route func(context.Context, *queue.Message) (*batch.Batcher[*message.Outgoing], error)
	// forgive turns an error of a message that was routed into what it means;
	// nil leaves it.
	forgive func(*queue.Message, error) error
}

// Limits are what SQS and the queue's own settings allow, less what is kept
// free for a dead-letter reason. FIFO queues and feeds know no delay.
func (s *sender) Limits() queue.Limits { return s.limits }

// Publish sends the messages, ten to a request with those of other calls, and
// returns when SQS has stored all of them. It refuses all of them when one is
// above the limits. What fails was tried several times.
func (s *sender) Publish(ctx context.Context, msgs ...queue.Message) error {
	p := publishing{sender: s, msgs: msgs, encoded: make([]message.Outgoing, len(msgs)), todo: make([]int, len(msgs))}
	for i := range msgs {
		var err error
		if p.encoded[i], err = message.Encode(&msgs[i], s.limits, s.fifo); err != nil {
			return fmt.Errorf("publish on %s: %w", s.name, err)
		}
		p.todo[i] = i
	}
	for len(p.todo) > 0 {
		if err := p.round(ctx); err != nil {
			return fmt.Errorf("publish on %s: %w", s.name, err)
		}
	}
	return nil
}

// publishing is one Publish under way, owned by its goroutine.
type publishing struct {
	*sender
	msgs    []queue.Message
	encoded []message.Outgoing // own copies: the caller may reuse msgs
	todo    []int              // indexes of msgs
}

// result is what became of a message.
type result struct {
	index int
	err   error
}

// follower is a message whose id somebody else is publishing.
type follower struct {
	index int
	other *dedup.Claim
}

// round sends what is to do, and leaves what others tried to publish in vain.
func (p *publishing) round(ctx context.Context) error {
	results := make(chan result, len(p.todo)) // nobody may wait any more when they come
	var followers []follower
	sent := 0
	for _, i := range p.todo {
		var c *dedup.Claim
		if id := p.msgs[i].ID; id != "" && p.ids != nil {
			mine := false
			if c, mine = p.ids.Claim(id); !mine {
				if c != nil {
					followers = append(followers, follower{i, c})
				}
				continue
			}
		}
		sent++
		p.send(ctx, i, func(err error) {
			if c != nil {
				p.ids.Finish(c, err == nil)
			}
			results <- result{i, err}
		})
	}
	if err := p.collect(ctx, results, sent); err != nil {
		return err
	}
	// Only now, so that two calls that follow each other both go on.
	return p.follow(ctx, followers)
}

// send sends message i, and calls done when that has ended.
func (p *publishing) send(ctx context.Context, i int, done func(error)) {
	requests, err := p.route(ctx, &p.msgs[i])
	if err != nil || requests == nil {
		done(err)
		return
	}
	if p.forgive != nil {
		m := queue.Message{Group: p.msgs[i].Group} // the caller may reuse msgs
		tell := done
		done = func(err error) { tell(p.forgive(&m, err)) }
	}
	requests.Add(ctx, &p.encoded[i], p.encoded[i].Size, done)
}

// collect waits for the results of n messages.
func (p *publishing) collect(ctx context.Context, results <-chan result, n int) error {
	var first result
	failed := 0
	for got := range n {
		select {
		case r := <-results:
			if r.err != nil {
				if failed++; failed == 1 {
					first = r
				}
			}
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages unconfirmed: %w", n-got+failed, len(p.msgs), context.Cause(ctx))
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d messages not sent, first %q: %w", failed, len(p.msgs), p.encoded[first.index].ID, first.err)
	}
	return nil
}

// follow waits for what others publish, and leaves to do what they did not.
func (p *publishing) follow(ctx context.Context, followers []follower) error {
	p.todo = p.todo[:0]
	for _, f := range followers {
		select {
		case <-f.other.Done():
			if !f.other.Sent() {
				p.todo = append(p.todo, f.index)
			}
		case <-ctx.Done():
			return fmt.Errorf("message %q is being published by another call: %w", p.encoded[f.index].ID, context.Cause(ctx))
		}
	}
	return nil
}
