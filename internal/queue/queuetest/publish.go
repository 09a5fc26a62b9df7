package queuetest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"callfleet/internal/queue"
)

func publishReceiveAck(s *session) {
	q := s.openShort()
	c := q.Consumer(s.TB)
	before := time.Now()
	s.publish(q, queue.Message{ID: "a-1", Body: []byte("hello")})
	d := s.receive(c)
	if d.ID != "a-1" || string(d.Body) != "hello" || d.Attempt != 1 {
		s.Errorf("received id %q, body %q, attempt %d: want a-1, hello, 1", d.ID, d.Body, d.Attempt)
	}
	const skew = time.Minute // the broker has a clock of its own
	if d.Sent.Before(before.Add(-skew)) || d.Sent.After(time.Now().Add(skew)) {
		s.Errorf("sent %s: want about %s", d.Sent, before)
	}
	if c.Lease() != s.backend.ShortestLease {
		s.Errorf("lease %s: want %s", c.Lease(), s.backend.ShortestLease)
	}
	s.ack(d)
	s.nothing(c, s.backend.ShortestLease+s.backend.Quiet)
}

func dedup(s *session) {
	q := s.open()
	c := q.Consumer(s.TB)
	s.publish(q, queue.Message{ID: "a-1", Body: []byte("first")})
	s.publish(q, queue.Message{ID: "a-1", Body: []byte("second")}, queue.Message{ID: "a-2"})
	s.publish(q, queue.Message{Body: []byte("none")}, queue.Message{Body: []byte("none")}) // no id, no dedup
	seen := map[string]int{}
	for _, d := range s.receiveN(c, 4) {
		seen[d.ID+"="+string(d.Body)]++
		s.ack(d)
	}
	if seen["a-1=first"] != 1 || seen["a-2="] != 1 || seen["=none"] != 2 {
		s.Errorf("received %v: want a-1=first once, a-2 once, no id twice", seen)
	}
	s.publish(q, queue.Message{ID: "a-1", Body: []byte("third")}) // the first one is gone, its id is not
	s.nothing(c, s.backend.Quiet)
}

func dedupConcurrent(s *session) {
	q := s.open()
	msgs := ids("a", 20)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := q.Publisher.Publish(s.ctx, msgs...); err != nil {
				s.Errorf("publish: %v", err)
			}
		})
	}
	wg.Wait()
	c := q.Consumer(s.TB)
	s.ack(s.receiveN(c, len(msgs))...)
	s.nothing(c, s.backend.Quiet)
}

func headers(s *session) {
	q := s.open()
	want := queue.Message{ID: "a-1", Group: "tenant/ä 1", Body: []byte("x"), Headers: map[string]string{
		"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"tracestate":  "vendor=a:1,other=b%3D2",
		"Mixed-Case":  "Grüße, 世界",
	}}
	for i := len(want.Headers); i < q.Publisher.Limits().MaxHeaders; i++ {
		want.Headers[fmt.Sprintf("h%d", i)] = fmt.Sprint(i)
	}
	s.publish(q, want)
	d := s.receive(q.Consumer(s.TB))
	if d.Group != want.Group {
		s.Errorf("group %q: want %q", d.Group, want.Group)
	}
	if len(d.Headers) != len(want.Headers) {
		s.Errorf("%d headers: want %d: %v", len(d.Headers), len(want.Headers), d.Headers)
	}
	for name, value := range want.Headers {
		if d.Headers[name] != value {
			s.Errorf("header %s: %q: want %q", name, d.Headers[name], value)
		}
	}
}

func bodies(s *session) {
	q := s.open()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	want := map[string][]byte{
		"empty":     {},
		"binary":    all,
		"not utf-8": {0xff, 0xfe, 'a', 0xc3},
		"line ends": []byte("a\r\n\r\nb\n\x00"),
		"json":      []byte(`{"n":1.0,"s":"\u0000<&>"}`),
		"200 KiB":   bytes.Repeat([]byte("0123456789abcdef"), 200<<10/16),
		"largest":   bytes.Repeat([]byte("x"), q.Publisher.Limits().MaxBytes-64),
	}
	for id, body := range want {
		s.publish(q, queue.Message{ID: id, Body: body})
	}
	for _, d := range s.receiveN(q.Consumer(s.TB), len(want)) {
		if !bytes.Equal(d.Body, want[d.ID]) {
			s.Errorf("body %q: %d bytes came, or other ones: want %d", d.ID, len(d.Body), len(want[d.ID]))
		}
		s.ack(d)
	}
}

