package httpcall

import (
	"net/http"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestAttemptsAreMeasured(t *testing.T) {
	t.Parallel()
	reader := metric.NewManualReader()
	var calls atomic.Int32
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	c := newClient(t, Options{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))})
	for range 3 {
		if _, err := c.Do(t.Context(), get(url+"/path?secret"), ""); err != nil {
			t.Fatal(err)
		}
	}
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	m := rm.ScopeMetrics[0].Metrics[0]
	got := map[int64]uint64{}
	for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints {
		status, _ := p.Attributes.Value("http.response.status_code")
		got[status.AsInt64()] = p.Count
		kind, failed := p.Attributes.Value("error.type")
		if failed != (status.AsInt64() == 502) || (failed && kind.AsString() != "502") {
			t.Errorf("status %d has the error type %q", status.AsInt64(), kind.AsString())
		}
		for _, key := range []string{"http.request.method", "server.address", "server.port"} {
			if !p.Attributes.HasValue(attribute.Key(key)) {
				t.Errorf("%s is missing", key)
			}
		}
	}
	if m.Name != "http.client.request.duration" || got[200] != 3 || got[502] != 1 {
		t.Errorf("%s counted %v, want 3 times 200 and once 502", m.Name, got)
	}
}
