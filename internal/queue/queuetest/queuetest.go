// Package queuetest is the one conformance suite for queue backends: what the
// contracts in package queue promise, each promise a test. It asks for at
// least once and for no order.
package queuetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"callfleet/internal/queue"
)

// Backend makes queues for the suite.
type Backend struct {
	// Open makes a new empty queue with a dead-letter queue. It releases all
	// it made through tb.Cleanup.
	Open func(tb testing.TB, o Options) *Queue

	// ShortestLease is the shortest lease the backend keeps; 1 s if 0.
	ShortestLease time.Duration
	// DelayStep is the granularity of delays; 100 ms if 0. A message may come
	// that much late, and not before its delay is over.
	DelayStep time.Duration
	// Patience bounds the wait for what must happen; 20 s if 0.
	Patience time.Duration
	// Quiet is how long to watch for what must not happen; 300 ms if 0.
	Quiet time.Duration
	// Batch is more messages than the backend sends at once; 1,100 if 0.
	Batch int
}

// Options are those of one queue.
type Options struct {
	Lease      time.Duration
	MaxDeliver int // a message is received at most so often
}

// Queue is one queue with several independent consumers.
type Queue struct {
	Publisher queue.Publisher
	// Consumer makes another consumer of the queue.
	Consumer func(tb testing.TB) queue.Consumer
	// DeadLetters makes a consumer of its dead-letter queue.
	DeadLetters func(tb testing.TB) queue.Consumer
}

// longLease is a lease that does not end within a test.
const longLease = time.Minute

// Run holds a backend to every promise.
func Run(t *testing.T, b Backend) {
	t.Helper()
	b = b.withDefaults()
	for _, c := range clauses() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(newSession(t, b))
		})
	}
}

func (b Backend) withDefaults() Backend {
	if b.ShortestLease == 0 {
		b.ShortestLease = time.Second
	}
	if b.DelayStep == 0 {
		b.DelayStep = 100 * time.Millisecond
	}
	if b.Patience == 0 {
		b.Patience = 20 * time.Second
	}
	if b.Quiet == 0 {
		b.Quiet = 300 * time.Millisecond
	}
	if b.Batch == 0 {
		b.Batch = 1100
	}
	return b
}

// clause is one promise.
type clause struct {
	name  string
	check func(*session)
}

// clauses lists the promises, in the order of the seam's documentation.
func clauses() []clause {
	return []clause{
		{"a published message is received once and gone after ack", publishReceiveAck},
		{"a second message with the same id is dropped", dedup},
		{"the same id on many publishers at once gives one message", dedupConcurrent},
		{"headers and group come as sent", headers},
		{"bodies come as sent", bodies},
		{"a message above the limits is refused and harms no other", tooLarge},
		{"a large batch is published whole", largeBatch},
		{"bodies may be reused after publish", reuseBodies},
		{"a delayed message comes after its delay", delay},
		{"receive returns no more than asked for", neverMore},
		{"what was not returned is there for others", leavesTheRest},
		{"a blocked receive wakes when a message comes", wakes},
		{"cancelling receive ends it and loses nothing", cancelReceive},
		{"many consumers share the messages", shared},
		{"a lease that ends brings a second attempt", leaseEnds},
		{"extend keeps the lease", extend},
		{"settling after the lease passed on says so", leaseLost},
		{"retry brings the message at once", retryNow},
		{"retry with a delay brings it then", retryLater},
		{"reject moves the message to the dead-letter queue", reject},
		{"a message received too often is dead-lettered", maxDeliver},
		{"settling twice is harmless", settleTwice},
		{"close ends receive, and deliveries can still be settled", closeConsumer},
		{"depth counts what waits", depth},
	}
}

// session is what one clause works with.
type session struct {
	testing.TB
	backend Backend
	ctx     context.Context
}

func newSession(tb testing.TB, b Backend) *session {
	ctx, cancel := context.WithTimeout(tb.Context(), b.Patience)
	tb.Cleanup(cancel)
	return &session{TB: tb, backend: b, ctx: ctx}
}

// open makes a queue whose leases last the test.
func (s *session) open() *Queue {
	return s.backend.Open(s.TB, Options{Lease: longLease, MaxDeliver: 100})
}

// openShort makes a queue whose leases end soon.
func (s *session) openShort() *Queue {
	return s.backend.Open(s.TB, Options{Lease: s.backend.ShortestLease, MaxDeliver: 100})
}

func (s *session) publish(q *Queue, msgs ...queue.Message) {
	s.Helper()
	if err := q.Publisher.Publish(s.ctx, msgs...); err != nil {
		s.Fatalf("publish: %v", err)
	}
}

// receive returns one message.
func (s *session) receive(c queue.Consumer) *queue.Delivery {
	s.Helper()
	ds, err := c.Receive(s.ctx, 1)
	if err != nil {
		s.Fatalf("receive: %v", err)
	}
	if len(ds) != 1 {
		s.Fatalf("receive of at most 1: got %d messages and no error", len(ds))
	}
	return ds[0]
}

// receiveN returns n messages, in as many steps as it takes.
func (s *session) receiveN(c queue.Consumer, n int) []*queue.Delivery {
	s.Helper()
	var all []*queue.Delivery
	for len(all) < n {
		ds, err := c.Receive(s.ctx, n-len(all))
		if err != nil {
			s.Fatalf("receive: %d of %d messages, then: %v", len(all), n, err)
		}
		if len(ds) == 0 {
			s.Fatalf("receive: no messages and no error")
		}
		all = append(all, ds...)
	}
	return all
}

func (s *session) ack(ds ...*queue.Delivery) {
	s.Helper()
	for _, d := range ds {
		if err := d.Ack(s.ctx); err != nil {
			s.Fatalf("ack %q: %v", d.ID, err)
		}
	}
}

// nothing fails when the consumer gets a message within d.
func (s *session) nothing(c queue.Consumer, d time.Duration) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, d)
	defer cancel()
	ds, err := c.Receive(ctx, 10)
	if err == nil {
		s.Fatalf("received %d messages, first %q (attempt %d): want none", len(ds), ds[0].ID, ds[0].Attempt)
	}
	if ctx.Err() == nil {
		s.Fatalf("receive: %v", err)
	}
}

// ids makes n messages with ids and bodies.
func ids(prefix string, n int) []queue.Message {
	msgs := make([]queue.Message, n)
	for i := range msgs {
		id := fmt.Sprintf("%s-%d", prefix, i)
		msgs[i] = queue.Message{ID: id, Body: []byte(id)}
	}
	return msgs
}
