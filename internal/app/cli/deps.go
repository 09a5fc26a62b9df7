package cli

import (
	"context"
	"errors"

	"golang.org/x/time/rate"

	"callfleet/internal/app/backend"
	"callfleet/internal/batch"
	"callfleet/internal/call"
	"callfleet/internal/claim"
	"callfleet/internal/producer"
	"callfleet/internal/queue"
	"callfleet/internal/stepfn"
)

// deps are the queue, the feed and what finds outcomes that the feed lost.
func (c *cli) deps(ctx context.Context, b *backend.Backend) (producer.Deps, error) {
	deps := producer.Deps{Encoder: producer.Workflow{}, Feed: b.ConsumeResults}
	if b.Executions != nil {
		deps.Describer = describer{b.Executions}
	}
	if c.cfg.Command == "run" && c.cfg.Run.Direct {
		deps.Encoder, deps.Describer = producer.NewDirect(b.Templates), nil
	}
	if b.Blobs != nil {
		deps.Claims, deps.Batches = c.claims(b), batch.New(b.Blobs)
	}
	deps.Checker = producer.NewChecker(b.Templates)
	var err error
	deps.Queue, err = b.Publisher(ctx, deps.Encoder.Destination())
	r := c.cfg.Run.Rate.PerSecond
	if n := c.cfg.Run.Batch; c.cfg.Command == "run" && n > 1 {
		if b.Blobs == nil {
			return deps, errors.New("--batch needs a blob store, for the progress and the results of batches: set CALLFLEET_BLOBS, such as s3://bucket, for the workers too")
		}
		if b.Batches != nil {
			deps.Describer = describer{b.Batches}
		}
		r /= float64(n) // of messages
	}
	if err == nil && r > 0 {
		deps.Queue = paced{deps.Queue, rate.NewLimiter(rate.Limit(r), max(1, int(r/10)))}
	}
	return deps, err
}

// claims puts what is too large to travel into the backend's store, and fetches
// it.
func (c *cli) claims(b *backend.Backend) *claim.Checker {
	claims := claim.New(claim.Options{MaxBlob: int64(c.cfg.BlobLimit)})
	claims.Bind(b.Blobs)
	return claims
}

// paced publishes at most so many messages a second.
type paced struct {
	queue.Publisher
	limit *rate.Limiter
}

// Publish waits for its turn, message by message when there are many.
func (p paced) Publish(ctx context.Context, msgs ...queue.Message) error {
	for len(msgs) > 0 {
		n := min(len(msgs), p.limit.Burst())
		if err := p.limit.WaitN(ctx, n); err != nil {
			return err
		}
		if err := p.Publisher.Publish(ctx, msgs[:n]...); err != nil {
			return err
		}
		msgs = msgs[n:]
	}
	return nil
}

// describer finds the outcome of a request by its execution.
type describer struct{ executions *stepfn.Client }

// Describe implements producer.Describer.
func (d describer) Describe(ctx context.Context, id string) (call.Outcome, bool, error) {
	e, err := d.executions.Describe(ctx, id)
	if errors.Is(err, stepfn.ErrNotFound) {
		return call.Outcome{}, false, nil
	}
	if err != nil || !e.Status.Ended() {
		return call.Outcome{}, false, err
	}
	return call.Outcome{
		ID: id, Status: e.Status, Input: e.Input, Output: e.Output, Error: e.Error, Cause: e.Cause, Started: e.Started, Stopped: e.Stopped,
	}, true, nil
}
