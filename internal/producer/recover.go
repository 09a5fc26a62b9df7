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
		done := s.state.Done.Has(l.Number)
		switch {
		case err == nil && b == nil && !done:
			return fmt.Errorf("journal is damaged: line %d is in no batch", l.Number)
		case err == nil && s.batching() && s.refused.Has(l.Number): // it was never in it
		case err == nil:
			again.calls, again.done = append(again.calls, candidate{line: l.Number, request: r}), append(again.done, done)
		case !done:
			f := &call.Failure{Name: BadInput, Cause: badLine(l.Number, err)}
			if err := s.record([]journal.Result{journal.Failed(s.checker.BadID(l.Number), l.Number, f)}); err != nil {
				return err
			}
		}
	}
	return s.republish(ctx, again)
}

// redo is one batch of the journal: its requests, answered ones included.
type redo struct {
	batch *journal.Batch
	calls []candidate
	done  []bool // whether it has its result
}

// republish expects the outcomes again that are missing, and publishes what the
// broker may not have. An execution that carries many calls is published as it
// was, with those that have their result.
func (s *session) republish(ctx context.Context, d redo) error {
	if d.batch == nil {
		return nil
	}
	s.assign(d.calls)
	missing := map[string]bool{} // executions that have an open call
	for i, c := range d.calls {
		if d.done[i] {
			continue
		}
		missing[c.batch] = true
		open := window.Call{Line: c.line, Sent: d.batch.At, Batch: c.batch}
		if on, _ := d.batch.Traces.Of(i); on {
			traceID, _ := s.tracing.IDs(c.request.ID)
			open.TraceID = traceID.String()
		}
		s.open.Add(c.request.ID, open)
	}
	if d.batch.Acked && (!s.opts.Republish || len(missing) == 0) {
		return nil
	}
	var good []candidate
	var spans []trace.Span
	for i, c := range d.calls {
		if d.done[i] && (c.batch == "" || !missing[c.batch]) {
			continue
		}
		root := trace.SpanFromContext(context.Background()) // the no-op span
		if on, sampled := d.batch.Traces.Of(i); on {
			root = s.tracing.Again(context.Background(), &c.request, sampled)
		}
		good, spans = append(good, c), append(spans, root)
	}
	return s.send(ctx, *d.batch, good, spans)
}
