package producer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"callfleet/internal/blob"
	"callfleet/internal/call"
	"callfleet/internal/producer/callfile"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/retry"
	"callfleet/internal/producer/span"
	"callfleet/internal/producer/window"
	"callfleet/internal/queue"
)

// inFlight is how many batches are published at the same time.
const inFlight = 4

// Bounds of memory for files with long lines: of what is read ahead, and of a
// batch.
const (
	maxAhead      = 256 << 20
	maxBatchBytes = 16 << 20
)

// maxNotes bounds the bad lines that are shown: all are in the results.
const maxNotes = 20

// candidate is a request that is to be published.
type candidate struct {
	line    int64
	request call.Request
	batch   string // the execution that it is in with others, "" for one of its own
}

// publish sends the rest of the file. intake ends the reading, work what was
// begun as well.
func (s *session) publish(work, intake context.Context) error {
	lines := make(chan callfile.Line, min(s.opts.Batch, maxAhead/s.opts.MaxLine))
	read := make(chan error, 1)
	reading, stopReading := context.WithCancelCause(intake)
	go func() {
		read <- s.handOn(reading, lines)
		close(lines)
	}()
	// A paced or absent broker may hold a batch for long: after an interrupt it
	// has the grace period, and is published again on a resume.
	sending, abandon := context.WithCancelCause(work)
	defer abandon(nil)
	defer context.AfterFunc(intake, func() {
		time.AfterFunc(s.opts.Grace, func() { abandon(context.Cause(intake)) })
	})()
	g, ctx := errgroup.WithContext(sending)
	g.SetLimit(inFlight)
	err := s.batch(intake, ctx, lines, g)
	if e := g.Wait(); e != nil && !errors.Is(e, errInterrupted) {
		err = e
	}
	stopReading(err)
	if s.path == callfile.Stdin && reading.Err() != nil && intake.Err() != nil {
		// Not waited for: the Read of a terminal or a pipe ends when it likes.
		return errors.Join(err, ignoreInterrupt(intake))
	}
	if e := <-read; err == nil && !errors.Is(e, errInterrupted) {
		err = e
	}
	return err
}

