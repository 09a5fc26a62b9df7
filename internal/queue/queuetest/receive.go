package queuetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"callfleet/internal/queue"
)

func neverMore(s *session) {
	q := s.open()
	c := q.Consumer(s.TB)
	const total = 7
	s.publish(q, ids("a", total)...)
	for got := 0; got < total; {
		ds, err := c.Receive(s.ctx, 3)
		if err != nil {
			s.Fatalf("receive: %v", err)
		}
		if len(ds) < 1 || len(ds) > 3 {
			s.Fatalf("receive of at most 3: got %d", len(ds))
		}
		got += len(ds)
		s.ack(ds...)
	}
	for _, limit := range []int{0, -1} {
		ctx, cancel := context.WithTimeout(s.ctx, s.backend.Quiet)
		if _, err := c.Receive(ctx, limit); err == nil || ctx.Err() != nil {
			s.Errorf("receive of at most %d: %v: want an error at once", limit, err)
		}
		cancel()
	}
}

func leavesTheRest(s *session) {
	q := s.open()
	first, second := q.Consumer(s.TB), q.Consumer(s.TB)
	s.publish(q, ids("a", 6)...)
	one := s.receive(first)
	// The lease of what the first consumer might hold back does not end in time.
	rest := s.receiveN(second, 5)
	for _, d := range rest {
		if d.ID == one.ID {
			s.Errorf("message %q was received by two consumers", d.ID)
		}
		if d.Attempt != 1 {
			s.Errorf("message %q has attempt %d: it was held back and given back", d.ID, d.Attempt)
		}
	}
	s.ack(append(rest, one)...)
}

func wakes(s *session) {
	q := s.open()
	c := q.Consumer(s.TB)
	type received struct {
		d  *queue.Delivery
		at time.Time
	}
	got := make(chan received, 1)
	go func() {
		ds, err := c.Receive(s.ctx, 5)
		if err != nil || len(ds) != 1 {
			s.Errorf("receive: %d messages, %v", len(ds), err)
			close(got)
			return
		}
		got <- received{ds[0], time.Now()}
	}()
	select { // let it block
	case <-got:
		s.Fatal("receive of an empty queue returned")
	case <-time.After(s.backend.Quiet):
	}
	s.publish(q, queue.Message{ID: "a-1"})
	sent := time.Now()
	r, ok := <-got
	if !ok {
		return
	}
	if took := r.at.Sub(sent); took > 2*time.Second {
		s.Errorf("receive woke %s after the publish", took)
	}
	s.ack(r.d)
}

func cancelReceive(s *session) {
	q := s.open()
	c := q.Consumer(s.TB)
	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := c.Receive(ended, 1); !errors.Is(err, context.Canceled) {
		s.Errorf("receive with a context that ended: %v: want its error", err)
	}
	const rounds = 20
	kept := map[string]*queue.Delivery{}
	for i := range rounds {
		// The message and the cancellation race each other.
		ctx, cancel := context.WithCancel(s.ctx)
		var wg sync.WaitGroup
		wg.Go(func() {
			ds, err := c.Receive(ctx, 4)
			if err != nil && !errors.Is(err, context.Canceled) {
				s.Errorf("cancelled receive: %v: want its context's error", err)
			}
			for _, d := range ds {
				kept[d.ID] = d
			}
		})
		s.publish(q, ids("a", rounds)[i])
		cancel()
		wg.Wait()
	}
	for len(kept) < rounds { // long before the lease ends
		d := s.receive(c)
		kept[d.ID] = d
	}
	for _, d := range kept {
		s.ack(d)
	}
	s.nothing(c, s.backend.Quiet)
}

// shared lets many receivers hold what they get, so that a message that two of
// them hold shows.
func shared(s *session) {
	q := s.open()
	const total, consumers, receivers = 200, 3, 2
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	got := make(chan *queue.Delivery)
	var wg sync.WaitGroup
	for range consumers {
		c := q.Consumer(s.TB)
		for range receivers {
			wg.Go(func() {
				for {
					ds, err := c.Receive(ctx, 5)
					if err != nil {
						if ctx.Err() == nil {
							s.Errorf("receive: %v", err)
						}
						return
					}
					for _, d := range ds {
						got <- d
					}
				}
			})
		}
	}
	s.publish(q, ids("a", total)...)
	go func() {
		wg.Wait()
		close(got)
	}()
	held := map[string]*queue.Delivery{}
	for d := range got {
		if held[d.ID] != nil {
			s.Errorf("message %q was received twice while its lease held", d.ID)
		}
		if held[d.ID] = d; len(held) == total {
			time.AfterFunc(s.backend.Quiet, cancel) // time for one too many
		}
	}
	if len(held) != total {
		s.Errorf("%d messages of %d", len(held), total)
	}
	for _, d := range held {
		s.ack(d)
	}
}

func closeConsumer(s *session) {
	q := s.open()
	c, other := q.Consumer(s.TB), q.Consumer(s.TB)
	s.publish(q, ids("a", 2)...)
	held := s.receiveN(c, 2)
	blocked := make(chan error, 1)
	go func() {
		_, err := c.Receive(s.ctx, 1)
		blocked <- err
	}()
	if err := c.Close(); err != nil {
		s.Errorf("close: %v", err)
	}
	if err := <-blocked; !errors.Is(err, queue.ErrClosed) {
		s.Errorf("receive during close: %v: want ErrClosed", err)
	}
	if _, err := c.Receive(s.ctx, 1); !errors.Is(err, queue.ErrClosed) {
		s.Errorf("receive after close: %v: want ErrClosed", err)
	}
	if err := c.Close(); err != nil {
		s.Errorf("close again: %v", err)
	}
	s.ack(held[0])
	if err := held[1].Retry(s.ctx, 0); err != nil {
		s.Errorf("retry after close: %v", err)
	}
	d := s.receive(other)
	if d.ID != held[1].ID {
		s.Errorf("received %q: want %q, which was handed back", d.ID, held[1].ID)
	}
	s.ack(d)
	s.nothing(other, s.backend.Quiet)
}

func depth(s *session) {
	q := s.open()
	c := q.Consumer(s.TB)
	counter, ok := c.(queue.Depth)
	if !ok {
		s.Skip("the backend's consumer does not count")
	}
	s.publish(q, ids("a", 5)...)
	s.eventually("5 waiting", func() bool {
		n, err := counter.Depth(s.ctx)
		return err == nil && n == 5
	})
	held := s.receiveN(c, 2)
	s.eventually("3 waiting, 2 leased", func() bool {
		n, err := counter.Depth(s.ctx)
		return err == nil && n == 3
	})
	s.ack(held...)
}

// eventually waits for what a counter may tell late.
func (s *session) eventually(what string, ok func() bool) {
	s.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			s.Fatalf("not in time: %s", what)
		}
	}
}
