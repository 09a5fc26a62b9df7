package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue/confirm"
)

// settleTimeout is how long the server may take to answer a settlement. It is
// silent about a message that it has not delivered yet, which is what it makes
// of a lease that it forgot when it was killed: the message is delivered anew.
const settleTimeout = 3 * time.Second

// maxReason is how much of a dead-letter reason is kept, in bytes.
const maxReason = 1024

var _ queue.Settler = (*settler)(nil)

// settler settles one delivery.
type settler struct {
	consumer *Consumer
	delivery *queue.Delivery
	msg      *nats.Msg
	sequence uint64    // of the message in its stream
	stored   time.Time // when the stream got it

	mu      sync.Mutex // not held while the server is told: a late answer blocks nobody else
	expires time.Time  // guarded by mu: when the lease counts as over here
	settled string     // guarded by mu: how it was settled, "" if not yet
}

// newDelivery decodes an arrival.
func newDelivery(c *Consumer, a arrival) *queue.Delivery {
	both := &struct {
		queue.Delivery
		settler
	}{}
	d, s := &both.Delivery, &both.settler
	s.consumer, s.delivery, s.msg, s.expires = c, d, a.msg, a.at.Add(c.useful())
	d.Message, d.Sent = decode(a.msg)
	d.Settler = s
	if meta, err := a.msg.Metadata(); err == nil { // always: the server wrote it
		d.Attempt = int(meta.NumDelivered)
		s.sequence, s.stored = meta.Sequence.Stream, meta.Timestamp
	}
	if d.Sent.IsZero() {
		d.Sent = s.stored
	}
	return d
}

// Ack takes the message off the queue. It returns when the server has recorded
// that.
func (s *settler) Ack(ctx context.Context) error {
	return s.settle(ctx, "ack", s.remove)
}

// Retry hands the message back.
func (s *settler) Retry(ctx context.Context, delay time.Duration) error {
	return s.settle(ctx, "retry", func(ctx context.Context) error {
		body := []byte("-NAK")
		if delay > 0 {
			body = append(body, ` {"delay":`...)
			body = strconv.AppendInt(body, int64(delay), 10)
			body = append(body, '}')
		}
		return s.tell(ctx, body)
	})
}

// Reject copies the message to the dead-letter queue and acks it then, so that
// it is never on neither.
func (s *settler) Reject(ctx context.Context, reason string) error {
	if s.consumer.names.deadLetter {
		return fmt.Errorf("reject message %q: %s is a dead-letter queue itself", s.delivery.ID, s.consumer.names.queue)
	}
	return s.settle(ctx, "reject", func(ctx context.Context) error {
		if err := s.bury(ctx, reason); err != nil {
			return err
		}
		return s.remove(ctx)
	})
}

// Extend starts the lease anew, when the server has recorded that.
func (s *settler) Extend(ctx context.Context) error {
	if s.state() != "" {
		return fmt.Errorf("extend lease of message %q: settled before: %w", s.delivery.ID, queue.ErrLeaseLost)
	}
	start := time.Now()
	if err := s.tell(ctx, []byte("+WPI")); err != nil {
		return fmt.Errorf("extend lease of message %q: %w", s.delivery.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expires = start.Add(s.consumer.useful())
	return nil
}

// settle does what settles the delivery, once. Doing the same again is no
// error, doing something else is.
func (s *settler) settle(ctx context.Context, how string, do func(context.Context) error) error {
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

// remove takes the message off the queue. A dead-letter queue keeps messages
// that were acked, so there it is deleted first.
func (s *settler) remove(ctx context.Context) error {
	if s.consumer.names.deadLetter {
		if err := s.delete(ctx); err != nil {
			return err
		}
	}
	return s.tell(ctx, []byte("+ACK"))
}

// delete removes the message from its stream.
func (s *settler) delete(ctx context.Context) error {
	if s.lost() {
		return queue.ErrLeaseLost
	}
	stream, err := s.consumer.broker.js.Stream(ctx, s.consumer.names.stream)
	if err != nil {
		return err
	}
	if err := stream.DeleteMsg(ctx, s.sequence); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return err
	}
	return nil
}

// tell sends one word about the message and waits until the server has
// recorded it, over reconnects, as long as the lease lasts.
func (s *settler) tell(ctx context.Context, word []byte) error {
	confirms := s.consumer.broker.confirms
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		if s.lost() {
			return queue.ErrLeaseLost
		}
		err := confirms.Request(ctx, &nats.Msg{Subject: s.msg.Reply, Data: word}, settleTimeout)
		switch {
		case errors.Is(err, confirm.ErrNoAnswer):
			return queue.ErrLeaseLost
		case err == nil || !confirm.Temporary(err):
			return border(err)
		}
		if err := s.waitOut(ctx, pause); err != nil {
			return err
		}
	}
}

// waitOut waits for a pause and for the connection, but not beyond the lease.
func (s *settler) waitOut(ctx context.Context, pause time.Duration) error {
	within, cancel := context.WithDeadline(ctx, s.deadline())
	defer cancel()
	err := confirm.Sleep(within, pause)
	if err == nil {
		err = s.consumer.broker.confirms.Ready(within)
	}
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		return queue.ErrLeaseLost
	}
	return err
}

// lost tells that the lease may have passed to somebody else.
func (s *settler) lost() bool { return !time.Now().Before(s.deadline()) }

// bury puts the message on the dead-letter queue, unchanged but for the
// reason. Doing it twice is harmless: the copy has a dedup id of its own.
func (s *settler) bury(ctx context.Context, reason string) error {
	if s.lost() {
		return queue.ErrLeaseLost
	}
	c := s.consumer
	dead, err := queueNames(c.names.queue + DeadLetterSuffix)
	if err != nil {
		return err
	}
	msg := encode(&s.delivery.Message, dead.subject)
	if id, ok := msg.Header[nats.MsgIdHdr]; ok {
		msg.Header[idHeader] = id
	}
	dedup := c.names.queue + "/" + strconv.FormatUint(s.sequence, 10) + "/" + strconv.FormatInt(s.stored.UnixNano(), 36)
	msg.Header[nats.MsgIdHdr] = []string{dedup}
	if s.delivery.ID == "" {
		msg.Header[idHeader] = []string{""}
	}
	msg.Header[queue.DeadLetterReason] = []string{escape(oneLine(reason))}
	if err := c.broker.confirms.Request(ctx, msg, confirm.AnswerTimeout); err != nil {
		return fmt.Errorf("publish on %s: %w", dead.queue, border(err))
	}
	return nil
}

// oneLine makes a reason fit for a header.
func oneLine(reason string) string {
	reason = strings.Join(strings.Fields(strings.ToValidUTF8(reason, "?")), " ")
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "")
	}
	return reason
}
