package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

var propagator = propagation.TraceContext{}

// Inject returns the W3C trace context of ctx's span for a message body; both
// are "" when there is none.
func Inject(ctx context.Context) (traceparent, tracestate string) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return "", ""
	}
	var c stringCarrier
	propagator.Inject(ctx, &c)
	return c.parent, c.state
}

// Extract returns ctx with the remote span that the W3C trace context names.
// What is not a valid trace context leaves ctx as it is.
func Extract(ctx context.Context, traceparent, tracestate string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagator.Extract(ctx, &stringCarrier{parent: traceparent, state: tracestate})
}

// End ends a span when a function is left: "defer telemetry.End(span)". Deferred by
// itself, span.End writes the value of a panic into the span, which may be
// anything that the function had in its hands: params, and secrets.
func End(span trace.Span) { span.End() }

// stringCarrier is a propagation carrier without a map.
type stringCarrier struct{ parent, state string }

var _ propagation.TextMapCarrier = (*stringCarrier)(nil)

func (c *stringCarrier) Get(key string) string {
	switch key {
	case "traceparent":
		return c.parent
	case "tracestate":
		return c.state
	}
	return ""
}

func (c *stringCarrier) Set(key, value string) {
	switch key {
	case "traceparent":
		c.parent = value
	case "tracestate":
		c.state = value
	}
}

func (c *stringCarrier) Keys() []string { return []string{"traceparent", "tracestate"} }

// WithSpanID gives the next span that is started from the returned context
// (and is not the no-op kind) this id; spans after it, its children among them,
// get ids of their own. A span whose work outlives the process, such as a
// workflow's execution, can so be named by its children before it is written.
func WithSpanID(ctx context.Context, id trace.SpanID) context.Context {
	return context.WithValue(ctx, spanIDKey{}, &givenSpanID{id: id})
}

// NewSpanID returns a random id for WithSpanID.
func NewSpanID() trace.SpanID {
	var id trace.SpanID
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

type spanIDKey struct{}

// givenSpanID is taken once: a child context still carries it.
type givenSpanID struct {
	id    trace.SpanID
	taken atomic.Bool
}

// idGenerator makes random ids, except where WithSpanID gave one.
type idGenerator struct{}

func (g idGenerator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	var id trace.TraceID
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:8], rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id, g.NewSpanID(ctx, id)
}

func (idGenerator) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if g, ok := ctx.Value(spanIDKey{}).(*givenSpanID); ok && g.id.IsValid() && !g.taken.Swap(true) {
		return g.id
	}
	return NewSpanID()
}
