// Package telemetry carries what a program tells about itself: traces and
// metrics by OTLP, metrics for Prometheus, and logs that name their trace.
// Everything is set by the standard OTEL_* variables; with none of them set no
// span is made and nothing leaves the process.
//
// A package that makes spans takes its tracer from otel.Tracer and its meter
// from otel.Meter, which Start points at this package's providers, or from a
// provider in its Options.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Options are what New needs. Service is required.
type Options struct {
	Service string // service.name, unless OTEL_SERVICE_NAME says otherwise
	Version string // service.version; "" leaves it out
	// Attributes describe where the program runs, by the keys of OpenTelemetry's
	// conventions. OTEL_RESOURCE_ATTRIBUTES wins over them.
	Attributes map[string]string
	// Getenv reads the OTEL_* variables; nil is os.Getenv. What the exporters
	// read by themselves (headers, certificates, timeouts) they always take
	// from the process's environment.
	Getenv func(string) string
	// Logger is told, rarely, when an exporter fails; nil is slog.Default().
	Logger *slog.Logger
}

// Telemetry holds the providers of one program. Its methods are safe for
// concurrent use.
type Telemetry struct {
	tracers  trace.TracerProvider
	meters   *sdkmetric.MeterProvider
	registry *prometheus.Registry
	reporter *failureReporter
	traces   *sdktrace.TracerProvider // nil when tracing is off
	aborted  chan struct{}            // closed when Shutdown returns
	abort    func()                   // closes aborted, once
}

// Start is New, made the global providers of OpenTelemetry. A program calls it
// once.
func Start(ctx context.Context, o Options) (*Telemetry, error) {
	t, err := New(ctx, o)
	if err != nil {
		return nil, err
	}
	t.SetGlobal()
	return t, nil
}

// New builds the providers and touches nothing global. The error names every
// OTEL_* variable whose value is wrong. An endpoint that does not answer is no
// error: exporters connect when there is something to send.
func New(ctx context.Context, o Options) (*Telemetry, error) {
	if o.Service == "" {
		return nil, errors.New("start telemetry: no service name")
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s, err := readSettings(o.Getenv)
	if err != nil {
		return nil, fmt.Errorf("start telemetry: %w", err)
	}
	res, err := newResource(ctx, o, s)
	if err != nil {
		return nil, fmt.Errorf("start telemetry: %w", err)
	}
	t := &Telemetry{registry: prometheus.NewRegistry(), tracers: noop.NewTracerProvider(), aborted: make(chan struct{})}
	t.abort = sync.OnceFunc(func() { close(t.aborted) })
	t.reporter = newFailureReporter(o.Logger, t.registry)
	if err := t.startMetrics(ctx, s, res); err != nil {
		return nil, fmt.Errorf("start telemetry: %w", err)
	}
	if err := t.startTraces(ctx, s, res); err != nil {
		return nil, errors.Join(fmt.Errorf("start telemetry: %w", err), t.Shutdown(ctx))
	}
	return t, nil
}

// startTraces leaves the no-op provider in place when tracing is off: its spans
// cost next to nothing and pass a caller's trace context on.
func (t *Telemetry) startTraces(ctx context.Context, s settings, res *resource.Resource) error {
	if !s.traces.on {
		return nil
	}
	exporter, err := newSpanExporter(ctx, s.traces)
	if err != nil {
		return fmt.Errorf("make trace exporter for %s: %w", s.traces.endpoint.Redacted(), err)
	}
	batcher := sdktrace.NewBatchSpanProcessor(spanExporter{exporter, t.reporter, t.aborted}, s.batch...)
	t.traces = sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(countingProcessor{batcher, t.reporter.ended}),
		sdktrace.WithSampler(s.sampler),
		sdktrace.WithResource(res),
		sdktrace.WithIDGenerator(idGenerator{}),
	)
	t.tracers = t.traces
	return nil
}

func (t *Telemetry) startMetrics(ctx context.Context, s settings, res *resource.Resource) error {
	t.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	prom, err := promexporter.New(promexporter.WithRegisterer(t.registry), promexporter.WithoutScopeInfo())
	if err != nil {
		return fmt.Errorf("make prometheus reader: %w", err)
	}
	opts := []sdkmetric.Option{
		sdkmetric.WithReader(prom),
		sdkmetric.WithResource(res),
		sdkmetric.WithView(secondsView()),
	}
	if s.metrics.on {
		exporter, err := newMetricExporter(ctx, s.metrics)
		if err != nil {
			return fmt.Errorf("make metric exporter for %s: %w", s.metrics.endpoint.Redacted(), err)
		}
		opts = append(opts, sdkmetric.WithReader(
			sdkmetric.NewPeriodicReader(metricExporter{exporter, t.reporter, t.aborted})))
	}
	t.meters = sdkmetric.NewMeterProvider(opts...)
	return nil
}

// secondsView gives histograms in seconds the boundaries of OpenTelemetry's
// HTTP conventions, and three more for slow APIs. The SDK's own boundaries are
// made for milliseconds.
func secondsView() sdkmetric.View {
	return sdkmetric.NewView(
		sdkmetric.Instrument{Kind: sdkmetric.InstrumentKindHistogram, Unit: "s"},
		sdkmetric.Stream{Aggregation: sdkmetric.AggregationExplicitBucketHistogram{
			Boundaries: []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300},
		}},
	)
}

// TracerProvider is the no-op one when tracing is off.
func (t *Telemetry) TracerProvider() trace.TracerProvider { return t.tracers }

// MeterProvider is always a working one: Prometheus reads from it.
func (t *Telemetry) MeterProvider() metric.MeterProvider { return t.meters }

// Tracing reports whether spans are made and exported.
func (t *Telemetry) Tracing() bool { return t.traces != nil }

// SetGlobal makes the providers and the W3C propagator those of package otel.
func (t *Telemetry) SetGlobal() {
	otel.SetTracerProvider(t.tracers)
	otel.SetMeterProvider(t.meters)
	otel.SetTextMapPropagator(propagator)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { t.reporter.report("sdk", err) }))
}

// MetricsHandler answers in Prometheus's text format: the program's own
// metrics, the Go runtime's and the process's.
func (t *Telemetry) MetricsHandler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Flush sends what is held and goes on, for a program that is frozen between
// its calls. It returns when that is done or ctx ends, whichever is first.
func (t *Telemetry) Flush(ctx context.Context) error {
	var errs []error
	if t.traces != nil {
		errs = append(errs, wrap("flush traces", t.traces.ForceFlush(ctx)))
	}
	return errors.Join(append(errs, wrap("flush metrics", t.meters.ForceFlush(ctx)))...)
}

// Shutdown sends what is still held and stops. It returns when that is done or
// ctx ends, whichever is first.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	defer t.abort()
	var errs []error
	if t.traces != nil {
		errs = append(errs, wrap("flush traces", t.traces.Shutdown(ctx)))
	}
	// A second Shutdown is harmless, which the SDK says of traces only.
	if err := t.meters.Shutdown(ctx); !errors.Is(err, sdkmetric.ErrReaderShutdown) {
		errs = append(errs, wrap("flush metrics", err))
	}
	return errors.Join(errs...)
}

func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}
