package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"callfleet/internal/localsfn/engine/event"
	"callfleet/internal/localsfn/machine"
	"callfleet/internal/localsfn/store"
	"callfleet/internal/queue"
)

// outbox publishes the ends of executions, and keeps the mark below which all
// ends that this engine appended are published.
type outbox struct {
	e    *Engine
	wake chan struct{} // holds one token when there is something to publish

	mu        sync.Mutex
	appended  uint64                 // guarded by mu: the highest end known to be in the log
	owed      map[store.Key]*closing // guarded by mu: ends that are not published yet
	line      []*closing             // guarded by mu: those of them to publish, in order
	inherited int                    // guarded by mu: how many are owed for dead instances
	dead      map[string]bool        // guarded by mu: the instances they are owed for, if those are dead
	saved     store.Instance         // guarded by mu: what was written down last
}

// closing is one end of an execution on its way.
type closing struct {
	key store.Key
	// floor is a sequence below that of the record that holds the end.
	floor     uint64
	inherited bool
	message   *queue.Message // nil: make it of the log
}

const (
	// eventsInMemory bounds the messages that wait; those on top are made of
	// the log when it is their turn.
	eventsInMemory = 10_000
	eventBatch     = 256
	// instanceDead is the age of a mark after which its writer counts as gone.
	instanceDead = 5 * time.Minute
	markEvery    = 30 * time.Second
)

func newOutbox(e *Engine) *outbox {
	return &outbox{e: e, wake: make(chan struct{}, 1), owed: map[store.Key]*closing{}}
}

// begin says that an end is about to be appended. It returns nil when no
// events are wanted.
func (o *outbox) begin(k store.Key) *closing {
	if o.e.o.Events == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	c := &closing{key: k, floor: o.appended}
	o.owed[k] = c
	return c
}

