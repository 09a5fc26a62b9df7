package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"callfleet/internal/call"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/queue"
	"callfleet/internal/secret/secrettest"
)

// One call is one trace: who sent the task, then process, and under it render,
// each attempt and the report; the API and Step Functions are told of it.
func TestTrace(t *testing.T) {
	t.Parallel()
	var seen []string
	b := setup(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Traceparent"))
		if len(seen) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	spans := tracetest.NewSpanRecorder()
	tp := trace.NewTracerProvider(trace.WithSpanProcessor(spans), trace.WithSpanProcessor(evidence.Spans(t)))
	t.Cleanup(func() { _ = tp.Shutdown(context.Background()) })
	b.opts.TracerProvider = tp
	caller, err := httpcall.New(httpcall.Options{Egress: egresstest.Loopback(), TracerProvider: tp, BaseDelay: time.Millisecond})
	must(t, err)
	t.Cleanup(caller.Close)
	b.deps.Caller = caller

	const request, handOff = "00-0123456789abcdef0123456789abcdef-1111111111111111-01", "00-0123456789abcdef0123456789abcdef-2222222222222222-01"
	b.sfn.AddTask("t-1")
	body, err := call.EncodeTask(call.Task{ID: "run-1", Token: "t-1", Trace: &call.Trace{Parent: request},
		Template: json.RawMessage(`{"PK":{"S":"get"},"SK":{"S":"GET"},"url":{"S":"` + b.api + `/a?key=secret"}}`)})
	must(t, err)
	must(t, b.publish.Publish(t.Context(), queue.Message{ID: "run-1", Body: body, Headers: map[string]string{"traceparent": handOff}}))
	_, stop := b.run(t)
	b.settled(t, "t-1")
	must(t, stop())

	byName := map[string][]trace.ReadOnlySpan{}
	for _, s := range spans.Ended() {
		byName[s.Name()] = append(byName[s.Name()], s)
		for _, a := range s.Attributes() {
			if strings.Contains(a.Value.String(), "secret") {
				t.Errorf("span %s shows %s=%s", s.Name(), a.Key, a.Value.String())
			}
		}
	}
	if len(byName["process tasks"]) != 1 || len(byName["render"]) != 1 || len(byName["GET"]) != 2 || len(byName["report"]) != 1 {
		t.Fatalf("got spans %v, want process, render, two attempts and report", byName)
	}
	process := byName["process tasks"][0]
	if got := process.Parent().SpanID().String(); got != "2222222222222222" {
		t.Errorf("the parent of process is %s, want who sent the message", got)
	}
	for _, name := range []string{"render", "GET", "report"} {
		for _, s := range byName[name] {
			if s.Parent().SpanID() != process.SpanContext().SpanID() {
				t.Errorf("%s is not under process", name)
			}
		}
	}
	if len(seen) != 2 || seen[0] == seen[1] || !strings.Contains(seen[1], byName["GET"][1].SpanContext().SpanID().String()) {
		t.Errorf("the API was told %q, want each attempt's own span", seen)
	}
	if got := b.sfn.Parents(); len(got) != 1 || !strings.Contains(got[0], byName["report"][0].SpanContext().SpanID().String()) {
		t.Errorf("Step Functions was told %q, want the report's span", got)
	}
	for key, want := range map[attribute.Key]string{
		"callfleet.request.id": "run-1", "callfleet.template": "get", "callfleet.delivery.attempt": "1",
		"callfleet.attempts": "2", "callfleet.status_code": "200", "callfleet.settlement": "recorded",
	} {
		if got := values(byName["process tasks"], key); len(got) != 1 || got[0] != want {
			t.Errorf("process has %s=%q, want %s", key, got, want)
		}
	}
	if got := values(byName["report"], "rpc.method"); len(got) != 1 || got[0] != "SendTaskSuccess" {
		t.Errorf("report has rpc.method=%q, want SendTaskSuccess", got)
	}
	if e := process.Events(); len(e) != 1 || e[0].Name != "retry" {
		t.Errorf("process has events %v, want one retry", e)
	}
	if resends := values(byName["GET"], "http.request.resend_count"); len(resends) != 1 || resends[0] != "1" {
		t.Errorf("got resend counts %q, want 1 on the second attempt", resends)
	}
}

// values are those of one attribute, where it is set.
func values(spans []trace.ReadOnlySpan, key attribute.Key) []string {
	var out []string
	for _, s := range spans {
		for _, a := range s.Attributes() {
			if a.Key == key {
				out = append(out, a.Value.String())
			}
		}
	}
	return out
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	reader := metric.NewManualReader()
	b.opts.MeterProvider = metric.NewMeterProvider(metric.WithReader(reader))
	b.send(t, 3, nil)
	w, _ := b.run(t)
	eventually(t, "all answers", func() bool { return w.Stats().Succeeded == 3 && w.Stats().InFlight == 0 })
	var rm metricdata.ResourceMetrics
	must(t, reader.Collect(t.Context(), &rm))
	got := map[string]int64{}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					v, _ := p.Attributes.Value("outcome")
					got[m.Name+" "+v.AsString()] += p.Value
				}
			case metricdata.Histogram[float64]:
				got[m.Name] = int64(d.DataPoints[0].Count)
			}
		}
	}
	for name, want := range map[string]int64{
		"callfleet.worker.calls succeeded": 3, "callfleet.worker.calls.in_flight ": 0,
		"callfleet.worker.slots ": 64, "messaging.process.duration": 3,
	} {
		if got[name] != want {
			t.Errorf("%s is %d, want %d", name, got[name], want)
		}
	}
}

// What a call panics with may be anything that it had, and is not in its trace.
func TestPanicIsNotInTheTrace(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	spans := tracetest.NewSpanRecorder()
	tp := trace.NewTracerProvider(trace.WithSpanProcessor(spans), trace.WithSpanProcessor(evidence.Spans(t)))
	t.Cleanup(func() { _ = tp.Shutdown(context.Background()) })
	b.opts.TracerProvider = tp
	value := secrettest.Value(t, "what the call panics with")
	b.deps.Renderer = panicking(value)
	b.send(t, 1, nil)
	_, stop := b.run(t)
	b.settled(t, "t-1")
	must(t, stop())
	rendered := false
	for _, s := range tracetest.SpanStubsFromReadOnlySpans(spans.Ended()) {
		rendered = rendered || s.Name == "render"
		if text := fmt.Sprintf("%+v", s); strings.Contains(text, value) {
			t.Errorf("the span %s shows it: %+v", s.Name, s.Events)
		}
	}
	if !rendered {
		t.Error("no span of the call that panicked")
	}
}
