package worker

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/call"
	"callfleet/internal/telemetry"
)

// startProcess begins the span of a delivery. Its parent is who put the
// message on the queue; when the broker carried no trace, it is the request.
func (w *Worker) startProcess(ctx context.Context, j *job) (context.Context, trace.Span) {
	d := j.delivery
	if parent := d.Headers["traceparent"]; parent != "" {
		ctx = telemetry.Extract(ctx, parent, d.Headers["tracestate"])
	} else if t := j.task.Trace; t != nil {
		ctx = telemetry.Extract(ctx, t.Parent, t.State)
	}
	ctx, span := w.tracer.Start(ctx, "process tasks", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(j.received))
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("messaging.system", w.opts.System),
			attribute.String("messaging.operation.name", "process"),
			attribute.String("messaging.operation.type", "process"),
			attribute.String("messaging.destination.name", "tasks"),
			attribute.String("messaging.message.id", d.ID),
			attribute.String("callfleet.request.id", j.task.ID),
			attribute.Int("callfleet.delivery.attempt", d.Attempt),
		)
	}
	return ctx, span
}

// markFailed writes the failure, if it is one, on the span of ctx.
func markFailed(ctx context.Context, f *call.Failure) {
	span := trace.SpanFromContext(ctx)
	if f == nil || !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("error.type", string(f.Name)))
	span.SetStatus(codes.Error, f.Cause)
}
