package queuetest

import (
	"errors"
	"strings"
	"time"

	"callfleet/internal/queue"
)

func leaseEnds(s *session) {
	q := s.openShort()
	c := q.Consumer(s.TB)
	s.publish(q, queue.Message{ID: "a-1", Body: []byte("x")})
	start := time.Now()
	s.receive(c)
	d := s.receive(c)
	if took := time.Since(start); took < s.backend.ShortestLease*9/10 {
		s.Errorf("received again after %s: the lease is %s", took, s.backend.ShortestLease)
	}
	if d.ID != "a-1" || d.Attempt != 2 || string(d.Body) != "x" {
		s.Errorf("received %q, attempt %d, body %q: want a-1, 2, x", d.ID, d.Attempt, d.Body)
	}
	s.ack(d)
	s.nothing(c, s.backend.ShortestLease+s.backend.Quiet)
}

func extend(s *session) {
	q := s.openShort()
	c, other := q.Consumer(s.TB), q.Consumer(s.TB)
	s.publish(q, queue.Message{ID: "a-1"})
	d := s.receive(c)
	for range 5 { // well beyond one lease
		s.nothing(other, s.backend.ShortestLease/2)
		if err := d.Extend(s.ctx); err != nil {
			s.Fatalf("extend: %v", err)
		}
	}
	s.ack(d)
	s.nothing(other, s.backend.ShortestLease+s.backend.Quiet)
}

func leaseLost(s *session) {
	q := s.openShort()
	c, other := q.Consumer(s.TB), q.Consumer(s.TB)
	s.publish(q, ids("a", 3)...)
	late := s.receiveN(c, 3)
	now := map[string]*queue.Delivery{}
	for _, d := range s.receiveN(other, 3) { // after the lease
		if err := d.Extend(s.ctx); err != nil {
			s.Fatalf("extend: %v", err)
		}
		now[d.ID] = d
	}
	s.nothing(c, s.backend.Quiet) // and both clocks agree that it is over
	for what, err := range map[string]error{
		"ack":    late[0].Ack(s.ctx),
		"extend": late[1].Extend(s.ctx),
		"retry":  late[2].Retry(s.ctx, 0),
	} {
		if !errors.Is(err, queue.ErrLeaseLost) {
			s.Errorf("%s after the lease passed on: %v: want ErrLeaseLost", what, err)
		}
	}
	for _, d := range now { // its new holder is not disturbed
		s.ack(d)
	}
	s.nothing(c, s.backend.ShortestLease+s.backend.Quiet)
}

func retryNow(s *session) {
	q := s.open()
	c, other := q.Consumer(s.TB), q.Consumer(s.TB)
	s.publish(q, queue.Message{ID: "a-1", Body: []byte("x")})
	d := s.receive(c)
	if err := d.Retry(s.ctx, 0); err != nil {
		s.Fatalf("retry: %v", err)
	}
	again := s.receive(other)
	if again.ID != "a-1" || again.Attempt != 2 || string(again.Body) != "x" {
		s.Errorf("received %q, attempt %d, body %q: want a-1, 2, x", again.ID, again.Attempt, again.Body)
	}
	s.ack(again)
	s.nothing(c, s.backend.Quiet)
}

func retryLater(s *session) {
	q := s.open()
	c := q.Consumer(s.TB)
	s.publish(q, queue.Message{ID: "a-1"})
	d := s.receive(c)
	wait := 5 * s.backend.DelayStep
	start := time.Now()
	if err := d.Retry(s.ctx, wait); err != nil {
		s.Fatalf("retry: %v", err)
	}
	again := s.receive(c)
	if took := time.Since(start); took < wait || again.Attempt != 2 {
		s.Errorf("received after %s, attempt %d: want %s, 2", took, again.Attempt, wait)
	}
	s.ack(again)
}

func reject(s *session) {
	q := s.openShort()
	c, dead := q.Consumer(s.TB), q.DeadLetters(s.TB)
	body := []byte{0, 0xff, '\n', 'x'}
	s.publish(q, queue.Message{ID: "a-1", Group: "g", Body: body, Headers: map[string]string{"h": "v"}}, queue.Message{Body: []byte("no id")})
	for _, d := range s.receiveN(c, 2) {
		if err := d.Reject(s.ctx, "body is no task:\nline two "+strings.Repeat("é", 2000)); err != nil {
			s.Fatalf("reject: %v", err)
		}
	}
	for _, d := range s.receiveN(dead, 2) {
		reason := d.Headers[queue.DeadLetterReason]
		if !strings.HasPrefix(reason, "body is no task: line two é") || strings.ContainsAny(reason, "\r\n") {
			s.Errorf("reason %q: want the one given, on one line, from its start", reason)
		}
		switch d.ID {
		case "a-1":
			if string(d.Body) != string(body) || d.Group != "g" || d.Headers["h"] != "v" {
				s.Errorf("dead letter %+v: want body, group and header unchanged", d.Message)
			}
		case "":
			if string(d.Body) != "no id" {
				s.Errorf("dead letter body %q: want %q", d.Body, "no id")
			}
		default:
			s.Errorf("dead letter %q: want a-1 or no id", d.ID)
		}
		s.ack(d)
	}
	s.nothing(c, s.backend.ShortestLease+s.backend.Quiet)
}

func maxDeliver(s *session) {
	q := s.backend.Open(s.TB, Options{Lease: s.backend.ShortestLease, MaxDeliver: 2})
	c, dead := q.Consumer(s.TB), q.DeadLetters(s.TB)
	s.publish(q, queue.Message{ID: "a-1", Body: []byte("poison")})
	for attempt := 1; attempt <= 2; attempt++ {
		if d := s.receive(c); d.Attempt != attempt {
			s.Errorf("attempt %d: want %d", d.Attempt, attempt)
		}
	}
	s.nothing(c, s.backend.ShortestLease+s.backend.Quiet)
	d := s.receive(dead)
	if d.ID != "a-1" || string(d.Body) != "poison" || d.Headers[queue.DeadLetterReason] == "" {
		s.Errorf("dead letter %q, body %q, headers %v: want a-1, poison and a reason", d.ID, d.Body, d.Headers)
	}
	s.ack(d)
}

// settleTwice settles in every pair of ways. The second settling may be an
// error, but only ErrLeaseLost, and the first one stands.
func settleTwice(s *session) {
	q := s.openShort()
	c := q.Consumer(s.TB)
	ways := []struct {
		name string
		do   func(*queue.Delivery) error
	}{
		{"ack", func(d *queue.Delivery) error { return d.Ack(s.ctx) }},
		{"retry", func(d *queue.Delivery) error { return d.Retry(s.ctx, 0) }},
		{"reject", func(d *queue.Delivery) error { return d.Reject(s.ctx, "r") }},
		{"extend", func(d *queue.Delivery) error { return d.Extend(s.ctx) }},
	}
	for _, second := range ways {
		s.publish(q, queue.Message{ID: second.name})
		d := s.receive(c)
		s.ack(d)
		if err := second.do(d); err != nil && !errors.Is(err, queue.ErrLeaseLost) {
			s.Errorf("%s after ack: %v: want nil or ErrLeaseLost", second.name, err)
		}
	}
	s.nothing(c, s.backend.ShortestLease+s.backend.Quiet)
	s.nothing(q.DeadLetters(s.TB), s.backend.Quiet)
}
