package httpcall

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/telemetry"
)

// scope names the instrumentation.
const scope = "callfleet/internal/httpcall"

// maxSeries bounds the attribute sets kept: hosts come from templates.
const maxSeries = 4096

// observer records each attempt, by the names of OpenTelemetry's conventions
// for HTTP clients.
type observer struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	series   sync.Map // seriesKey → []metric.RecordOption
	known    atomic.Int64
}

// outcome is how an attempt ended.
type outcome struct {
	status int
	fault  *fault
	took   time.Duration
}

// errorType is the value of error.type: the failure's name, or the status.
func (o outcome) errorType() string {
	switch {
	case o.fault != nil:
		return string(o.fault.name)
	case o.status >= 400:
		return strconv.Itoa(o.status)
	}
	return ""
}

func newObserver(o Options) (*observer, error) {
	h, err := o.MeterProvider.Meter(scope).Float64Histogram("http.client.request.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of HTTP client requests."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60))
	if err != nil {
		return nil, err
	}
	return &observer{tracer: o.TracerProvider.Tracer(scope), duration: h}, nil
}

// start begins the span of one attempt. Attributes are made for spans that are
// recorded only: most are not sampled.
func (o *observer) start(ctx context.Context, p *plan) (context.Context, trace.Span) {
	ctx, span := o.tracer.Start(ctx, p.request.Method, trace.WithSpanKind(trace.SpanKindClient))
	if !span.IsRecording() {
		return ctx, span
	}
	span.SetAttributes(
		attribute.String("http.request.method", p.request.Method),
		attribute.String("url.full", p.target),
		attribute.String("server.address", p.request.URL.Hostname()),
		attribute.Int("server.port", port(p.request.URL)),
	)
	if p.attempts > 1 {
		span.SetAttributes(attribute.Int("http.request.resend_count", p.attempts-1))
	}
	return ctx, span
}

func (o *observer) end(ctx context.Context, span trace.Span, p *plan, out outcome) {
	if span.IsRecording() {
		if out.status != 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", out.status))
		}
		if t := out.errorType(); t != "" {
			span.SetAttributes(attribute.String("error.type", t))
		}
		switch {
		case out.fault != nil:
			span.SetStatus(codes.Error, out.fault.reason)
		case out.status >= 400:
			span.SetStatus(codes.Error, "")
		}
	}
	span.End()
	if o.duration.Enabled(ctx) {
		o.duration.Record(ctx, out.took.Seconds(), o.options(p, out)...)
	}
}

// retrying writes on the span of ctx, the call's, why there is a pause before
// the next attempt.
func (p *plan) retrying(ctx context.Context, wait pause, rep reply, flt *fault) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.AddEvent("retry", trace.WithAttributes(
		attribute.Int("callfleet.attempts", p.attempts),
		attribute.String("error.type", outcome{status: rep.status, fault: flt}.errorType()),
		attribute.Float64("callfleet.retry.delay_s", wait.length.Seconds()),
		attribute.Bool("callfleet.retry.asked", wait.asked),
	))
}

type seriesKey struct {
	method, host, err string
	status            int
}

// options returns the attributes of one series, made once.
func (o *observer) options(p *plan, out outcome) []metric.RecordOption {
	key := seriesKey{p.request.Method, p.request.URL.Scheme + p.request.URL.Host, out.errorType(), out.status}
	if v, ok := o.series.Load(key); ok {
		return v.([]metric.RecordOption)
	}
	attrs := []attribute.KeyValue{
		attribute.String("http.request.method", p.request.Method),
		attribute.String("server.address", p.request.URL.Hostname()),
		attribute.Int("server.port", port(p.request.URL)),
	}
	if out.status != 0 {
		attrs = append(attrs, attribute.Int("http.response.status_code", out.status))
	}
	if key.err != "" {
		attrs = append(attrs, attribute.String("error.type", key.err))
	}
	opts := []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
	if o.known.Load() < maxSeries {
		o.known.Add(1)
		o.series.Store(key, opts)
	}
	return opts
}

func port(u *url.URL) int {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return n
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}

// inject sends the trace along.
func inject(ctx context.Context, h http.Header) {
	parent, state := telemetry.Inject(ctx)
	if parent == "" {
		return
	}
	h.Set("Traceparent", parent)
	if state != "" {
		h.Set("Tracestate", state)
	}
}
