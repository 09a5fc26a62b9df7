package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func newSpanExporter(ctx context.Context, s signal) (sdktrace.SpanExporter, error) {
	if s.protocol == protocolGRPC {
		return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(s.endpoint.String()))
	}
	return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(s.endpoint.String()))
}

func newMetricExporter(ctx context.Context, s signal) (sdkmetric.Exporter, error) {
	if s.protocol == protocolGRPC {
		return otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpointURL(s.endpoint.String()))
	}
	return otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(s.endpoint.String()))
}

// spanExporter takes failures to the reporter instead of the global error
// handler, which prints each of them, and ends with abort.
type spanExporter struct {
	sdktrace.SpanExporter
	reporter *failureReporter
	abort    <-chan struct{}
}

func (e spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := cancelOn(ctx, e.abort)
	defer cancel()
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.reporter.report("traces", err)
		return nil
	}
	e.reporter.exported.Add(float64(len(spans)))
	return nil
}

// countingProcessor counts the spans that are to be exported, those among them
// that the full queue behind it drops.
type countingProcessor struct {
	sdktrace.SpanProcessor
	ended prometheus.Counter
}

func (p countingProcessor) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		p.ended.Inc()
	}
	p.SpanProcessor.OnEnd(s)
}

// metricExporter does for metrics what spanExporter does for spans.
type metricExporter struct {
	sdkmetric.Exporter
	reporter *failureReporter
	abort    <-chan struct{}
}

func (e metricExporter) Export(ctx context.Context, m *metricdata.ResourceMetrics) error {
	ctx, cancel := cancelOn(ctx, e.abort)
	defer cancel()
	if err := e.Exporter.Export(ctx, m); err != nil {
		e.reporter.report("metrics", err)
	}
	return nil
}

// cancelOn returns ctx, which also ends when abort is closed: an exporter that
// retries must not outlive Shutdown.
func cancelOn(ctx context.Context, abort <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-abort:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// reportEvery is the shortest time between two warnings about one signal.
const reportEvery = time.Minute

// failureReporter counts what is exported and what is not, and logs the first
// failure of each minute: an unreachable collector must be seen without
// filling the log.
type failureReporter struct {
	logger          *slog.Logger
	failures        *prometheus.CounterVec
	ended, exported prometheus.Counter

	mu   sync.Mutex
	last map[string]report // by signal; guarded by mu
}

type report struct {
	at         time.Time
	suppressed int
}

func newFailureReporter(logger *slog.Logger, registry prometheus.Registerer) *failureReporter {
	r := &failureReporter{
		logger: logger,
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "callfleet_telemetry_export_failures_total",
			Help: "Failed exports of traces and metrics; what they held is lost.",
		}, []string{"signal"}),
		last: make(map[string]report),
	}
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "callfleet_telemetry_spans_total",
		Help: "Sampled spans, ended and exported; a difference that stays is dropped spans.",
	}, []string{"state"})
	r.ended, r.exported = spans.WithLabelValues("ended"), spans.WithLabelValues("exported")
	registry.MustRegister(r.failures, spans)
	return r
}

func (r *failureReporter) report(signal string, err error) {
	r.failures.WithLabelValues(signal).Inc()
	r.mu.Lock()
	last := r.last[signal]
	if !last.at.IsZero() && time.Since(last.at) < reportEvery {
		last.suppressed++
		r.last[signal] = last
		r.mu.Unlock()
		return
	}
	r.last[signal] = report{at: time.Now()}
	r.mu.Unlock()
	r.logger.Warn("telemetry export failed, data dropped, calls go on",
		slog.String("signal", signal), slog.Any("error", err), slog.Int("suppressed", last.suppressed))
}
