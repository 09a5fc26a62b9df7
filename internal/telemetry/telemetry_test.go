package telemetry

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"callfleet/internal/evidence"
	"callfleet/internal/telemetry/otlptest"
)

// setup starts telemetry with the given variables and stops it with the test.
func setup(t *testing.T, getenv func(string) string) (*Telemetry, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	tel, err := New(t.Context(), Options{
		Service: "worker", Version: "1.2.3", Getenv: getenv, Logger: NewLogger(log, slog.LevelInfo, "json"),
	})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return tel, log
}

// vars is a Getenv over name, value pairs.
func vars(pairs ...string) func(string) string {
	m := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func scrape(t *testing.T, tel *Telemetry) string {
	t.Helper()
	rec := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("GET /metrics = %d, want 200", rec.Code)
	}
	return rec.Body.String()
}

func TestShutdownSendsSpansWithParentsAndResource(t *testing.T) {
	t.Parallel()
	rcv := otlptest.Start(t)
	tel, _ := setup(t, rcv.Getenv(map[string]string{
		"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,team=a%2Cb",
	}))
	tracer := tel.TracerProvider().Tracer("callfleet/test")
	ctx, parent := tracer.Start(t.Context(), "send requests", trace.WithSpanKind(trace.SpanKindProducer))
	_, child := tracer.Start(ctx, "GET", trace.WithAttributes(attribute.Int("http.response.status_code", 503)))
	child.SetStatus(codes.Error, "no answer")
	child.End()
	parent.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatalf("Shutdown: %v", err)
	}
	spans := rcv.Spans()
	if len(spans) != 2 {
		t.Fatalf("%d spans arrived, want 2", len(spans))
	}
	c, p := spans[0], spans[1]
	if p.Name != "send requests" || p.Kind != "PRODUCER" || p.ParentID != "" {
		t.Errorf("root = %+v, want a PRODUCER root called send requests", p)
	}
	if c.ParentID != p.SpanID || c.TraceID != p.TraceID {
		t.Errorf("child has parent %s in trace %s, want %s in %s", c.ParentID, c.TraceID, p.SpanID, p.TraceID)
	}
	if c.Attributes["http.response.status_code"] != "503" || !c.Failed || c.Status != "no answer" {
		t.Errorf("child = %+v, want status code 503 and a failure", c)
	}
	if p.Service != "worker" || p.Resource["service.version"] != "1.2.3" || p.Resource["team"] != "a,b" {
		t.Errorf("resource = %v, want service worker, version 1.2.3, team a,b", p.Resource)
	}
	if p.Resource["service.instance.id"] == "" {
		t.Error("resource has no service.instance.id")
	}
}

func TestServiceNameVariableWins(t *testing.T) {
	t.Parallel()
	rcv := otlptest.Start(t)
	tel, _ := setup(t, rcv.Getenv(map[string]string{
		"OTEL_SERVICE_NAME": "payments", "OTEL_RESOURCE_ATTRIBUTES": "service.name=other",
	}))
	_, span := tel.TracerProvider().Tracer("t").Start(t.Context(), "s")
	span.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatalf("Shutdown: %v", err)
	}
	if got := rcv.Spans()[0].Service; got != "payments" {
		t.Errorf("service.name = %q, want payments", got)
	}
}

// What is known of the place wins over what is made up, and loses against what
// the user says.
func TestAttributesOfThePlace(t *testing.T) {
	t.Parallel()
	rcv := otlptest.Start(t)
	tel, err := New(t.Context(), Options{
		Service: "worker", Logger: evidence.Logger(t), Getenv: rcv.Getenv(map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "cloud.region=mine"}),
		Attributes: map[string]string{"service.instance.id": "task-1", "cloud.region": "us-west-2", "aws.ecs.task.id": "task-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.TracerProvider().Tracer("t").Start(t.Context(), "s")
	span.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := rcv.Spans()[0].Resource
	if got["service.instance.id"] != "task-1" || got["aws.ecs.task.id"] != "task-1" || got["cloud.region"] != "mine" {
		t.Errorf("resource = %v", got)
	}
}

func TestMetricsReachReceiverAndPrometheus(t *testing.T) {
	t.Parallel()
	rcv := otlptest.Start(t)
	tel, _ := setup(t, rcv.Getenv(nil))
	meter := tel.MeterProvider().Meter("callfleet/test")
	calls, err := meter.Int64Counter("callfleet.calls", metric.WithUnit("{call}"))
	if err != nil {
		t.Fatal(err)
	}
	calls.Add(t.Context(), 3, metric.WithAttributes(attribute.String("outcome", "ok")))
	took, err := meter.Float64Histogram("http.client.request.duration", metric.WithUnit("s"))
	if err != nil {
		t.Fatal(err)
	}
	took.Record(t.Context(), 0.06)
	text := scrape(t, tel)
	for _, want := range []string{
		`callfleet_calls_total{outcome="ok"} 3`,
		`http_client_request_duration_seconds_bucket{le="0.075"} 1`,
		"go_goroutines ", "process_resident_memory_bytes ", `target_info{`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics has no %q", want)
		}
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatalf("Shutdown: %v", err)
	}
	values := make(map[string]otlptest.Point)
	for _, m := range rcv.Metrics() {
		values[m.Name] = m.Points[0]
	}
	if got := values["callfleet.calls"]; got.Value != 3 || got.Attributes["outcome"] != "ok" {
		t.Errorf("callfleet.calls arrived as %+v, want 3 with outcome ok", got)
	}
	if got := values["http.client.request.duration"]; got.Count != 1 || got.Value != 0.06 {
		t.Errorf("duration arrived as %+v, want one of 0.06", got)
	}
}

func TestHTTPProtobufGoesToSignalPath(t *testing.T) {
	t.Parallel()
	type arrival struct {
		path string
		req  *tracepb.ExportTraceServiceRequest
	}
	arrivals := make(chan arrival, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		req := &tracepb.ExportTraceServiceRequest{}
		if err := proto.Unmarshal(body, req); err != nil {
			t.Errorf("decode export: %v", err)
		}
		arrivals <- arrival{r.URL.Path, req}
	}))
	t.Cleanup(srv.Close)
	tel, _ := setup(t, vars("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL+"/base/", "OTEL_METRICS_EXPORTER", "none"))
	_, span := tel.TracerProvider().Tracer("t").Start(t.Context(), "s")
	span.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatalf("Shutdown: %v", err)
	}
	got := <-arrivals
	if got.path != "/base/v1/traces" {
		t.Errorf("spans went to %s, want /base/v1/traces", got.path)
	}
	if n := got.req.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()[0].GetName(); n != "s" {
		t.Errorf("span %q arrived, want s", n)
	}
}

