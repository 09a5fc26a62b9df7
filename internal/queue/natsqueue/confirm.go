package natsqueue

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
	errDisconnected = errors.New("connection to broker lost")
	errNoAnswer     = errors.New("no answer from broker")
	errNoResponder  = errors.New("nobody on the broker takes it")
)

// answerTimeout bounds the wait for one answer while the connection stands.
const answerTimeout = 10 * time.Second

// confirmer sends messages that the server answers, any number at once, and
// sorts the answers. It ends with the connection.
type confirmer struct {
	nc     *nats.Conn
	prefix string // of the reply subjects; what follows is the ticket

	mu         sync.Mutex
	ticket     uint64             // guarded by mu: the last one given out
	waiting    map[uint64]pending // guarded by mu
	reconnects chan struct{}      // guarded by mu: closed and replaced after each reconnect
}

// pending is one message that waits for its answer.
type pending struct {
	call  *call
	index int
}

// newConfirmer subscribes to the answers and follows the connection's state.
func newConfirmer(nc *nats.Conn) (*confirmer, error) {
	c := &confirmer{
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
func (c *confirmer) follow(states chan nats.Status) {
	for state := range states {
		if state == nats.CONNECTED {
			c.mu.Lock()
			close(c.reconnects)
			c.reconnects = make(chan struct{})
			c.mu.Unlock()
			continue
		}
		c.failAll()
		if state == nats.CLOSED {
			return
		}
	}
	c.failAll()
}

func (c *confirmer) failAll() {
	c.mu.Lock()
	lost := c.waiting
	c.waiting = make(map[uint64]pending)
	c.mu.Unlock()
	for _, p := range lost {
		p.call.settle(p.index, errDisconnected)
	}
}

// reconnected is closed when the connection is next re-established.
func (c *confirmer) reconnected() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reconnects
}

// ready waits for the connection when it is being re-established: what is sent
// meanwhile would pile up in the client and go out twice.
func (c *confirmer) ready(ctx context.Context) error {
	for {
		reconnected := c.reconnected()
		if c.nc.IsClosed() {
			return queue.ErrClosed
		}
		if !c.nc.IsReconnecting() {
			return ctx.Err()
		}
		timer := time.NewTimer(longPause) // should the signal come too early
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

// send publishes msg as message index of the call. The message is copied, and
// a mistake in sending settles it like an answer.
func (c *confirmer) send(l *call, index int, msg *nats.Msg) {
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
func (c *confirmer) answer(m *nats.Msg) {
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
			return errNoResponder
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

// abandon stops waiting for the answers of a call and settles them with err.
func (c *confirmer) abandon(l *call, err error) {
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

// request sends one message and waits so long for its answer.
func (c *confirmer) request(ctx context.Context, msg *nats.Msg, patience time.Duration) error {
	l := newCall()
	l.patience = patience
	c.send(l, 0, msg)
	if err := c.wait(ctx, l, 0); err != nil {
		return err
	}
	if failed := l.failures(); len(failed) > 0 {
		return failed[0].err
	}
	return nil
}

// wait returns when at most so many messages of the call are open, or with ctx.
// Answers that don't come become errNoAnswer.
func (c *confirmer) wait(ctx context.Context, l *call, most int) error {
	if l.outstanding() <= most {
		return nil
	}
	timer := time.NewTimer(l.patience)
	defer timer.Stop()
	for l.outstanding() > most {
		select {
		case <-l.progress:
			timer.Reset(l.patience)
		case <-timer.C:
			c.abandon(l, errNoAnswer)
		case <-ctx.Done():
			c.abandon(l, ctx.Err())
			return ctx.Err()
		}
	}
	return nil
}

// call is a group of messages that one caller waits for.
type call struct {
	progress chan struct{} // signalled after answers
	patience time.Duration // without any answer

	mu     sync.Mutex
	open   int       // guarded by mu: messages without an answer
	failed []failure // guarded by mu
}

// failure is a message that was not confirmed.
type failure struct {
	index int
	err   error
}

func newCall() *call {
	return &call{progress: make(chan struct{}, 1), patience: answerTimeout}
}

func (l *call) expect() {
	l.mu.Lock()
	l.open++
	l.mu.Unlock()
}

func (l *call) settle(index int, err error) {
	l.mu.Lock()
	l.open--
	if err != nil {
		l.failed = append(l.failed, failure{index, err})
	}
	l.mu.Unlock()
	select {
	case l.progress <- struct{}{}:
	default:
	}
}

func (l *call) outstanding() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// failures takes the messages that were not confirmed so far.
func (l *call) failures() []failure {
	l.mu.Lock()
	defer l.mu.Unlock()
	failed := l.failed
	l.failed = nil
	return failed
}