// handOn reads the file to its end.
func (s *session) handOn(ctx context.Context, lines chan<- callfile.Line) error {
	for {
		l, err := s.nextLine()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case lines <- l:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// nextLine is the line that was put back, or the next one of the file.
func (s *session) nextLine() (callfile.Line, error) {
	if l := s.ahead; l != nil {
		s.ahead = nil
		return *l, nil
	}
	l, err := s.lines.Next()
	switch {
	case err == nil:
		s.read++
	case errors.Is(err, io.EOF):
		s.total.Store(s.read)
	default:
		err = fmt.Errorf("%w: read %s: %w", callfile.ErrInput, s.path, err)
	}
	return l, err
}

// batch puts lines together, as many as there are up to a full batch, and
// publishes them in g. It never waits for a batch to fill: what comes slowly
// from a pipe goes out at once, or soon where executions carry many calls.
func (s *session) batch(intake, work context.Context, lines <-chan callfile.Line, g *errgroup.Group) error {
	for {
		var batch []callfile.Line
		select {
		case l, ok := <-lines:
			if !ok {
				return nil
			}
			batch = append(batch, l)
		case <-intake.Done():
			return ignoreInterrupt(intake)
		case <-work.Done():
			return nil // g has the reason
		}
		batch = s.fill(intake, batch, lines)
		if err := s.prepare(intake, work, batch, g); err != nil {
			return err
		}
		if intake.Err() != nil {
			return ignoreInterrupt(intake)
		}
	}
}

// fill adds the lines that are there to a batch, or that come soon.
func (s *session) fill(ctx context.Context, batch []callfile.Line, lines <-chan callfile.Line) []callfile.Line {
	soon := ctx
	if s.batching() {
		var cancel context.CancelFunc
		soon, cancel = context.WithTimeout(ctx, fillFor)
		defer cancel()
	}
	for bytes := len(batch[0].Request.Params); len(batch) < s.opts.Batch && bytes < maxBatchBytes; {
		l, ok := nextOf(soon, lines, s.batching())
		if !ok {
			break
		}
		batch = append(batch, l)
		bytes += len(l.Request.Params)
	}
	return batch
}

// nextOf is the next line if there is one; with wait also if one comes before ctx
// ends.
func nextOf(ctx context.Context, lines <-chan callfile.Line, wait bool) (l callfile.Line, ok bool) {
	select {
	case l, ok = <-lines:
		return l, ok
	default:
	}
	if !wait {
		return l, false
	}
	select {
	case l, ok = <-lines:
	case <-ctx.Done():
	}
	return l, ok
}

// ignoreInterrupt is why ctx ended, unless that was an interrupt.
func ignoreInterrupt(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, errInterrupted) {
		return err
	}
	return nil
}

// prepare checks the lines, waits for room in the window, writes the intent
// and hands the messages to g.
func (s *session) prepare(intake, work context.Context, batch []callfile.Line, g *errgroup.Group) error {
	good, bad := s.check(batch)
	good, refused := s.sift(work, good)
	if err := s.record(append(bad, refused...)); err != nil {
		return err
	}
	if len(good) == 0 {
		return nil
	}
	if err := s.open.Reserve(intake, len(good)); err != nil {
		if errors.Is(err, errInterrupted) {
			return nil
		}
		return err
	}
	s.batches++
	b := journal.Batch{Number: s.batches, From: batch[0].Number, To: batch[len(batch)-1].Number, At: time.Now()}
	s.assign(good)
	spans := make([]trace.Span, len(good))
	sampled := make([]bool, len(good))
	for i := range good {
		r := &good[i].request
		spans[i] = s.tracing.Start(work, r)
		sampled[i] = spans[i].SpanContext().IsSampled()
		s.open.Add(r.ID, window.Call{Line: good[i].line, Sent: b.At, TraceID: r.Trace.ID(), Batch: good[i].batch})
	}
	if good[0].request.Trace != nil {
		b.Traces = journal.SampledTraces(sampled)
	}
	if err := s.at("intent-torn"); err != nil {
		return err
	}
	if err := s.journal.Intend(b); err != nil {
		return err
	}
	if err := s.at("intent-written"); err != nil {
		return err
	}
	g.Go(func() error { return s.send(work, b, good, spans) })
	return nil
}

// check turns lines into requests, and those that cannot be called into
// results. Lines that have a result already are checked too, for what they say
// about the others.
func (s *session) check(batch []callfile.Line) (good []candidate, bad []journal.Result) {
	for _, l := range batch {
		r, err := s.checker.Check(l)
		switch {
		case s.state.Done.Has(l.Number):
		case err != nil:
			s.note(l.Number, err)
			bad = append(bad, journal.Failed(s.checker.BadID(l.Number), l.Number, &call.Failure{Name: BadInput, Cause: badLine(l.Number, err)}))
		default:
			good = append(good, candidate{line: l.Number, request: r})
		}
	}
	return good, bad
}

func badLine(line int64, err error) string { return fmt.Sprintf("line %d: %v", line, err) }

// note shows a bad line.
func (s *session) note(line int64, err error) {
	if s.opts.Progress == nil || s.notes > maxNotes {
		return
	}
	text := fmt.Sprintf("%s:%d: %v", s.path, line, err)
	if s.notes == maxNotes {
		text = "more bad lines are in the results"
	}
	s.notes++
	s.opts.Progress.Note(text)
}

// send publishes one batch and writes its acknowledgement.
func (s *session) send(ctx context.Context, b journal.Batch, good []candidate, spans []trace.Span) error {
	messages := s.messages
	if s.batching() {
		messages = s.pack
	}
	msgs, refused, err := messages(ctx, good)
	if err != nil {
		span.End(spans, err)
		return err
	}
	endRefused(good, spans, refused)
	if err := s.record(refused); err != nil {
		return err
	}
	err = s.deliver(ctx, msgs)
	span.End(spans, err)
	if err != nil {
		return err
	}
	s.published.Add(int64(len(good) - len(refused)))
	if err := s.at("ack-torn"); err != nil {
		return err
	}
	if err := s.journal.Acked(b.Number); err != nil {
		return err
	}
	return s.at("ack-written")
}

// endRefused ends the spans of requests that have no message. To end them again
// with those of the others changes nothing.
func endRefused(good []candidate, spans []trace.Span, refused []journal.Result) {
	if len(refused) == 0 {
		return
	}
	failed := map[string]*call.Failure{}
	for _, r := range refused {
		failed[r.ID] = &call.Failure{Name: call.FailureName(r.Error), Cause: r.Cause}
	}
	for i, c := range good {
		if f := failed[c.request.ID]; f != nil {
			span.End(spans[i:i+1], f)
		}
	}
}

// messages makes the message of each request, and the results of those that have
// none.
func (s *session) messages(ctx context.Context, good []candidate) (msgs []queue.Message, refused []journal.Result, err error) {
	msgs = make([]queue.Message, 0, len(good))
	for _, c := range good {
		m, err := s.encode(ctx, c.request)
		if f, ok := errors.AsType[*call.Failure](err); ok {
			refused = append(refused, refusal(c, f))
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		msgs = append(msgs, m)
	}
	return msgs, refused, nil
}

// deliver publishes messages until the broker has them all.
func (s *session) deliver(ctx context.Context, msgs []queue.Message) error {
	if s.fault != nil { // half a batch is what a crash in Publish leaves
		if err := s.fault("batch-half"); err != nil {
			return errors.Join(s.deps.Queue.Publish(ctx, msgs[:len(msgs)/2]...), err)
		}
	}
	if len(msgs) == 0 {
		return nil
	}
	err := retry.Do(ctx, s.opts.Log, "publish calls", func() error { return s.deps.Queue.Publish(ctx, msgs...) })
	if err != nil {
		return err
	}
	return s.at("batch-published")
}

func (s *session) encode(ctx context.Context, r call.Request) (m queue.Message, err error) {
	err = retry.Do(ctx, s.opts.Log, "encode call", func() error {
		m, err = s.encodeOnce(ctx, r)
		return err
	})
	return m, err
}

// encodeOnce checks the request and makes its message. Large params are checked
// as they were given: nobody here sees what they are once they were moved.
func (s *session) encodeOnce(ctx context.Context, r call.Request) (queue.Message, error) {
	if err := s.deps.Checker.Check(ctx, r); err != nil {
		return queue.Message{}, err
	}
	if err := s.shrink(ctx, &r); err != nil {
		return queue.Message{}, err
	}
	return s.message(ctx, r)
}

// message encodes the request and holds the message to the queue's limits.
func (s *session) message(ctx context.Context, r call.Request) (queue.Message, error) {
	m, err := s.deps.Encoder.Encode(ctx, r)
	if limit := s.deps.Queue.Limits().MaxBytes; err == nil && limit > 0 && size(m) > limit {
		err = &call.Failure{Name: BadInput, Cause: fmt.Sprintf("the message has %d bytes, the queue takes %d", size(m), limit)}
	}
	return m, err
}

// shrinkTimeout bounds one try, after which the trouble is logged.
const shrinkTimeout = time.Minute

// shrink moves large params out of the request.
func (s *session) shrink(ctx context.Context, r *call.Request) error {
	if s.deps.Claims == nil || len(r.Params) <= s.opts.ClaimAbove {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shrinkTimeout)
	defer cancel()
	params, err := s.deps.Claims.Shrink(ctx, r.ID, r.Params, s.opts.ClaimAbove)
	if f, ok := errors.AsType[*call.Failure](err); ok {
		return &call.Failure{Name: BadInput, Cause: f.Cause}
	}
	if errors.Is(err, blob.ErrRefused) {
		return &call.Failure{Name: call.BlobUnavailable, Cause: err.Error()}
	}
	if err == nil {
		r.Params = params
	}
	return err
}

func size(m queue.Message) int {
	n := len(m.Body) + len(m.ID) + len(m.Group)
	for name, value := range m.Headers {
		n += len(name) + len(value)
	}
	return n
}
