package producer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/call"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/requestid"
	"callfleet/internal/producer/span"
	"callfleet/internal/queue"
)

// ErrNoOutcome says that a call was published and its outcome did not come in
// time: the call goes on.
var ErrNoOutcome = errors.New("no outcome yet")

// CallOptions describe a single call.
type CallOptions struct {
	Template string
	Method   string
	Version  int             // of the template; 0 is the current one
	Params   json.RawMessage // a JSON object; nil is {}
	FlowKey  string
	Deadline time.Time

	ClaimAbove int // as in Options

	Run string // the run of the call's id "<run>-1"; a new one when ""
	// Wait waits for the outcome, at most Timeout (without end when 0).
	Wait    bool
	Timeout time.Duration

	System  string               // messaging.system of the span, "nats" when ""
	Tracers trace.TracerProvider // nil is OpenTelemetry's global one
	Log     *slog.Logger         // nil is slog.Default()
}

// Call publishes one call. With Wait it returns its result, or ErrNoOutcome;
// without, a result that has the id and the trace id only.
func Call(ctx context.Context, d Deps, o CallOptions) (journal.Result, error) {
	if o.Run == "" {
		o.Run = requestid.NewRun(time.Now())
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if err := requestid.ValidateRun(o.Run); err != nil {
		return journal.Result{}, fmt.Errorf("call: run: %w", err)
	}
	r := call.Request{
		ID: o.Run + "-1", Template: o.Template, Method: o.Method, Version: o.Version, Params: o.Params, FlowKey: o.FlowKey, Deadline: o.Deadline,
	}
	var feed queue.Feed
	if o.Wait {
		var err error
		if feed, err = d.Feed(ctx, o.Run); err != nil {
			return journal.Result{}, fmt.Errorf("call %s: open results feed: %w", r.ID, err)
		}
		defer feed.Close()
	}
	res, sent, err := publishOne(ctx, d, o, r)
	if err != nil || !o.Wait {
		return res, err
	}
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.Timeout, ErrNoOutcome)
		defer cancel()
	}
	out, err := awaitOne(ctx, feed, journal.Sent{Line: 1, At: sent, TraceID: res.TraceID}, r.ID)
	if err != nil {
		return res, fmt.Errorf("call %s: %w", r.ID, err)
	}
	if err := feed.End(ctx); err != nil {
		o.Log.WarnContext(ctx, "feed of a complete call left behind", "run", o.Run, "error", err)
	}
	return out, nil
}

// publishOne returns what is known of a call that was just published.
func publishOne(ctx context.Context, d Deps, o CallOptions, r call.Request) (journal.Result, time.Time, error) {
	sent := time.Now()
	opts := Options{System: o.System, ClaimAbove: o.ClaimAbove, Tracers: o.Tracers, Log: o.Log}.withDefaults()
	s := &session{Producer: &Producer{deps: d, opts: opts}}
	// The run's id is as good a seed as any: it is this call's alone.
	root := span.New(span.Options{
		Tracers: opts.Tracers, System: opts.System, Destination: d.Encoder.Destination(), Seed: o.Run,
	}).Start(ctx, &r)
	m, err := s.encode(ctx, r)
	if err == nil {
		err = s.deliver(ctx, []queue.Message{m})
	}
	span.End([]trace.Span{root}, err)
	if err != nil {
		return journal.Result{}, sent, fmt.Errorf("call %s %s: %w", o.Template, o.Method, err)
	}
	return journal.Result{ID: r.ID, Line: 1, Status: string(call.StatusRunning), TraceID: r.Trace.ID()}, sent, nil
}

func awaitOne(ctx context.Context, feed queue.Consumer, sent journal.Sent, id string) (journal.Result, error) {
	for {
		events, err := feed.Receive(ctx, 1)
		if err != nil && ctx.Err() != nil {
			return journal.Result{}, context.Cause(ctx)
		}
		if err != nil {
			return journal.Result{}, fmt.Errorf("receive outcome: %w", err)
		}
		for _, e := range events {
			o, err := call.DecodeOutcome(e.Body)
			if err != nil {
				_ = e.Reject(ctx, err.Error()) // it comes again, and is rejected then
				continue
			}
			// Acknowledged first: the result is returned, not stored.
			if err := e.Ack(ctx); err != nil && !errors.Is(err, queue.ErrLeaseLost) {
				return journal.Result{}, fmt.Errorf("acknowledge outcome: %w", err)
			}
			if o.ID == id && o.Status.Ended() {
				return journal.ResultOf(o, sent), nil
			}
		}
	}
}
