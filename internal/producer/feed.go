package producer

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"callfleet/internal/call"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/retry"
	"callfleet/internal/queue"
)

const (
	listeners = 2   // one writes results while the other's acknowledgements are on their way
	maxEvents = 256 // received in one go
	maxAcks   = 32  // at the same time, of each listener
)

// listen takes outcomes off the feed: written to the results first,
// acknowledged then.
func (s *session) listen(ctx context.Context) error {
	for {
		var events []*queue.Delivery
		err := retry.Do(ctx, s.opts.Log, "receive outcomes", func() (err error) {
			events, err = s.feed.Receive(ctx, maxEvents)
			return err
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		s.open.Hear(time.Now())
		if err := s.at("outcome-received"); err != nil {
			return err
		}
		if err := s.take(ctx, events); err != nil {
			return err
		}
		if err := s.at("event-acked"); err != nil {
			return err
		}
	}
}

// take writes the outcomes that are news and acknowledges all.
func (s *session) take(ctx context.Context, events []*queue.Delivery) error {
	var results []journal.Result
	reject := map[*queue.Delivery]string{}
	for _, e := range events {
		o, err := call.DecodeOutcome(e.Body)
		if err != nil {
			reject[e] = err.Error()
			continue
		}
		news, err := s.results(ctx, o)
		if err != nil {
			return err
		}
		if results = append(results, news...); len(results) < maxEvents {
			continue
		}
		if err := s.record(results); err != nil { // batches are many results
			return err
		}
		results = nil
	}
	if err := s.record(results); err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(maxAcks)
	for _, e := range events {
		g.Go(func() error {
			settle := e.Ack
			if reason, bad := reject[e]; bad {
				settle = func(ctx context.Context) error { return e.Reject(ctx, reason) }
			}
			if err := settle(ctx); err != nil && ctx.Err() == nil {
				// The event comes again, and is dropped then.
				s.opts.Log.DebugContext(ctx, "outcome not acknowledged", "error", err)
			}
			return nil
		})
	}
	return g.Wait()
}

// results are those of the open calls that an outcome is of: the first one
// counts.
func (s *session) results(ctx context.Context, o call.Outcome) ([]journal.Result, error) {
	if s.batching() {
		return s.packer().Results(ctx, o, s.open)
	}
	if !o.Status.Ended() {
		return nil, nil
	}
	c, ok := s.open.Take(o.ID)
	if !ok {
		return nil, nil
	}
	return []journal.Result{journal.ResultOf(o, journal.Sent{Line: c.Line, At: c.Sent, TraceID: c.TraceID})}, nil
}

// reconcile asks for the outcomes of calls that have been open for long while
// the feed is silent.
func (s *session) reconcile(ctx context.Context) error {
	if s.deps.Describer == nil {
		return nil
	}
	limit := rate.NewLimiter(rate.Limit(s.opts.ReconcileRate), 1)
	tick := time.NewTicker(max(s.opts.ReconcileAfter/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		now := time.Now()
		for _, id := range s.open.Overdue(now.Add(-s.opts.ReconcileAfter), now, s.opts.Batch) {
			if limit.Wait(ctx) != nil {
				return nil
			}
			if err := s.ask(ctx, id); err != nil {
				return err
			}
		}
	}
}

// ask writes the outcome of one request, if it has one.
func (s *session) ask(ctx context.Context, id string) error {
	o, ok, err := s.deps.Describer.Describe(ctx, id)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			s.opts.Log.WarnContext(ctx, "outcome not found out, asking again later", "request", id, "error", err)
		}
		return nil
	}
	if !ok {
		return nil
	}
	results, err := s.results(ctx, o)
	if err != nil {
		return err
	}
	return s.record(results)
}