func TestUnsetMakesNoIDs(t *testing.T) {
	t.Parallel()
	for name, getenv := range map[string]func(string) string{
		"nothing set":   vars(),
		"sdk disabled":  vars("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317", "OTEL_SDK_DISABLED", "true"),
		"exporter none": vars("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317", "OTEL_TRACES_EXPORTER", "none", "OTEL_METRICS_EXPORTER", "none"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tel, _ := setup(t, getenv)
			if tel.Tracing() {
				t.Error("Tracing() = true, want false")
			}
			ctx, span := tel.TracerProvider().Tracer("t").Start(t.Context(), "s")
			defer span.End()
			if parent, state := Inject(ctx); parent != "" || state != "" {
				t.Errorf("Inject = %q, %q, want nothing", parent, state)
			}
			if !strings.Contains(scrape(t, tel), "go_goroutines ") {
				t.Error("/metrics does not answer")
			}
		})
	}
}

func TestUnsetPassesCallersTraceOn(t *testing.T) {
	t.Parallel()
	tel, _ := setup(t, vars())
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ctx, span := tel.TracerProvider().Tracer("t").Start(Extract(t.Context(), parent, "a=b"), "s")
	defer span.End()
	if got, state := Inject(ctx); got != parent || state != "a=b" {
		t.Errorf("Inject = %q, %q, want %q, a=b", got, state, parent)
	}
}

func TestFailuresAreCountedAndLoggedOnce(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "go away", http.StatusBadRequest)
	}))
	t.Cleanup(srv.Close)
	tel, log := setup(t, vars("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL, "OTEL_METRICS_EXPORTER", "none"))
	for range 3 {
		_, span := tel.TracerProvider().Tracer("t").Start(t.Context(), "s")
		span.End()
		if err := tel.traces.ForceFlush(t.Context()); err != nil {
			t.Fatalf("ForceFlush: %v", err)
		}
	}
	if n := strings.Count(log.String(), "telemetry export failed"); n != 1 {
		t.Errorf("%d warnings in the log, want 1:\n%s", n, log)
	}
	text := scrape(t, tel)
	for _, want := range []string{
		`callfleet_telemetry_export_failures_total{signal="traces"} 3`,
		`callfleet_telemetry_spans_total{state="ended"} 3`,
		`callfleet_telemetry_spans_total{state="exported"} 0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics has no %q", want)
		}
	}
}

// A collector that accepts and never answers holds up neither spans nor, beyond
// its context, Shutdown.
func TestSilentCollectorBlocksNothing(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lis.Close() })
	tel, err := New(t.Context(), Options{Service: "worker", Logger: evidence.Logger(t), Getenv: vars(
		"OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+lis.Addr().String(), "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	tracer := tel.TracerProvider().Tracer("t")
	start := time.Now()
	for range 3 * spanQueue {
		_, span := tracer.Start(t.Context(), "s")
		span.End()
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("%d spans took %s", 3*spanQueue, took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start = time.Now()
	if err := tel.Shutdown(ctx); err == nil {
		t.Error("Shutdown returned no error, want the context's")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Shutdown took %s, want about 50ms", took)
	}
}

// The only test here that touches what is global.
func TestStartSetsGlobals(t *testing.T) {
	t.Parallel()
	tel, err := Start(t.Context(), Options{Service: "worker"})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	if otel.GetTracerProvider() != tel.TracerProvider() || otel.GetMeterProvider() != tel.MeterProvider() {
		t.Error("global providers are not Start's")
	}
	if got := otel.GetTextMapPropagator().Fields(); !slices.Contains(got, "traceparent") {
		t.Errorf("global propagator carries %v, want traceparent", got)
	}
}

func TestSecondShutdownIsHarmless(t *testing.T) {
	t.Parallel()
	rcv := otlptest.Start(t)
	tel, _ := setup(t, rcv.Getenv(nil)) // its cleanup is the second one
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Errorf("first Shutdown: %v", err)
	}
}

func TestWaitSpansWakesOnArrival(t *testing.T) {
	t.Parallel()
	rcv := otlptest.Start(t)
	tel, _ := setup(t, rcv.Getenv(nil))
	go func() {
		_, span := tel.TracerProvider().Tracer("t").Start(context.WithoutCancel(t.Context()), "s")
		span.End()
		_ = tel.traces.ForceFlush(context.WithoutCancel(t.Context()))
	}()
	if _, err := rcv.WaitSpans(t.Context(), otlptest.AtLeast(1)); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := rcv.WaitSpans(ctx, otlptest.AtLeast(2)); err == nil || len(got) != 1 {
		t.Errorf("WaitSpans = %d spans, %v, want one span and the context's error", len(got), err)
	}
}
