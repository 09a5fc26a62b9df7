package telemetry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
)

const (
	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
)

// settings are the OTEL_* variables, understood.
type settings struct {
	traces, metrics signal
	sampler         sdktrace.Sampler
	batch           []sdktrace.BatchSpanProcessorOption
	service         string // "" when OTEL_SERVICE_NAME is not set
	attributes      []attribute.KeyValue
}

// signal says whether and where one kind of data is sent.
type signal struct {
	on       bool
	protocol string
	endpoint *url.URL // with the path of the signal under HTTP
}

// env reads variables and collects what is wrong with them.
type env struct {
	get  func(string) string
	errs []error
}

func (e *env) value(name string) string { return strings.TrimSpace(e.get(name)) }

func (e *env) bad(name, format string, args ...any) {
	e.errs = append(e.errs, fmt.Errorf("%s=%q: %s", name, e.value(name), fmt.Sprintf(format, args...)))
}

// first returns the first of the variables that is set, with its name.
func (e *env) first(names ...string) (name, value string) {
	for _, n := range names {
		if v := e.value(n); v != "" {
			return n, v
		}
	}
	return "", ""
}

// readSettings checks every variable it knows, also those that the SDK reads
// later by itself: the SDK would only log a wrong value and go on without it.
func readSettings(getenv func(string) string) (settings, error) {
	e := &env{get: getenv}
	var s settings
	s.traces = e.signal("TRACES", "/v1/traces", "otlp", "none")
	s.metrics = e.signal("METRICS", "/v1/metrics", "otlp", "none", "prometheus")
	s.sampler = e.sampler()
	s.batch = e.batch()
	s.service = e.value("OTEL_SERVICE_NAME")
	s.attributes = e.attributes("OTEL_RESOURCE_ATTRIBUTES")
	e.checkPropagators()
	e.checkSDKValues()
	if e.disabled() {
		s.traces.on, s.metrics.on = false, false
	}
	return s, errors.Join(e.errs...)
}

func (e *env) disabled() bool {
	switch v := strings.ToLower(e.value("OTEL_SDK_DISABLED")); v {
	case "", "false":
		return false
	case "true":
		return true
	default:
		e.bad("OTEL_SDK_DISABLED", "want true or false")
		return false
	}
}

// signal reads the variables of one signal. It is on when it has an endpoint or
// its exporter is asked for by name, and never when that is "none".
func (e *env) signal(name, path string, exporters ...string) signal {
	exporterVar := "OTEL_" + name + "_EXPORTER"
	exporter := e.value(exporterVar)
	if exporter != "" && !slices.Contains(exporters, exporter) {
		e.bad(exporterVar, "want one of %s", strings.Join(exporters, ", "))
	}
	own, common := "OTEL_EXPORTER_OTLP_"+name+"_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
	endpointVar, text := e.first(own, common)
	s := signal{on: exporter == "otlp" || exporter == "" && text != ""}
	endpoint := e.endpoint(endpointVar, text)
	s.protocol = e.protocol(name, endpoint)
	switch {
	case endpoint == nil && s.protocol == protocolGRPC:
		endpoint = &url.URL{Scheme: "http", Host: "localhost:4317"}
	case endpoint == nil:
		endpoint = &url.URL{Scheme: "http", Host: "localhost:4318", Path: path}
	case s.protocol == protocolHTTP && endpointVar == common:
		endpoint = endpoint.JoinPath(path)
	}
	s.endpoint = endpoint
	return s
}

func (e *env) endpoint(name, text string) *url.URL {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		// Not with its value: it may hold a password.
		e.errs = append(e.errs, fmt.Errorf("%s: want a URL such as http://localhost:4317 (https:// for TLS)", name))
		return nil
	}
	return u
}

// protocol defaults to what the standard recommends, http/protobuf, except on
// port 4317, which is registered for gRPC and answers nothing else.
func (e *env) protocol(signalName string, endpoint *url.URL) string {
	name, p := e.first("OTEL_EXPORTER_OTLP_"+signalName+"_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	switch p {
	case protocolGRPC, protocolHTTP:
		return p
	case "":
	default:
		e.bad(name, "want %s or %s", protocolGRPC, protocolHTTP)
	}
	if endpoint != nil && endpoint.Port() == "4317" {
		return protocolGRPC
	}
	return protocolHTTP
}

