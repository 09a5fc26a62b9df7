package sqsqueue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"callfleet/internal/lifecycle"
	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue/message"
	"callfleet/internal/queue/sqsqueue/request"
)

const (
	// maxVisibility is how long SQS lets a message stay invisible after a
	// receipt, whatever the extensions.
	maxVisibility = 12 * time.Hour
	// visibilityMargin is what is left of it for the way there.
	visibilityMargin = 2 * time.Second
)

var _ queue.Settler = (*settler)(nil)

// settler settles one delivery.
type settler struct {
	consumer   *Consumer
	delivery   *queue.Delivery
	handle     string
	messageID  string // SQS's
	group      string // SQS's
	attributes map[string]types.MessageAttributeValue
	received   time.Time
	turn       chan struct{} // holds one value while SQS is told something

	mu      sync.Mutex
	expires time.Time // guarded by mu: when the lease counts as over here
	settled string    // guarded by mu: how it was settled, "" if not yet
	buried  bool      // owned by who has the turn: it is on the dead-letter queue
}

// newDelivery decodes a message that was received at a time. With an error
// there is a delivery too, to be rejected.
func newDelivery(c *Consumer, raw *types.Message, at time.Time) (*queue.Delivery, error) {
	both := &struct {
		queue.Delivery
		settler
	}{}
	d, s := &both.Delivery, &both.settler
	s.consumer, s.delivery, s.received = c, d, at
	s.handle, s.messageID = aws.ToString(raw.ReceiptHandle), aws.ToString(raw.MessageId)
	s.group = raw.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)]
	s.attributes = raw.MessageAttributes
	s.expires = at.Add(c.useful(c.lease))
	s.turn = make(chan struct{}, 1)
	var err error
	d.Message, err = message.Decode(raw)
	if err != nil { // as it came
		d.Body = []byte(aws.ToString(raw.Body))
	}
	d.Sent, d.Attempt, d.Settler = message.Sent(raw), message.Attempt(raw), s
	return d, err
}

// Ack takes the message off the queue. It returns when SQS has recorded that.
func (s *settler) Ack(ctx context.Context) error {
	return s.settle(ctx, "ack", s.remove)
}

// Retry hands the message back. SQS counts the delay in whole seconds, rounded
// up here, and keeps it within the 12 hours of the receipt.
func (s *settler) Retry(ctx context.Context, delay time.Duration) error {
	return s.settle(ctx, "retry", func(ctx context.Context) error {
		return s.hide(ctx, min(message.WholeSeconds(max(delay, 0)), s.rest()))
	})
}

// Reject copies the message to the dead-letter queue and deletes it then, so
// that it is never on neither.
func (s *settler) Reject(ctx context.Context, reason string) error {
	if isDeadLetters(s.consumer.queue.Name) {
		return fmt.Errorf("reject message %q: %s is a dead-letter queue itself", s.delivery.ID, s.consumer.queue.Name)
	}
	return s.settle(ctx, "reject", func(ctx context.Context) error {
		if !s.buried {
			err := s.tell(ctx, func(ctx context.Context) error { return s.consumer.dead.bury(ctx, s, reason) })
			if err != nil {
				return err
			}
			s.buried = true
		}
		return s.remove(ctx)
	})
}

// Extend starts the lease anew, when SQS has recorded that. The last lease ends
// with the 12 hours of the receipt.
func (s *settler) Extend(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return fmt.Errorf("extend lease of message %q: %w", s.delivery.ID, err)
	}
	defer s.end()
	if s.state() != "" {
		return fmt.Errorf("extend lease of message %q: settled before: %w", s.delivery.ID, queue.ErrLeaseLost)
	}
	lease := min(s.consumer.lease, s.rest())
	if lease < time.Second {
		return fmt.Errorf("extend lease of message %q: SQS keeps a message for %s at most: %w", s.delivery.ID, maxVisibility, queue.ErrLeaseLost)
	}
	var start time.Time
	err := s.tell(ctx, func(ctx context.Context) error {
		start = time.Now()
		return s.consumer.changes.Do(ctx, request.Visibility{Handle: s.handle, Seconds: int32(lease / time.Second)}, 0)
	})
	if err != nil {
		return fmt.Errorf("extend lease of message %q: %w", s.delivery.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expires = start.Add(s.consumer.useful(lease))
	return nil
}

// rest is how long the message can stay invisible, in whole seconds.
func (s *settler) rest() time.Duration {
	left := maxVisibility - visibilityMargin - time.Since(s.received)
	return max(left.Truncate(time.Second), 0)
}

// begin waits for its turn: an extension that overtook a hand-back would hide
// the message for a lease that nobody holds.
func (s *settler) begin(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *settler) end() { <-s.turn }

// settle does what settles the delivery, once. Doing the same again is no
// error, doing something else is.
func (s *settler) settle(ctx context.Context, how string, do func(context.Context) error) error {
	if err := s.begin(ctx); err != nil {
		return fmt.Errorf("%s message %q: %w", how, s.delivery.ID, err)
	}
	defer s.end()
	switch before := s.state(); before {
	case how:
		return nil
	case "":
	default:
		return fmt.Errorf("%s message %q: settled before (%s): %w", how, s.delivery.ID, before, queue.ErrLeaseLost)
	}
	if err := do(ctx); err != nil {
		return fmt.Errorf("%s message %q: %w", how, s.delivery.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = how
	return nil
}

// state is how the delivery was settled.
func (s *settler) state() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settled
}

func (s *settler) deadline() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expires
}

// remove deletes the message.
func (s *settler) remove(ctx context.Context) error {
	return s.tell(ctx, func(ctx context.Context) error {
		return s.consumer.deletes.Do(ctx, s.handle, 0)
	})
}

// hide makes the message visible after a delay.
func (s *settler) hide(ctx context.Context, delay time.Duration) error {
	return s.tell(ctx, func(ctx context.Context) error {
		return s.consumer.changes.Do(ctx, request.Visibility{Handle: s.handle, Seconds: int32(delay / time.Second)}, 0)
	})
}

// tell tells SQS something about the message, again and again through outages,
// as long as the lease lasts. After that SQS is not asked: what it would do for
// an old receipt could disturb the next receiver.
func (s *settler) tell(ctx context.Context, do func(context.Context) error) error {
	within, cancel := context.WithDeadlineCause(ctx, s.deadline(), queue.ErrLeaseLost)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		if within.Err() != nil {
			return context.Cause(within)
		}
		err := stale(do(within))
		if !request.TroubleOf(err).Temporary() {
			if within.Err() != nil && err != nil {
				return context.Cause(within)
			}
			return err
		}
		if lifecycle.Sleep(within, pause) != nil {
			return fmt.Errorf("%w, after: %w", context.Cause(within), err)
		}
	}
}

// stale makes a lost lease of what SQS says about an expired receipt. It has
// several words for that, and a receipt is all that it can refuse here.
func stale(err error) error {
	var e smithy.APIError
	if request.TroubleOf(err) == request.Refused && errors.As(err, &e) && e.ErrorCode() == "InvalidParameterValue" {
		return fmt.Errorf("%w: %w", queue.ErrLeaseLost, err)
	}
	return err
}