// done says that the end is in the log.
func (o *outbox) done(c *closing, seq uint64, x *machine.Execution) {
	o.mu.Lock()
	room := len(o.line) < eventsInMemory
	o.mu.Unlock()
	if room {
		c.message = o.e.message(x, x.Status())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.enqueue(c, seq)
}

// announce publishes a start. Nothing is owed for it: it gets lost with the
// process.
func (o *outbox) announce(k store.Key, m *queue.Message) {
	if o.e.o.Events == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.push(&closing{key: k, message: m})
}

// enqueue puts an end in line. Called with o.mu held.
func (o *outbox) enqueue(c *closing, seq uint64) {
	c.floor = seq - 1
	if !c.inherited {
		o.appended = max(o.appended, seq)
	}
	o.push(c)
}

// push wakes the publisher for c. Called with o.mu held.
func (o *outbox) push(c *closing) {
	o.line = append(o.line, c)
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// failed says that an end was not appended, or, unless certain, that it may
// have been: then found has to tell.
func (o *outbox) failed(c *closing, certain bool) {
	if !certain {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.owed, c.key)
}

// found says what the log holds of an execution: an end that this engine
// appended, or none. It reports whether that end was in doubt.
func (o *outbox) found(k store.Key, seq uint64, ours bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.owed[k]
	if c == nil || c.message != nil || o.inLine(c) {
		return false
	}
	if !ours {
		delete(o.owed, k)
		return false
	}
	o.enqueue(c, seq)
	return true
}

// inLine reports whether c waits to be published. Called with o.mu held; only
// for the rare end whose message is not in memory.
func (o *outbox) inLine(c *closing) bool {
	for _, l := range o.line {
		if l == c {
			return true
		}
	}
	return c.inherited
}

// inherit takes over an end that a dead instance has not published.
func (o *outbox) inherit(k store.Key, seq uint64) {
	if o.e.o.Events == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	c := &closing{key: k, inherited: true}
	o.inherited++
	o.owed[k] = c
	o.enqueue(c, seq)
}

// mark is the sequence up to which all ends of this engine are published.
// Called with o.mu held.
func (o *outbox) mark() uint64 {
	m := o.appended
	for _, c := range o.owed {
		if !c.inherited && c.floor < m {
			m = c.floor
		}
	}
	return m
}

// checkpoint writes the mark down when it has moved.
func (o *outbox) checkpoint(ctx context.Context) {
	now := time.Now()
	o.mu.Lock()
	i := store.Instance{ID: o.e.instance, Published: o.mark(), At: now.UTC()}
	stale := i.Published != o.saved.Published || now.Sub(o.saved.At) > markEvery
	o.mu.Unlock()
	if !stale {
		return
	}
	if err := o.save(ctx, i); err != nil && ctx.Err() == nil {
		o.e.log.WarnContext(ctx, "cannot write the mark of published events; some may be published again", "error", err)
	}
}

// replaced reports whether an instance is dead and everything it left is this
// engine's: its open executions since recovery, its ends by now published.
func (o *outbox) replaced(i store.Instance, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dead[i.ID] && o.inherited == 0 && now.Sub(i.At) > instanceDead
}

// save writes the mark down.
func (o *outbox) save(ctx context.Context, i store.Instance) error {
	last, err := o.e.store.LastSeq(ctx)
	if err != nil {
		return err
	}
	i.Floor = o.e.store.Floor(last)
	if err := o.e.store.SaveInstance(ctx, i); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.saved = i
	return nil
}

// publish sends what is in line until the engine stops.
func (o *outbox) publish() {
	for {
		select {
		case <-o.e.ctx.Done():
			return
		case <-o.wake:
		}
		for {
			batch := o.next()
			if len(batch) == 0 {
				break
			}
			if !o.send(batch) {
				return
			}
		}
	}
}

// next takes a batch out of the line.
func (o *outbox) next() []*closing {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(len(o.line), eventBatch)
	batch := append([]*closing(nil), o.line[:n]...)
	clear(o.line[:n])
	if o.line = o.line[n:]; len(o.line) == 0 {
		o.line = nil
	}
	return batch
}

// send publishes a batch, again and again until the queue has it; false when
// the engine stops first.
func (o *outbox) send(batch []*closing) bool {
	ctx := o.e.ctx
	msgs := make([]queue.Message, 0, len(batch))
	for _, c := range batch {
		if m := o.message(c); m != nil {
			msgs = append(msgs, *m)
		}
	}
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0))
	err := backoff.RetryNotify(func() error {
		err := o.e.o.Events.Publish(ctx, msgs...)
		if errors.Is(err, queue.ErrTooLarge) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(b, ctx), func(err error, wait time.Duration) {
		o.e.log.WarnContext(ctx, "cannot publish status-change events; trying again", "count", len(msgs), "error", err, "wait", wait)
	})
	if ctx.Err() != nil && err != nil {
		return false
	}
	if err != nil && len(batch) > 1 {
		// One of them is too large; find it.
		for i := range batch {
			if !o.send(batch[i : i+1]) {
				return false
			}
		}
		return true
	}
	if err != nil {
		o.e.log.ErrorContext(ctx, "status-change event is too large for the queue and is not published", "execution", batch[0].key.String(), "error", err)
	}
	o.settled(batch)
	return true
}

// message is the status-change event of an execution: of its start, or of its
// end.
func (e *Engine) message(x *machine.Execution, status machine.Status) *queue.Message {
	id, body := event.StatusChange(x, status, e.o.Region, e.o.AccountID)
	return &queue.Message{ID: id, Group: x.Start().Name, Body: body, Headers: e.spans.Headers(x.Start())}
}

// message is what to publish for an end; nil when its log is gone or unusable.
func (o *outbox) message(c *closing) *queue.Message {
	if c.message != nil {
		return c.message
	}
	d, err := o.e.Describe(o.e.ctx, c.key)
	if err != nil {
		if o.e.ctx.Err() == nil {
			o.e.log.ErrorContext(o.e.ctx, "status-change event is lost: the execution cannot be read", "execution", c.key.String(), "error", err)
		}
		return nil
	}
	return o.e.message(d.x, d.x.Status())
}

// settled says that the ends are published.
func (o *outbox) settled(batch []*closing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range batch {
		if o.owed[c.key] == c {
			delete(o.owed, c.key)
			if c.inherited {
				o.inherited--
			}
		}
	}
}