func tooLarge(s *session) {
	q := s.open()
	limits := q.Publisher.Limits()
	many := map[string]string{}
	for i := range limits.MaxHeaders + 1 {
		many[fmt.Sprintf("h%d", i)] = "v"
	}
	s.publish(q, queue.Message{ID: "before"})
	for _, m := range []queue.Message{
		{ID: "body", Body: make([]byte, limits.MaxBytes+1)},
		{ID: "with headers", Body: make([]byte, limits.MaxBytes), Headers: map[string]string{"h": "value"}},
		{ID: "headers", Headers: many},
		{ID: "delay", Delay: limits.MaxDelay + time.Second},
	} {
		if err := q.Publisher.Publish(s.ctx, m); !errors.Is(err, queue.ErrTooLarge) {
			s.Errorf("publish of too large %s: %v: want ErrTooLarge", m.ID, err)
		}
	}
	s.publish(q, queue.Message{ID: "after"})
	c := q.Consumer(s.TB)
	for _, d := range s.receiveN(c, 2) {
		if d.ID != "before" && d.ID != "after" {
			s.Errorf("received %q: it was refused", d.ID)
		}
		s.ack(d)
	}
	s.nothing(c, s.backend.Quiet)
}

func largeBatch(s *session) {
	q := s.open()
	msgs := ids("a", s.backend.Batch)
	s.publish(q, msgs...)
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for _, d := range s.receiveN(q.Consumer(s.TB), len(msgs)) {
		if string(d.Body) != d.ID {
			s.Errorf("message %q has body %q", d.ID, d.Body)
		}
		seen[d.ID] = true
		wg.Go(func() {
			if err := d.Ack(s.ctx); err != nil {
				s.Errorf("ack: %v", err)
			}
		})
	}
	wg.Wait()
	if len(seen) != len(msgs) {
		s.Errorf("%d messages of %d", len(seen), len(msgs))
	}
	s.publish(q) // nothing to do is no error
}

func reuseBodies(s *session) {
	q := s.open()
	body := []byte("first")
	msgs := []queue.Message{{ID: "a-1", Body: body}}
	s.publish(q, msgs...)
	copy(body, "XXXXX")
	msgs[0] = queue.Message{}
	if d := s.receive(q.Consumer(s.TB)); string(d.Body) != "first" || d.ID != "a-1" {
		s.Errorf("received %q with body %q: want a-1 with first", d.ID, d.Body)
	}
}

func delay(s *session) {
	q := s.open()
	c := q.Consumer(s.TB)
	step := s.backend.DelayStep
	start := time.Now()
	s.publish(q,
		queue.Message{ID: "short", Delay: step},
		queue.Message{ID: "long", Delay: 8 * step, Group: "g", Body: []byte("b"), Headers: map[string]string{"h": "v"}})
	for _, want := range []struct {
		id    string
		delay time.Duration
	}{{"short", step}, {"long", 8 * step}} {
		d := s.receive(c)
		if took := time.Since(start); d.ID != want.id || took < want.delay {
			s.Errorf("received %q after %s: want %q after %s", d.ID, took, want.id, want.delay)
		}
		if d.ID == "long" && (d.Group != "g" || string(d.Body) != "b" || d.Headers["h"] != "v" || len(d.Headers) != 1) {
			s.Errorf("delayed message came as %+v", d.Message)
		}
		if d.Attempt != 1 {
			s.Errorf("attempt %d of a delayed message: want 1", d.Attempt)
		}
		s.ack(d)
	}
	s.publish(q, queue.Message{ID: "long", Body: []byte("again")}) // deduplicated like any other
	s.nothing(c, s.backend.Quiet)
}
