package evidence

import (
	"context"
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
)

// Tracers makes spans that are kept and go nowhere else.
func Tracers(t testing.TB) *trace.TracerProvider {
	return trace.NewTracerProvider(trace.WithSpanProcessor(Spans(t)))
}

// Spans keeps the spans of a tracer that has other processors too.
func Spans(t testing.TB) trace.SpanProcessor { return spans{t.Name()} }

type spans struct{ test string }

var _ trace.SpanProcessor = spans{}

func (s spans) OnStart(context.Context, trace.ReadWriteSpan) {}

// OnEnd has nobody to tell of an error but the search, which misses the span.
func (s spans) OnEnd(span trace.ReadOnlySpan) {
	text := fmt.Sprintf("%s %s %s %s", span.Name(), span.Status().Description, list(span.Attributes()), span.Resource())
	for _, e := range span.Events() {
		text += " " + e.Name + " " + list(e.Attributes)
	}
	for _, l := range span.Links() {
		text += " " + list(l.Attributes)
	}
	_ = write(Span, Record{s.test, text})
}

func (s spans) Shutdown(context.Context) error   { return nil }
func (s spans) ForceFlush(context.Context) error { return nil }

func list(attributes []attribute.KeyValue) string {
	set := attribute.NewSet(attributes...)
	return set.Encoded(attribute.DefaultEncoder())
}
