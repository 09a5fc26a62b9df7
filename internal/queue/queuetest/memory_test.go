package queuetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"callfleet/internal/queue"
)

// memory is a tiny queue with one fault, or none: what the suite is tested
// with.
type memory struct {
	fault   string
	options Options
	dead    *memory

	mu    sync.Mutex
	ids   map[string]bool
	items []*item
	wake  chan struct{} // closed and replaced when there may be something new
}

// item is one message on the queue.
type item struct {
	queue.Message
	sent    time.Time
	ready   time.Time // not received before
	attempt int
	holder  *memoryConsumer // who has the lease until ready
}

func memoryBackend(fault string) Backend {
	return Backend{
		Open: func(_ testing.TB, o Options) *Queue {
			m := newMemory(fault, o)
			m.dead = newMemory("", Options{Lease: longLease, MaxDeliver: 1000})
			open := func(m *memory) func(testing.TB) queue.Consumer {
				return func(testing.TB) queue.Consumer {
					return &memoryConsumer{memory: m, closed: make(chan struct{})}
				}
			}
			return &Queue{Publisher: m, Consumer: open(m), DeadLetters: open(m.dead)}
		},
		ShortestLease: 100 * time.Millisecond,
		DelayStep:     20 * time.Millisecond,
		Patience:      3 * time.Second,
		Quiet:         50 * time.Millisecond,
		Batch:         50,
	}
}

func newMemory(fault string, o Options) *memory {
	return &memory{fault: fault, options: o, ids: map[string]bool{}, wake: make(chan struct{})}
}

func (m *memory) Limits() queue.Limits {
	return queue.Limits{MaxBytes: 256 << 10, MaxHeaders: 10, MaxDelay: 15 * time.Minute}
}

func (m *memory) Publish(_ context.Context, msgs ...queue.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, msg := range msgs {
		size := len(msg.Body)
		for name, value := range msg.Headers {
			size += len(name) + len(value)
		}
		l := m.Limits()
		if (size > l.MaxBytes || len(msg.Headers) > l.MaxHeaders || msg.Delay > l.MaxDelay) && m.fault != "takes any size" {
			return fmt.Errorf("%d bytes: %w", size, queue.ErrTooLarge)
		}
		if m.fault == "drops what is beyond a batch" && i >= 10 {
			return nil
		}
		m.put(msg)
	}
	m.signal()
	return nil
}

func (m *memory) put(msg queue.Message) {
	if msg.ID != "" && m.ids[msg.ID] && m.fault != "no dedup" {
		return
	}
	m.ids[msg.ID] = true
	it := &item{Message: msg, sent: time.Now(), ready: time.Now().Add(msg.Delay)}
	it.Delay = 0
	if m.fault != "keeps the caller's bodies" {
		it.Body = bytes.Clone(msg.Body)
	}
	switch m.fault {
	case "ignores delay":
		it.ready = it.sent
	case "drops headers":
		it.Headers = nil
	case "wants utf-8":
		it.Body = []byte(strings.ToValidUTF8(string(it.Body), "?"))
	}
	m.items = append(m.items, it)
}

// signal wakes the receivers. The caller holds mu.
func (m *memory) signal() {
	if m.fault != "sleeps on" {
		close(m.wake)
		m.wake = make(chan struct{})
	}
}

// memoryConsumer is one of the queue's consumers.
type memoryConsumer struct {
	*memory
	once   sync.Once
	closed chan struct{}
}

func (c *memoryConsumer) Lease() time.Duration { return c.options.Lease }

func (c *memoryConsumer) Close() error {
	if c.fault != "close does nothing" {
		c.once.Do(func() { close(c.closed) })
	}
	return nil
}

func (c *memoryConsumer) Depth(context.Context) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, it := range c.items {
		if !it.ready.After(time.Now()) || c.fault == "counts what is leased" {
			n++
		}
	}
	return n, nil
}

