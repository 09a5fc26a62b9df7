// Package queue is the seam between the fleet and its message broker: a
// message, a delivery that is settled once, and what a backend promises about
// both. natsqueue and sqsqueue implement it, queuetest holds every backend to
// the same promises.
package queue

import (
	"context"
	"errors"
	"time"
)

// Message is what a publisher hands over.
type Message struct {
	// ID is the dedup id: within the broker's dedup window (at least two
	// minutes) a second message with the same ID is accepted and dropped. ""
	// is no dedup.
	ID   string
	Body []byte
	// Group is the flow key: a fairness group on brokers that know them.
	Group string
	// Headers carry at most 10 entries (SQS message attributes).
	Headers map[string]string
	// Delay keeps the message invisible for that long, at most 15 minutes.
	Delay time.Duration
}

// Delivery is one receipt of a message. It is settled by exactly one of Ack,
// Retry or Reject; until then it is leased to the receiver and must be
// extended before the lease ends. Its methods are safe for concurrent use.
type Delivery struct {
	Message
	Attempt int       // 1 on the first receipt
	Sent    time.Time // when the broker accepted the message
	Settler
}

// Settler ends or prolongs the lease of one delivery. A delivery that was
// settled takes no further settling: doing it again returns nil or
// ErrLeaseLost, and changes nothing.
type Settler interface {
	// Ack takes the message off the queue for good. It returns when the broker
	// has recorded that, or ErrLeaseLost.
	Ack(ctx context.Context) error
	// Extend starts the lease anew, in its full length.
	Extend(ctx context.Context) error
	// Retry hands the message back, to be received again after delay (0: at
	// once) by anybody. The next receipt counts one attempt more.
	Retry(ctx context.Context, delay time.Duration) error
	// Reject moves the message to the dead-letter queue with a one-line
	// reason (header DeadLetterReason, cut off after 1,000 bytes or so); the
	// body arrives there unchanged, with its ID, Group and Headers. A delivery
	// of a dead-letter queue can't be rejected.
	Reject(ctx context.Context, reason string) error
}

// DeadLetterReason is the header that says why a message was rejected.
const DeadLetterReason = "callfleet-dead-letter-reason"

// Publisher puts messages on one queue.
type Publisher interface {
	// Publish returns nil when the broker has all messages durably. On error
	// some may have been accepted: publishing again with the same IDs is safe.
	// The slice and its bodies may be reused after it returns. Safe for
	// concurrent use. ErrTooLarge for a message above Limits.
	Publish(ctx context.Context, msgs ...Message) error
	Limits() Limits
}

// Consumer receives from one queue.
type Consumer interface {
	// Receive blocks until there is at least one message, and returns at most
	// max (1 or more; less is an error): messages that are not returned stay
	// available to other consumers. ctx ends the wait with its error and loses
	// no message: one that comes at that moment is returned without an error,
	// or handed back. Safe for concurrent use. A message that was received more often than the
	// backend's MaxDeliver is moved to the dead-letter queue and not returned.
	Receive(ctx context.Context, max int) ([]*Delivery, error)
	// Lease is how long a delivery stays with its receiver without Extend.
	Lease() time.Duration
	// Close gives back what it holds. Deliveries already returned can still be
	// settled.
	Close() error
}

// Feed is a consumer of what one reader alone waits for, kept while the reader
// is away.
type Feed interface {
	Consumer
	// End closes the feed and takes it away with what is still on it: its
	// reader has all it waited for. A feed that was taken away before is no
	// error.
	End(ctx context.Context) error
}

// Depth tells how many messages wait on a queue: not those that are leased or
// delayed, and perhaps not those that were handed back. It may lag behind by a
// second.
type Depth interface {
	Depth(ctx context.Context) (int, error)
}

// Limits are what one message may be.
type Limits struct {
	MaxBytes   int // body and headers
	MaxHeaders int
	MaxDelay   time.Duration
}

// What callers branch on.
var (
	// ErrLeaseLost says that the delivery is no longer the receiver's: cancel
	// the work and settle nothing.
	ErrLeaseLost = errors.New("lease lost")
	// ErrTooLarge says that a message is above the queue's Limits.
	ErrTooLarge = errors.New("message too large")
	// ErrNotFound says that the queue does not exist.
	ErrNotFound = errors.New("queue not found")
	// ErrClosed says that the publisher or consumer was closed.
	ErrClosed = errors.New("queue closed")
)
