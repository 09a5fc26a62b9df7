package starter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/call"
	"callfleet/internal/queue"
	"callfleet/internal/stepfn"
	"callfleet/internal/telemetry"
)

const (
	tryTimeout = 20 * time.Second // of one start, the SDK's own retries included
	firstPause = 200 * time.Millisecond
	lastPause  = 10 * time.Second
	// longestStay is the longest that a request stays away that was handed back.
	longestStay = 5 * time.Minute
)

// handle brings one request to its execution, or to the dead-letter queue.
func (s *Starter) handle(ctx context.Context, d *queue.Delivery) {
	req, reason := decode(d.Body)
	if reason != "" {
		s.reject(ctx, d, reason)
		return
	}
	if req.Trace != nil {
		ctx = telemetry.Extract(ctx, req.Trace.Parent, req.Trace.State)
	}
	ctx, span := s.tracer.Start(ctx, "process requests", trace.WithSpanKind(trace.SpanKindConsumer))
	defer telemetry.End(span)
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("messaging.system", s.opts.System),
			attribute.String("messaging.operation.name", "process"),
			attribute.String("messaging.operation.type", "process"),
			attribute.String("messaging.destination.name", "requests"),
			attribute.String("messaging.message.id", d.ID),
			attribute.String("callfleet.request.id", req.ID),
			attribute.String("callfleet.template", req.Template),
			attribute.Int("callfleet.delivery.attempt", d.Attempt),
		)
	}
	err := s.start(ctx, d, req)
	if err != nil {
		span.SetAttributes(attribute.String("error.type", errorType(err)))
		span.SetStatus(codes.Error, err.Error())
	}
	switch {
	case err == nil:
		s.stats.started.Add(1)
		s.settle(ctx, d, d.Ack)
	case errors.Is(err, stepfn.ErrNameTaken), errors.Is(err, stepfn.ErrInvalid):
		s.refuse(ctx, d, req.ID, err.Error())
	case errors.Is(err, queue.ErrLeaseLost): // another has it
	default:
		s.handBack(ctx, d)
	}
}

// errorType is the value of error.type: a word for what callers branch on.
func errorType(err error) string {
	switch {
	case errors.Is(err, stepfn.ErrNameTaken):
		return "name_taken"
	case errors.Is(err, stepfn.ErrInvalid):
		return "invalid"
	case errors.Is(err, queue.ErrLeaseLost):
		return "lease_lost"
	}
	return "interrupted"
}

// decode returns why the body is no request that can be started.
func decode(body []byte) (req call.Request, reason string) {
	req, err := call.DecodeRequest(body)
	if err == nil {
		err = call.ValidateID(req.ID)
		if err != nil {
			return req, "decode request: id: " + err.Error()
		}
	}
	if err != nil {
		return req, err.Error()
	}
	return req, ""
}

// start tries until the execution exists. The message is kept meanwhile: to
// hand it back and receive it again would use up its deliveries and send good
// requests to the dead-letter queue when the API is away for long. As all
// slots come to wait like this, no more requests are taken in. The error is
// permanent, or ctx's own.
func (s *Starter) start(ctx context.Context, d *queue.Delivery, req call.Request) error {
	h, id, executions := newHolder(d, s.requests.Lease()), req.ID, s.executions
	if req.Batch != nil {
		if executions = s.opts.Batches; executions == nil {
			return fmt.Errorf("%w: this starter has no state machine for batches", stepfn.ErrInvalid)
		}
		if err := s.hold(ctx, h, req.Batch.Count); err != nil {
			return err
		}
	}
	for bound := firstPause; ; bound = min(2*bound, lastPause) {
		if err := h.turn(ctx, s.pace); err != nil {
			return err
		}
		once, cancel := context.WithTimeout(ctx, tryTimeout)
		err := executions.Start(once, id, d.Body)
		cancel()
		switch {
		case err == nil, errors.Is(err, stepfn.ErrNameTaken), errors.Is(err, stepfn.ErrInvalid):
			s.outage.Passed(ctx)
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, stepfn.ErrThrottled):
			s.stats.throttled.Add(1)
			s.pace.Throttled()
		default:
			s.stats.errors.Add(1)
			s.outage.Failed(ctx, err, "request", id)
		}
		if err := h.pause(ctx, bound/2+rand.N(bound/2)); err != nil {
			return err
		}
	}
}

// handBack gives up a request that was not started when the starter stops. Who
// gets it next may have to stop as well, and during an outage it would go from
// hand to hand until its deliveries are used up: so it stays away for a while,
// longer each time.
func (s *Starter) handBack(ctx context.Context, d *queue.Delivery) {
	var delay time.Duration
	if d.Attempt > 1 || s.outage.Lasts() {
		delay = min(s.requests.Lease()/8<<min(d.Attempt-1, 10), longestStay)
	}
	s.settle(ctx, d, func(ctx context.Context) error { return d.Retry(ctx, delay) })
}

// refuse ends a request that can never be started: there will be no execution
// to tell its outcome, so it is told here, and then the message is moved to the
// dead-letter queue.
func (s *Starter) refuse(ctx context.Context, d *queue.Delivery, id, reason string) {
	if s.opts.Results != nil {
		if err := s.publishRefusal(ctx, d, id, reason); err != nil {
			s.log.WarnContext(ctx, "handing back a refused request whose outcome could not be published", "request", id, "error", err)
			s.settle(ctx, d, func(ctx context.Context) error { return d.Retry(ctx, lastPause) })
			return
		}
	}
	s.reject(ctx, d, reason)
}

func (s *Starter) publishRefusal(ctx context.Context, d *queue.Delivery, id, reason string) error {
	body, err := call.EncodeOutcome(call.Outcome{
		ID: id, Status: call.StatusFailed, Error: string(call.NotStarted), Cause: reason, Started: d.Sent, Stopped: time.Now(),
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return s.opts.Results.Publish(ctx, queue.Message{ID: id, Group: id, Body: body})
}

func (s *Starter) reject(ctx context.Context, d *queue.Delivery, reason string) {
	s.stats.rejected.Add(1)
	s.log.WarnContext(ctx, "moving a message to the dead-letter queue", "message", d.ID, "reason", reason)
	s.settle(ctx, d, func(ctx context.Context) error { return d.Reject(ctx, reason) })
}

// settle ends the delivery. When that cannot be recorded the message comes
// again, which starts nothing twice.
func (s *Starter) settle(ctx context.Context, d *queue.Delivery, how func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := how(ctx); err != nil && !errors.Is(err, queue.ErrLeaseLost) {
		s.log.WarnContext(ctx, "leaving a message to come again when its lease ends", "message", d.ID, "error", err)
	}
}
