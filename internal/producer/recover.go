package producer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/call"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/window"
)

// recover goes through the lines that earlier processes meant to publish. What
// the broker has is only waited for; what it may not have is published again,
// byte for byte. It does not wait for room in the window, which it filled
// before, and comes before the feed is read, so that every outcome is expected.
func (s *session) recover(ctx context.Context) error {
	high := s.state.Batches.High()
	again := redo{}
	for high > 0 {
		l, err := s.nextLine()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if l.Number > high {
			s.ahead = &l
			break
		}
		b := s.state.Batches.Find(l.Number)
		if again.batch != b {
			if err := s.republish(ctx, again); err != nil {
				return err
			}
			again = redo{batch: b}
		}
		r, err := s.checker.Check(l)
		if err == nil {
			again.seen++
		}
		if s.state.Done.Has(l.Number) {
			continue
		}
		if err == nil && b == nil {
			return fmt.Errorf("journal is damaged: line %d is in no batch", l.Number)
		}
		if err != nil {
			f := &call.Failure{Name: BadInput, Cause: badLine(l.Number, err)}
			if err := s.record([]journal.Result{journal.Failed(s.checker.BadID(l.Number), l.Number, f)}); err != nil {
				return err
			}
			continue
		}
		s.reopen(&again, candidate{l.Number, r})
	}
	return s.republish(ctx, again)
}

// redo is what one batch has to publish again.
type redo struct {
	batch *journal.Batch
	seen  int // requests of the batch so far, answered ones included
	good  []candidate
	spans []trace.Span
}

// reopen expects the outcome of a call again, and publishes it again if the
// broker may not have it.
func (s *session) reopen(d *redo, c candidate) {
	open := window.Call{Line: c.line, Sent: d.batch.At}
	on, sampled := d.batch.Traces.Of(d.seen - 1)
	if on {
		traceID, _ := s.tracing.IDs(c.request.ID)
		open.TraceID = traceID.String()
	}
	s.open.Add(c.request.ID, open)
	if d.batch.Acked && !s.opts.Republish {
		return
	}
	root := trace.SpanFromContext(context.Background()) // the no-op span
	if on {
		root = s.tracing.Again(context.Background(), &c.request, sampled)
	}
	d.good, d.spans = append(d.good, c), append(d.spans, root)
}

func (s *session) republish(ctx context.Context, d redo) error {
	if d.batch == nil || d.batch.Acked && len(d.good) == 0 {
		return nil
	}
	return s.send(ctx, *d.batch, d.good, d.spans)
}
