// Package otlptest is an OTLP receiver for tests: a real gRPC server on
// loopback that keeps the spans and metrics it is sent.
package otlptest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"

	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"callfleet/internal/evidence"
)

// Receiver keeps what exporters send to it. Its methods are safe for
// concurrent use.
type Receiver struct {
	t        testing.TB
	endpoint string

	mu      sync.Mutex
	spans   []Span        // guarded by mu; in the order of arrival
	metrics []Metric      // guarded by mu
	changed chan struct{} // guarded by mu; closed and replaced when something arrives
}

// Start serves on a free port of loopback until the test ends.
func Start(t testing.TB) *Receiver {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen for otlp: %v", err)
	}
	r := &Receiver{t: t, endpoint: "http://" + lis.Addr().String(), changed: make(chan struct{})}
	srv := grpc.NewServer()
	tracepb.RegisterTraceServiceServer(srv, traceService{receiver: r})
	metricspb.RegisterMetricsServiceServer(srv, metricsService{receiver: r})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve otlp: %v", err)
		}
	})
	return r
}

// Endpoint is the value for OTEL_EXPORTER_OTLP_ENDPOINT; the protocol is grpc.
func (r *Receiver) Endpoint() string { return r.endpoint }

// Env returns the variables that send a program's telemetry here at once, for
// a child process or, by Getenv, for telemetry.New.
func (r *Receiver) Env() map[string]string {
	return map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": r.endpoint,
		"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
	}
}

// Getenv reads Env, with the variables in more over it.
func (r *Receiver) Getenv(more map[string]string) func(string) string {
	env := r.Env()
	maps.Copy(env, more)
	return func(name string) string { return env[name] }
}

// Spans returns the spans that have arrived so far.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// WaitSpans returns the spans as soon as enough says so of them, or what is
// there and an error when ctx ends before.
func (r *Receiver) WaitSpans(ctx context.Context, enough func([]Span) bool) ([]Span, error) {
	return wait(ctx, r, func() []Span { return r.spans }, enough)
}

// AtLeast is a condition for WaitSpans: n spans or more.
func AtLeast(n int) func([]Span) bool {
	return func(s []Span) bool { return len(s) >= n }
}

// Metrics returns the metrics that have arrived so far, one for each time that
// one was sent.
func (r *Receiver) Metrics() []Metric {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.metrics)
}

// WaitMetrics is WaitSpans for metrics.
func (r *Receiver) WaitMetrics(ctx context.Context, enough func([]Metric) bool) ([]Metric, error) {
	return wait(ctx, r, func() []Metric { return r.metrics }, enough)
}

// wait calls items with r.mu held.
func wait[T any](ctx context.Context, r *Receiver, items func() []T, enough func([]T) bool) ([]T, error) {
	for {
		r.mu.Lock()
		got, changed := slices.Clone(items()), r.changed
		r.mu.Unlock()
		if enough(got) {
			return got, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return got, fmt.Errorf("wait for telemetry, %d items have arrived: %w", len(got), context.Cause(ctx))
		}
	}
}

func (r *Receiver) add(spans []Span, metrics []Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = append(r.spans, spans...)
	r.metrics = append(r.metrics, metrics...)
	close(r.changed)
	r.changed = make(chan struct{})
}

type traceService struct {
	tracepb.UnimplementedTraceServiceServer
	receiver *Receiver
}

func (s traceService) Export(_ context.Context, req *tracepb.ExportTraceServiceRequest) (*tracepb.ExportTraceServiceResponse, error) {
	for _, rs := range req.GetResourceSpans() {
		evidence.Write(s.receiver.t, evidence.Span, rs.GetResource().String())
		for _, ss := range rs.GetScopeSpans() {
			for _, span := range ss.GetSpans() {
				evidence.Write(s.receiver.t, evidence.Span, span.String())
			}
		}
	}
	s.receiver.add(spansOf(req.GetResourceSpans()), nil)
	return &tracepb.ExportTraceServiceResponse{}, nil
}

type metricsService struct {
	metricspb.UnimplementedMetricsServiceServer
	receiver *Receiver
}

func (s metricsService) Export(_ context.Context, req *metricspb.ExportMetricsServiceRequest) (*metricspb.ExportMetricsServiceResponse, error) {
	for _, rm := range req.GetResourceMetrics() {
		for _, sm := range rm.GetScopeMetrics() {
			for _, metric := range sm.GetMetrics() {
				evidence.Write(s.receiver.t, evidence.Metric, metric.String())
			}
		}
	}
	s.receiver.add(nil, metricsOf(req.GetResourceMetrics()))
	return &metricspb.ExportMetricsServiceResponse{}, nil
}
