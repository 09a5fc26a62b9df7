// Package span makes the publish span of a request, the root of its trace.
package span

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/call"
	"callfleet/internal/telemetry"
)

// Maker makes the root span of each request. Its ids are derived from the
// run's seed and the request id: a request that is published again after a
// crash carries the same trace context, and so has the same bytes.
type Maker struct {
	tracer trace.Tracer
	seed   string
	name   string
	attrs  []attribute.KeyValue
}

// Options say what the spans of a run have in common.
type Options struct {
	Tracers     trace.TracerProvider
	System      string // messaging.system
	Destination string // messaging.destination.name
	Seed        string // of the ids
}

// New makes a Maker.
func New(o Options) *Maker {
	return &Maker{
		tracer: o.Tracers.Tracer("callfleet/internal/producer"), seed: o.Seed, name: "send " + o.Destination,
		attrs: []attribute.KeyValue{
			semconv.MessagingSystemKey.String(o.System), semconv.MessagingDestinationName(o.Destination),
			semconv.MessagingOperationName("send"), semconv.MessagingOperationTypeSend,
		},
	}
}

// IDs are the trace and span id of a request.
func (t *Maker) IDs(id string) (trace.TraceID, trace.SpanID) {
	h := sha256.New()
	_, _ = io.WriteString(h, t.seed+" "+id)
	sum := h.Sum(nil)
	return trace.TraceID(sum[:16]), trace.SpanID(sum[16:24])
}

// Start begins the span of a request and puts its context into the request.
// Without telemetry the request stays as it is.
func (t *Maker) Start(ctx context.Context, r *call.Request) trace.Span {
	traceID, spanID := t.IDs(r.ID)
	// A parent with a trace id and no span id: the span gets this trace id and
	// is a root nonetheless.
	ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID}))
	ctx = telemetry.WithSpanID(ctx, spanID)
	ctx, span := t.tracer.Start(ctx, t.name, trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(t.attrs...), trace.WithAttributes(
			semconv.MessagingMessageID(r.ID), attribute.String("callfleet.request.id", r.ID),
			attribute.String("callfleet.template", r.Template)))
	if parent, state := telemetry.Inject(ctx); parent != "" {
		r.Trace = &call.Trace{Parent: parent, State: state}
	}
	return span
}

// Again is Start for a request that may have been published before, with or
// without a trace: it gets the context that it had then.
func (t *Maker) Again(ctx context.Context, r *call.Request, sampled bool) trace.Span {
	span := t.Start(ctx, r)
	traceID, spanID := t.IDs(r.ID)
	flags := trace.TraceFlags(0).WithSampled(sampled)
	r.Trace = &call.Trace{Parent: fmt.Sprintf("00-%s-%s-%s", traceID, spanID, flags)}
	return span
}

// End ends the spans of a batch.
func End(spans []trace.Span, err error) {
	for _, span := range spans {
		if err != nil {
			span.SetAttributes(semconv.ErrorTypeKey.String(errorType(err)))
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// errorType is the failure's name, or what is said of every other error.
func errorType(err error) string {
	if f, ok := errors.AsType[*call.Failure](err); ok {
		return string(f.Name)
	}
	return semconv.ErrorTypeOther.Value.AsString()
}