func (e *env) sampler() sdktrace.Sampler {
	const name, arg = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
	ratio := 1.0
	if text := e.value(arg); text != "" {
		r, err := strconv.ParseFloat(text, 64)
		if err != nil || !(r >= 0 && r <= 1) {
			e.bad(arg, "want a share between 0 and 1")
		}
		ratio = r
	}
	switch e.value(name) {
	case "", "parentbased_always_on":
		return sdktrace.ParentBased(sdktrace.AlwaysSample())
	case "parentbased_always_off":
		return sdktrace.ParentBased(sdktrace.NeverSample())
	case "parentbased_traceidratio":
		return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio))
	case "always_on":
		return sdktrace.AlwaysSample()
	case "always_off":
		return sdktrace.NeverSample()
	case "traceidratio":
		return sdktrace.TraceIDRatioBased(ratio)
	}
	e.bad(name, "want always_on, always_off, traceidratio or one of them after parentbased_")
	return sdktrace.NeverSample()
}

// The span queue holds the burst of a small batch of calls, a dozen spans each;
// the SDK's 2,048 would drop most of it. It is about 30 MB when full.
const (
	spanQueue = 16384
	spanBatch = 2048
)

// batch sizes the span queue, unless the variables for that do.
func (e *env) batch() []sdktrace.BatchSpanProcessorOption {
	var opts []sdktrace.BatchSpanProcessorOption
	if name, _ := e.first("OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"); name == "" {
		opts = append(opts, sdktrace.WithMaxQueueSize(spanQueue), sdktrace.WithMaxExportBatchSize(spanBatch))
	}
	return opts
}

// attributes parses key=value pairs separated by commas, values
// percent-encoded.
func (e *env) attributes(name string) []attribute.KeyValue {
	var kvs []attribute.KeyValue
	for pair := range strings.SplitSeq(e.value(name), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		k, v, ok := strings.Cut(pair, "=")
		k = strings.TrimSpace(k)
		v, err := url.PathUnescape(strings.TrimSpace(v))
		if !ok || k == "" || err != nil {
			e.bad(name, "want key=value pairs separated by commas, not %q", pair)
			continue
		}
		kvs = append(kvs, attribute.String(k, v))
	}
	return kvs
}

// checkPropagators refuses what would have no effect: the trace context is
// carried in message bodies, in W3C's form alone.
func (e *env) checkPropagators() {
	const name = "OTEL_PROPAGATORS"
	text := e.value(name)
	if text == "" {
		return
	}
	known := []string{"tracecontext", "baggage"}
	for p := range strings.SplitSeq(text, ",") {
		if !slices.Contains(known, strings.TrimSpace(p)) {
			e.bad(name, "only tracecontext is carried (baggage is accepted and not carried)")
			return
		}
	}
}

// checkSDKValues checks the numbers and words that exporters and processors
// take from the environment.
func (e *env) checkSDKValues() {
	for _, name := range []string{
		"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
		"OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT",
		"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
	} {
		if v := e.value(name); v != "" {
			if n, err := strconv.Atoi(v); err != nil || n < 1 {
				e.bad(name, "want a whole number above 0")
			}
		}
	}
	for _, name := range []string{
		"OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
	} {
		if v := e.value(name); v != "" && v != "gzip" && v != "none" {
			e.bad(name, "want gzip or none")
		}
	}
}

// newResource names the program to who reads its data: its service, version,
// host and process.
func newResource(ctx context.Context, o Options, s settings) (*resource.Resource, error) {
	// Two members of a fleet may share host name and process id (containers):
	// the instance id keeps their metrics apart.
	attrs := []attribute.KeyValue{semconv.ServiceName(o.Service), semconv.ServiceInstanceID(rand.Text())}
	if o.Version != "" {
		attrs = append(attrs, semconv.ServiceVersion(o.Version))
	}
	for k, v := range o.Attributes {
		attrs = append(attrs, attribute.String(k, v))
	}
	attrs = append(attrs, s.attributes...)
	if s.service != "" {
		attrs = append(attrs, semconv.ServiceName(s.service))
	}
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(),
		resource.WithSchemaURL(semconv.SchemaURL), resource.WithAttributes(attrs...))
	if err != nil && !errors.Is(err, resource.ErrPartialResource) && !errors.Is(err, resource.ErrSchemaURLConflict) {
		return nil, fmt.Errorf("describe this process: %w", err)
	}
	return res, nil
}
