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

// reportingSpanExporter takes failures to the reporter instead of the global
// error handler, which prints each of them.
type reportingSpanExporter struct {
	sdktrace.SpanExporter
	reporter *failureReporter
}

func (e reportingSpanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.reporter.report("traces", err)
	}
	return nil
}

// reportingMetricExporter does the same for metrics.
type reportingMetricExporter struct {
	sdkmetric.Exporter
	reporter *failureReporter
}

func (e reportingMetricExporter) Export(ctx context.Context, m *metricdata.ResourceMetrics) error {
	if err := e.Exporter.Export(ctx, m); err != nil {
		e.reporter.report("metrics", err)
	}
	return nil
}

// reportEvery is the shortest time between two warnings about one signal.
const reportEvery = time.Minute

// failureReporter counts failed exports and logs the first of each minute: an
// unreachable collector must be seen without filling the log.
type failureReporter struct {
	logger   *slog.Logger
	failures *prometheus.CounterVec

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
	registry.MustRegister(r.failures)
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
