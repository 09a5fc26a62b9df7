// Package confirm sends messages to a NATS server that it answers, any number
// of them at once, and sorts the answers: publishes and acks of natsqueue.
package confirm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/queue"
)

// What becomes of a message that was sent without an answer. All three may
// have reached the server.
var (
	ErrDisconnected = errors.New("connection to broker lost")
	ErrNoAnswer     = errors.New("no answer from broker")
	ErrNoResponder  = errors.New("nobody on the broker takes it")
)

// notReady is the server's "JetStream system temporarily unavailable".
const notReady jetstream.ErrorCode = 10008

// readyPoll is how often Ready looks for itself.
const readyPoll = time.Second

// AnswerTimeout bounds the wait for one answer while the connection stands.
const AnswerTimeout = 10 * time.Second

// Confirmer sends messages that the server answers, any number at once, and
// sorts the answers. It ends with the connection.
type Confirmer struct {
	nc     *nats.Conn
	prefix string // of the reply subjects; what follows is the ticket

	mu         sync.Mutex
	ticket     uint64             // guarded by mu: the last one given out
	waiting    map[uint64]pending // guarded by mu
	reconnects chan struct{}      // guarded by mu: closed and replaced by announce
}

// pending is one message that waits for its answer.
type pending struct {
	call  *Call
	index int
}

// New subscribes to the answers and follows the connection's state.
func New(nc *nats.Conn) (*Confirmer, error) {
	c := &Confirmer{
		nc:         nc,
		prefix:     nc.NewInbox() + ".",
		waiting:    make(map[uint64]pending),
		reconnects: make(chan struct{}),
	}
	sub, err := nc.Subscribe(c.prefix+"*", c.answer)
	if err != nil {
		return nil, fmt.Errorf("subscribe to answers: %w", err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("subscribe to answers: %w", err)
	}
	go c.follow(nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED))
	return c, nil
}

// follow fails what waits when the connection goes, and tells of reconnects.
// It returns when the connection is closed.
func (c *Confirmer) follow(states chan nats.Status) {
	for state := range states {
		if state != nats.CONNECTED {
			c.failAll()
		}
		if state != nats.RECONNECTING {
			c.announce()
		}
		if state == nats.CLOSED {
			return
		}
	}
}

// announce wakes who waits for a new state of the connection.
func (c *Confirmer) announce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.reconnects)
	c.reconnects = make(chan struct{})
}

func (c *Confirmer) failAll() {
	c.mu.Lock()
	lost := c.waiting
	c.waiting = make(map[uint64]pending)
	c.mu.Unlock()
	for _, p := range lost {
		p.call.settle(p.index, ErrDisconnected)
	}
}

// Reconnected is closed when the connection is next re-established, or closed.
func (c *Confirmer) Reconnected() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reconnects
}

// Ready waits for the connection when it is being re-established: what is sent
// meanwhile would pile up in the client and go out twice.
func (c *Confirmer) Ready(ctx context.Context) error {
	for {
		reconnected := c.Reconnected()
		if c.nc.IsClosed() {
			return queue.ErrClosed
		}
		if !c.nc.IsReconnecting() {
			return ctx.Err()
		}
		timer := time.NewTimer(readyPoll) // should the signal come too early
		select {
		case <-reconnected:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("wait for broker: %w", err)
		}
	}
}

// Send publishes msg as message index of the call. The message is copied, and
// a mistake in sending settles it like an answer.
func (c *Confirmer) Send(l *Call, index int, msg *nats.Msg) {
	l.expect()
	c.mu.Lock()
	c.ticket++
	ticket := c.ticket
	c.waiting[ticket] = pending{l, index}
	c.mu.Unlock()
	msg.Reply = c.prefix + strconv.FormatUint(ticket, 36)
	if err := c.nc.PublishMsg(msg); err != nil {
		c.mu.Lock()
		_, mine := c.waiting[ticket]
		delete(c.waiting, ticket)
		c.mu.Unlock()
		if mine { // else follow settled it
			l.settle(index, err)
		}
	}
}

// answer takes one answer of the server.
func (c *Confirmer) answer(m *nats.Msg) {
	ticket, err := strconv.ParseUint(m.Subject[len(c.prefix):], 36, 64)
	if err != nil {
		return
	}
	c.mu.Lock()
	p, ok := c.waiting[ticket]
	delete(c.waiting, ticket)
	c.mu.Unlock()
	if ok {
		p.call.settle(p.index, verdict(m))
	}
}

// verdict is the error that an answer carries.
func verdict(m *nats.Msg) error {
	const accepted = `{"stream":` // errors come first in a refusal
	switch {
	case len(m.Data) >= len(accepted) && string(m.Data[:len(accepted)]) == accepted:
		return nil
	case len(m.Data) == 0:
		if m.Header.Get("Status") == "503" {
			return ErrNoResponder
		}
		return nil
	case m.Data[0] != '{':
		return nil // "+OK" after an ack
	}
	var refusal struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &refusal); err != nil {
		return fmt.Errorf("decode answer of broker: %w", err)
	}
	if refusal.Error == nil {
		return nil
	}
	return refusal.Error
}

// Abandon stops waiting for the answers of a call and settles them with err.
func (c *Confirmer) Abandon(l *Call, err error) {
	c.mu.Lock()
	var lost []int
	for ticket, p := range c.waiting {
		if p.call == l {
			delete(c.waiting, ticket)
			lost = append(lost, p.index)
		}
	}
	c.mu.Unlock()
	for _, index := range lost {
		l.settle(index, err)
	}
}

// Request sends one message and waits so long for its answer.
func (c *Confirmer) Request(ctx context.Context, msg *nats.Msg, patience time.Duration) error {
	l := NewCall()
	l.patience = patience
	c.Send(l, 0, msg)
	if err := c.Wait(ctx, l, 0); err != nil {
		return err
	}
	if failed := l.Failures(); len(failed) > 0 {
		return failed[0].Err
	}
	return nil
}

// Wait returns when at most so many messages of the call are open, or with ctx.
// Answers that don't come become ErrNoAnswer.
func (c *Confirmer) Wait(ctx context.Context, l *Call, most int) error {
	if l.Outstanding() <= most {
		return nil
	}
	timer := time.NewTimer(l.patience)
	defer timer.Stop()
	for l.Outstanding() > most {
		select {
		case <-l.progress:
			timer.Reset(l.patience)
		case <-timer.C:
			c.Abandon(l, ErrNoAnswer)
		case <-ctx.Done():
			c.Abandon(l, ctx.Err())
			return ctx.Err()
		}
	}
	return nil
}

// Temporary tells whether sending again can help.
func Temporary(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code == 429 || api.ErrorCode == notReady
	}
	return errors.Is(err, ErrDisconnected) || errors.Is(err, ErrNoAnswer) || errors.Is(err, ErrNoResponder) ||
		errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrDisconnected)
}

// Sleep waits for d, or returns the error of ctx.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
