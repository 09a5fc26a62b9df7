package telemetry

import (
	"strings"
	"testing"
)

func TestWrongValuesAreErrorsThatNameTheVariable(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"OTEL_SDK_DISABLED":                      "yes",
		"OTEL_TRACES_EXPORTER":                   "zipkin",
		"OTEL_METRICS_EXPORTER":                  "statsd",
		"OTEL_EXPORTER_OTLP_ENDPOINT":            "localhost:4317",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT":     "unix:///tmp/x",
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT":    "http://",
		"OTEL_EXPORTER_OTLP_PROTOCOL":            "http/json",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL":     "GRPC",
		"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL":    "http",
		"OTEL_TRACES_SAMPLER":                    "sometimes",
		"OTEL_TRACES_SAMPLER_ARG":                "2",
		"OTEL_RESOURCE_ATTRIBUTES":               "team",
		"OTEL_PROPAGATORS":                       "b3",
		"OTEL_BSP_MAX_QUEUE_SIZE":                "many",
		"OTEL_BSP_SCHEDULE_DELAY":                "-1",
		"OTEL_METRIC_EXPORT_INTERVAL":            "10s",
		"OTEL_EXPORTER_OTLP_TIMEOUT":             "0",
		"OTEL_EXPORTER_OTLP_COMPRESSION":         "zstd",
		"OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": "lz4",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(t.Context(), Options{Service: "s", Getenv: vars(name, value)})
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("New with %s=%q: error %v, want one that names it", name, value, err)
			}
		})
	}
}

func TestAllWrongValuesAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := readSettings(vars("OTEL_SDK_DISABLED", "1", "OTEL_TRACES_SAMPLER", "x", "OTEL_BSP_MAX_QUEUE_SIZE", "y"))
	if err == nil {
		t.Fatal("no error")
	}
	if n := len(strings.Split(err.Error(), "\n")); n != 3 {
		t.Errorf("%d mistakes reported, want 3:\n%v", n, err)
	}
}

func TestEndpointErrorHidesPassword(t *testing.T) {
	t.Parallel()
	_, err := readSettings(vars("OTEL_EXPORTER_OTLP_ENDPOINT", "htp://user:hunter2@host"))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error = %v, want one without the password", err)
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		getenv          func(string) string
		traces, metrics string // "" is off
	}{
		"unset":           {vars(), "", ""},
		"http":            {vars("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), "http/protobuf http://c:4318/v1/traces", "http/protobuf http://c:4318/v1/metrics"},
		"port of grpc":    {vars("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"), "grpc http://c:4317", "grpc http://c:4317"},
		"said http":       {vars("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), "http/protobuf http://c:4317/v1/traces", "http/protobuf http://c:4317/v1/metrics"},
		"traces only":     {vars("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c/own"), "http/protobuf https://c/own", ""},
		"own over common": {vars("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:4317"), "http/protobuf http://c/v1/traces", "grpc http://m:4317"},
		"by exporter":     {vars("OTEL_TRACES_EXPORTER", "otlp"), "http/protobuf http://localhost:4318/v1/traces", ""},
		"by exporter, grpc": {vars("OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
			"grpc http://localhost:4317", ""},
		"prometheus": {vars("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_METRICS_EXPORTER", "prometheus"), "http/protobuf http://c/v1/traces", ""},
		"disabled":   {vars("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_SDK_DISABLED", "TRUE"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := readSettings(row.getenv)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				name, want string
				got        signal
			}{{"traces", row.traces, s.traces}, {"metrics", row.metrics, s.metrics}} {
				got := ""
				if c.got.on {
					got = c.got.protocol + " " + c.got.endpoint.String()
				}
				if got != c.want {
					t.Errorf("%s go to %q, want %q", c.name, got, c.want)
				}
			}
		})
	}
}

func TestSamplers(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                         "ParentBased{root:AlwaysOnSampler",
		"parentbased_always_on":    "ParentBased{root:AlwaysOnSampler",
		"parentbased_always_off":   "ParentBased{root:AlwaysOffSampler",
		"parentbased_traceidratio": "ParentBased{root:TraceIDRatioBased{0.01}",
		"always_on":                "AlwaysOnSampler",
		"always_off":               "AlwaysOffSampler",
		"traceidratio":             "TraceIDRatioBased{0.01}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := readSettings(vars("OTEL_TRACES_SAMPLER", name, "OTEL_TRACES_SAMPLER_ARG", "0.01"))
			if err != nil {
				t.Fatal(err)
			}
			if got := s.sampler.Description(); !strings.HasPrefix(got, want) {
				t.Errorf("sampler is %s, want %s", got, want)
			}
		})
	}
}
