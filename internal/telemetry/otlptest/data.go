package otlptest

import (
	"encoding/hex"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	spanpb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Span is one span as it arrived.
type Span struct {
	Service    string            // service.name
	Resource   map[string]string // all of the resource, as text
	Scope      string            // the tracer's name
	Name       string
	Kind       string // INTERNAL, SERVER, CLIENT, PRODUCER or CONSUMER
	TraceID    string // lower-case hex, as are the other ids
	SpanID     string
	ParentID   string // "" of a root
	Start, End time.Time
	Attributes map[string]string // values as text
	Events     []string          // names
	Links      []Link
	Failed     bool // status ERROR
	Status     string
}

// Link points at another span.
type Link struct{ TraceID, SpanID string }

// Metric is one metric as it was sent once.
type Metric struct {
	Service string
	Scope   string
	Name    string
	Unit    string
	Points  []Point
}

// Point is one data point: the value of a counter or gauge, or the count and
// the sum (as value) of a histogram.
type Point struct {
	Attributes map[string]string
	Value      float64
	Count      uint64
}

func spansOf(resources []*spanpb.ResourceSpans) []Span {
	var spans []Span
	for _, rs := range resources {
		resource := attributes(rs.GetResource().GetAttributes())
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				span := spanOf(s)
				span.Service, span.Resource, span.Scope = resource["service.name"], resource, ss.GetScope().GetName()
				spans = append(spans, span)
			}
		}
	}
	return spans
}

func spanOf(s *spanpb.Span) Span {
	span := Span{
		Name:       s.GetName(),
		Kind:       s.GetKind().String()[len("SPAN_KIND_"):],
		TraceID:    hex.EncodeToString(s.GetTraceId()),
		SpanID:     hex.EncodeToString(s.GetSpanId()),
		ParentID:   hex.EncodeToString(s.GetParentSpanId()),
		Start:      time.Unix(0, int64(s.GetStartTimeUnixNano())),
		End:        time.Unix(0, int64(s.GetEndTimeUnixNano())),
		Attributes: attributes(s.GetAttributes()),
		Failed:     s.GetStatus().GetCode() == spanpb.Status_STATUS_CODE_ERROR,
		Status:     s.GetStatus().GetMessage(),
	}
	for _, e := range s.GetEvents() {
		span.Events = append(span.Events, e.GetName())
	}
	for _, l := range s.GetLinks() {
		span.Links = append(span.Links, Link{hex.EncodeToString(l.GetTraceId()), hex.EncodeToString(l.GetSpanId())})
	}
	return span
}

func metricsOf(resources []*metricpb.ResourceMetrics) []Metric {
	var metrics []Metric
	for _, rm := range resources {
		service := attributes(rm.GetResource().GetAttributes())["service.name"]
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				metrics = append(metrics, Metric{
					Service: service, Scope: sm.GetScope().GetName(), Name: m.GetName(), Unit: m.GetUnit(), Points: pointsOf(m),
				})
			}
		}
	}
	return metrics
}

func pointsOf(m *metricpb.Metric) []Point {
	var points []Point
	for _, p := range append(m.GetSum().GetDataPoints(), m.GetGauge().GetDataPoints()...) {
		value := p.GetAsDouble()
		if _, ok := p.GetValue().(*metricpb.NumberDataPoint_AsInt); ok {
			value = float64(p.GetAsInt())
		}
		points = append(points, Point{Attributes: attributes(p.GetAttributes()), Value: value})
	}
	for _, p := range m.GetHistogram().GetDataPoints() {
		points = append(points, Point{Attributes: attributes(p.GetAttributes()), Value: p.GetSum(), Count: p.GetCount()})
	}
	return points
}

func attributes(kvs []*commonpb.KeyValue) map[string]string {
	m := make(map[string]string, len(kvs))
	for _, kv := range kvs {
		m[kv.GetKey()] = text(kv.GetValue())
	}
	return m
}
