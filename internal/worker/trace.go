package worker

import (
	"context"
	"encoding/json"

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
			attribute.String("messaging.destination.name", j.from.name),
			attribute.String("messaging.message.id", d.ID),
			attribute.String("callfleet.request.id", j.task.ID),
			attribute.String("callfleet.template", templateName(j.task.Template)),
			attribute.Int("callfleet.delivery.attempt", d.Attempt),
		)
		if d.Attempt > 1 { // searches of traces know no "more than"
			span.SetAttributes(attribute.Bool("callfleet.redelivered", true))
		}
	}
	return ctx, span
}

// templateName is the table's key of a template, "" when it has none.
func templateName(item json.RawMessage) string {
	var key struct{ PK struct{ S string } }
	if json.Unmarshal(item, &key) != nil { // render says what is wrong with it
		return ""
	}
	return key.PK.S
}

// endProcess ends the span of a delivery. It says what became of the message,
// for a call that comes again has a span for each time that it came.
func endProcess(span trace.Span, s settlement) {
	if span.IsRecording() {
		span.SetAttributes(attribute.String("callfleet.settlement", s.kind.String()))
	}
	span.End()
}

// markAnswered writes on the span of ctx what the last attempt was answered,
// and how many there were.
func markAnswered(ctx context.Context, r call.Result) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attribute.Int("callfleet.attempts", r.Attempts), attribute.Int("callfleet.status_code", r.StatusCode))
	}
}

// startReport begins the span of a report, where there is a trace.
func (w *Worker) startReport(ctx context.Context, j *job, f *call.Failure) (context.Context, trace.Span) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, trace.SpanFromContext(ctx)
	}
	method := "SendTaskSuccess"
	if f != nil {
		method = "SendTaskFailure"
	}
	attrs := []attribute.KeyValue{
		attribute.String("rpc.system", "aws-api"), attribute.String("rpc.service", "StepFunctions"), attribute.String("rpc.method", method),
	}
	if j.task.Token == "" {
		attrs = []attribute.KeyValue{
			attribute.String("messaging.system", w.opts.System), attribute.String("messaging.destination.name", "results"),
			attribute.String("messaging.operation.name", "send"), attribute.String("messaging.operation.type", "send"),
			attribute.String("messaging.message.id", j.task.ID),
		}
	}
	return w.tracer.Start(ctx, "report", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
}

// endReport ends the span of a report, with an error when it was given up.
func endReport(span trace.Span, s settlement) {
	if !span.IsRecording() {
		return
	}
	if s.kind == handBack {
		span.SetAttributes(attribute.String("error.type", s.kind.String()))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// markFailed writes the failure, if it is one, on the span of ctx.
func markFailed(ctx context.Context, f *call.Failure) {
	span := trace.SpanFromContext(ctx)
	if f == nil || !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("error.type", string(f.Name)))
	if f.Attempts > 0 {
		span.SetAttributes(attribute.Int("callfleet.attempts", f.Attempts))
	}
	span.SetStatus(codes.Error, f.Cause)
}
