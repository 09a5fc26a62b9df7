package localsfn_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"callfleet/internal/localsfn"
	"callfleet/internal/telemetry"
	"callfleet/internal/telemetry/otlptest"
)

const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// One trace from the caller's request to the message, across a restart: every
// span's parent is there.
func TestOneTraceAcrossARestart(t *testing.T) {
	t.Parallel()
	receiver := otlptest.Start(t)
	tel, err := telemetry.New(t.Context(), telemetry.Options{Service: "stepfunctions", Getenv: receiver.Getenv(nil)})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(o *options) {
		o.server = func(s *localsfn.Options) { s.Tracer = tel.TracerProvider() }
	})
	machine := r.create(t, "call-api", callWorkflow)
	r.http.Transport = parented{caller, r.http.Transport}
	arn := r.begin(t, machine, "r-1", callInput)
	task := r.tasks.receive(t)
	waitFor(t, func() bool { return strings.HasSuffix(r.events(t, arn), "TaskSubmitted") })
	r.restart(t)
	token := tokenOf(t, task)
	if _, err := r.client.SendTaskFailure(t.Context(), &sfn.SendTaskFailureInput{TaskToken: &token, Error: ptr("E")}); err != nil {
		t.Fatal(err)
	}
	r.ended(t, arn, types.ExecutionStatusFailed)
	r.stop()
	if err := tel.Shutdown(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	byName := map[string]otlptest.Span{}
	for _, s := range receiver.Spans() {
		byName[s.Name] = s
	}
	start, execution, send := byName["StepFunctions/StartExecution"], byName["execution call-api"], byName["send tasks"]
	for _, tc := range []struct{ what, got, want string }{
		{"parent of the request", start.ParentID, "b7ad6b7169203331"},
		{"kind of the request", start.Kind, "SERVER"},
		{"parent of the execution", execution.ParentID, start.SpanID},
		{"trace of the execution", execution.TraceID, "0af7651916cd43dd8448eb211c80319c"},
		{"error of the execution", execution.Attributes["error.type"], "E"},
		{"parent of the hand-off", send.ParentID, execution.SpanID},
		{"kind of the hand-off", send.Kind, "PRODUCER"},
		{"destination of the hand-off", send.Attributes["messaging.destination.name"], "tasks"},
		{"trace in the message", task.Headers["traceparent"], "00-0af7651916cd43dd8448eb211c80319c-" + send.SpanID + "-01"},
	} {
		if tc.got != tc.want || tc.want == "" {
			t.Errorf("%s is %q, want %q", tc.what, tc.got, tc.want)
		}
	}
}

// Without a tracer of its own the server passes the caller's context on.
func TestTraceContextPassesThroughUntraced(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	machine := r.create(t, "call-api", callWorkflow)
	r.http.Transport = parented{caller, r.http.Transport}
	r.begin(t, machine, "r-1", callInput)
	if got := r.tasks.receive(t).Headers["traceparent"]; got != caller {
		t.Errorf("the message carries %q, want the caller's", got)
	}
}

// parented is a caller in a trace.
type parented struct {
	traceparent string
	http.RoundTripper
}

func (p parented) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("traceparent", p.traceparent)
	return p.RoundTripper.RoundTrip(r)
}