func (c *memoryConsumer) Receive(ctx context.Context, limit int) ([]*queue.Delivery, error) {
	if limit < 1 {
		return nil, errors.New("asked for nothing")
	}
	for {
		c.mu.Lock()
		ds := c.take(limit)
		wake := c.wake
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			if c.fault != "cancel loses messages" {
				c.giveBack(ds)
			}
			return nil, ctx.Err()
		case <-c.closed:
			c.giveBack(ds)
			return nil, queue.ErrClosed
		default:
		}
		if len(ds) > 0 {
			return ds, nil
		}
		tick := time.Hour
		if c.fault != "sleeps on" {
			tick = 2 * time.Millisecond
		}
		select {
		case <-wake:
		case <-time.After(tick):
		case <-ctx.Done():
		case <-c.closed:
		}
	}
}

func (m *memory) giveBack(ds []*queue.Delivery) {
	for _, d := range ds {
		_ = d.Retry(context.Background(), 0)
	}
}

// take leases up to limit messages. The caller holds mu.
func (c *memoryConsumer) take(limit int) []*queue.Delivery {
	var ds []*queue.Delivery
	now := time.Now()
	if c.fault == "returns one more" {
		limit++
	}
	for _, it := range slices.Clone(c.items) {
		if len(ds) == limit && c.fault != "fetches ahead" {
			break
		}
		if it.ready.After(now) && (c.fault != "gives to everybody" || it.attempt > 1) {
			continue
		}
		if it.attempt == c.options.MaxDeliver && c.fault != "delivers for ever" {
			c.bury(it, "too often")
			continue
		}
		it.attempt++
		it.ready, it.holder = now.Add(c.options.Lease), c
		if c.fault == "forgets on receive" {
			c.remove(it)
		}
		d := &queue.Delivery{Message: it.Message, Attempt: it.attempt, Sent: it.sent}
		d.Headers = maps.Clone(it.Headers)
		d.Settler = &receipt{c, it, it.attempt}
		if len(ds) < limit {
			ds = append(ds, d)
		}
	}
	return ds
}

// bury moves an item to the dead letters. The caller holds mu.
func (c *memoryConsumer) bury(it *item, reason string) {
	msg := it.Message
	msg.Headers = maps.Clone(msg.Headers)
	if msg.Headers == nil {
		msg.Headers = map[string]string{}
	}
	if c.fault != "gives no reason" {
		msg.Headers[queue.DeadLetterReason] = strings.Join(strings.Fields(reason), " ")
	}
	_ = c.dead.Publish(context.Background(), msg)
	c.remove(it)
}

func (c *memoryConsumer) remove(it *item) {
	c.items = slices.DeleteFunc(c.items, func(other *item) bool { return it == other })
}

// receipt settles one delivery.
type receipt struct {
	c       *memoryConsumer
	it      *item
	attempt int
}

// with runs do under the lock while the lease holds.
func (r *receipt) with(do func()) error {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	holds := slices.Contains(r.c.items, r.it) && r.it.attempt == r.attempt && r.it.ready.After(time.Now())
	if !holds && r.c.fault != "settles for anybody" {
		return queue.ErrLeaseLost
	}
	do()
	r.c.signal()
	return nil
}

func (r *receipt) Ack(context.Context) error {
	return r.with(func() {
		if r.c.fault != "ack does nothing" {
			r.c.remove(r.it)
		}
	})
}

func (r *receipt) Extend(context.Context) error {
	return r.with(func() {
		if r.c.fault != "extend does nothing" {
			r.it.ready = time.Now().Add(r.c.options.Lease)
		}
	})
}

func (r *receipt) Retry(_ context.Context, delay time.Duration) error {
	return r.with(func() {
		switch r.c.fault {
		case "retry does nothing":
		case "retry at once":
			r.it.ready = time.Now()
		default:
			r.it.ready = time.Now().Add(delay)
		}
	})
}

func (r *receipt) Reject(_ context.Context, reason string) error {
	if r.c.fault == "rejects again" {
		_ = r.with(func() {})
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		_ = r.c.dead.Publish(context.Background(), r.it.Message)
		return nil
	}
	return r.with(func() { r.c.bury(r.it, reason) })
}
