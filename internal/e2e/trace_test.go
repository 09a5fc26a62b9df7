package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"callfleet/internal/evidence"
	"callfleet/internal/producer/journal"
	"callfleet/internal/telemetry"
	"callfleet/internal/telemetry/otlptest"
	"callfleet/statemachine"
)

// secret is in the params of traced calls, and so in headers, query and body
// of the request. No span may hold it.
const secret = "s3cr3t-4711"

// traced is a stack whose parts each send their spans to one receiver, under
// names of their own.
type traced struct {
	*stack
	receiver  *otlptest.Receiver
	telemetry map[string]*telemetry.Telemetry // by service
}

func startTraced(t *testing.T, at place) *traced {
	t.Helper()
	tr := &traced{receiver: otlptest.Start(t), telemetry: map[string]*telemetry.Telemetry{}}
	for _, service := range []string{"producer", "stepfunctions", "worker"} {
		tel, err := telemetry.New(t.Context(), telemetry.Options{Service: service, Getenv: tr.receiver.Getenv(nil), Logger: evidence.Logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		tr.telemetry[service] = tel
	}
	tr.stack = startAt(t, at, func(service string) trace.TracerProvider { return tr.telemetry[service].TracerProvider() })
	return tr
}

// spans stops the parts and returns every span that they made.
func (tr *traced) spans(t *testing.T) []otlptest.Span {
	t.Helper()
	tr.keepHistories(t)
	tr.stops.fleet()
	if tr.stops.steps != nil {
		tr.stops.steps()
	}
	for service, tel := range tr.telemetry {
		if err := tel.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("shut down telemetry of %s: %v", service, err)
		}
	}
	return tr.receiver.Spans()
}

// tree draws spans by their parents: service, kind, name, and the error. A span
// whose parent is not there is a root.
func tree(spans []otlptest.Span) string {
	known := map[string]bool{}
	for _, s := range spans {
		known[s.SpanID] = true
	}
	children := map[string][]otlptest.Span{}
	for _, s := range spans {
		parent := s.ParentID
		if !known[parent] {
			parent = ""
		}
		children[parent] = append(children[parent], s)
	}
	var b strings.Builder
	var draw func(parent, indent string)
	draw = func(parent, indent string) {
		list := children[parent]
		slices.SortStableFunc(list, func(a, b otlptest.Span) int { return a.Start.Compare(b.Start) })
		for _, s := range list {
			fmt.Fprintf(&b, "%s%s %s %s", indent, s.Service, strings.ToLower(s.Kind), s.Name)
			if s.ParentID != "" && !known[s.ParentID] {
				b.WriteString(" (parent missing)")
			}
			if s.Failed {
				fmt.Fprintf(&b, " (error %s)", s.Attributes["error.type"])
			}
			b.WriteByte('\n')
			draw(s.SpanID, indent+"  ")
		}
	}
	draw("", "")
	return b.String()
}

// calledAPI is an API that keeps the trace contexts it is sent. Each request
// gets the next of the answers, the last of them for ever.
type calledAPI struct {
	url     string
	mu      sync.Mutex
	parents []string // guarded by mu
}

func newCalledAPI(t *testing.T, answers ...int) *calledAPI {
	t.Helper()
	a := &calledAPI{}
	a.url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		n := len(a.parents)
		a.parents = append(a.parents, r.Header.Get("Traceparent"))
		a.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+secret || r.URL.Query().Get("key") != secret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(answers[min(n, len(answers)-1)])
	})
	return a
}

// template is a template with the secret in every place of a request.
func (a *calledAPI) template(name string) map[string]any {
	return map[string]any{
		"name": name, "method": "POST", "url": a.url + "/items/{{ item }}?key={{ secret }}",
		"headers": map[string]any{"Authorization": "Bearer {{ secret }}"}, "payload": map[string]any{"secret": "{{ secret }}"},
		"timeoutSeconds": 20, "retry": map[string]any{"maxAttempts": 3},
	}
}

var tracedParams = map[string]any{"item": 7, "secret": secret}

const workflowStart = `producer producer send requests
  worker consumer process requests
    stepfunctions server StepFunctions/StartExecution
`

// One call is one trace, from the line of the call file to the report, and
// every span's parent is there.
func TestOneCallIsOneTrace(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		mode    string
		answers []int
		missing bool // the template
		params  any  // tracedParams when nil
		want    string
	}{
		"workflow": {workflow, []int{200}, false, nil, workflowStart +
			`      stepfunctions internal execution call-api
        stepfunctions client DynamoDB/GetItem
        stepfunctions producer send tasks
          worker consumer process tasks
            worker internal render
            worker client POST
            worker client report
              stepfunctions server StepFunctions/SendTaskSuccess
`},
		"workflow with retries": {workflow, []int{503, 429, 200}, false, nil, workflowStart +
			`      stepfunctions internal execution call-api
        stepfunctions client DynamoDB/GetItem
        stepfunctions producer send tasks
          worker consumer process tasks
            worker internal render
            worker client POST (error 503)
            worker client POST (error 429)
            worker client POST
            worker client report
              stepfunctions server StepFunctions/SendTaskSuccess
`},
		"workflow with a bad status": {workflow, []int{404}, false, nil, workflowStart +
			`      stepfunctions internal execution call-api (error Callfleet.StatusCode.404)
        stepfunctions client DynamoDB/GetItem
        stepfunctions producer send tasks
          worker consumer process tasks
            worker internal render
            worker client POST (error 404)
            worker client report
              stepfunctions server StepFunctions/SendTaskSuccess
`},
		"workflow that cannot be rendered": {workflow, []int{200}, false, map[string]any{"item": 7}, workflowStart +
			`      stepfunctions internal execution call-api (error Callfleet.RenderFailed)
        stepfunctions client DynamoDB/GetItem
        stepfunctions producer send tasks
          worker consumer process tasks (error Callfleet.RenderFailed)
            worker internal render (error Callfleet.RenderFailed)
            worker client report
              stepfunctions server StepFunctions/SendTaskFailure
`},
		"workflow without a template": {workflow, []int{200}, true, nil, workflowStart +
			`      stepfunctions internal execution call-api (error Callfleet.TemplateNotFound)
        stepfunctions client DynamoDB/GetItem
`},
		"direct with retries": {direct, []int{503, 200}, false, nil, `producer producer send tasks
  worker consumer process tasks
    worker internal render
    worker client POST (error 503)
    worker client POST
    worker client report
`},
		"direct that cannot be rendered": {direct, []int{200}, false, map[string]any{"item": 7}, `producer producer send tasks
  worker consumer process tasks (error Callfleet.RenderFailed)
    worker internal render (error Callfleet.RenderFailed)
    worker client report
`},
		"direct without a template": {direct, []int{200}, true, nil, `producer producer send tasks (error Callfleet.TemplateNotFound)
`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := startTraced(t, place{})
			api := newCalledAPI(t, tc.answers...)
			key := tr.put(t, api.template("traced"))
			if tc.missing {
				key.Name = "nowhere"
			}
			if tc.params == nil {
				tc.params = tracedParams
			}
			result := tr.run(t, tc.mode, line{key, tc.params})[0]
			spans := tr.spans(t)
			if got := tree(spans); got != tc.want {
				t.Errorf("trace is\n%s\nwant\n%s", got, tc.want)
			}
			tr.checkTrace(t, spans, result, api)
		})
	}
}

// The attributes that a span must have, by service and name; "*" is any value,
// "" none. They are OpenTelemetry's semantic conventions.
var attributes = map[string]map[string]string{
	"producer send requests": {
		"messaging.system": "{system}", "messaging.destination.name": "requests", "messaging.operation.name": "send",
		"messaging.operation.type": "send", "messaging.message.id": "*", "callfleet.request.id": "*", "callfleet.template": "*",
	},
	"producer send tasks": {
		"messaging.system": "{system}", "messaging.destination.name": "tasks", "messaging.operation.name": "send",
		"messaging.operation.type": "send", "messaging.message.id": "*",
	},
	"worker process requests": {
		"messaging.system": "{system}", "messaging.destination.name": "requests", "messaging.operation.name": "process",
		"messaging.operation.type": "process", "messaging.message.id": "*", "callfleet.request.id": "*", "callfleet.template": "*",
	},
	"stepfunctions StepFunctions/StartExecution": {
		"rpc.system": "aws-api", "rpc.service": "StepFunctions", "rpc.method": "StartExecution",
	},
	"stepfunctions execution call-api": {
		"aws.step_functions.execution.arn": "*", "aws.step_functions.state_machine.arn": "*",
	},
	"stepfunctions DynamoDB/GetItem": {"rpc.system": "aws-api", "rpc.service": "DynamoDB", "rpc.method": "GetItem"},
	"stepfunctions send tasks": {
		"messaging.system": "{system}", "messaging.destination.name": "tasks", "messaging.operation.name": "send",
		"messaging.operation.type": "send", "messaging.message.id": "*",
	},
	"worker process tasks": {
		"messaging.system": "{system}", "messaging.destination.name": "tasks", "messaging.operation.name": "process",
		"messaging.operation.type": "process", "messaging.message.id": "*", "callfleet.request.id": "*", "callfleet.template": "*",
	},
	"worker POST": {
		"http.request.method": "POST", "url.full": "*", "server.address": "127.0.0.1", "server.port": "*",
		"http.response.status_code": "*", "url.query": "",
	},
}

// checkAttributes checks a span's attributes against the table.
func (tr *traced) checkAttributes(t *testing.T, s otlptest.Span) {
	t.Helper()
	for name, want := range attributes[s.Service+" "+s.Name] {
		want = strings.ReplaceAll(want, "{system}", tr.producer.System)
		got, ok := s.Attributes[name]
		if ok != (want != "") || want != "*" && got != want || ok && got == "" {
			t.Errorf("span %s of %s has %s=%q, want %q", s.Name, s.Service, name, got, want)
		}
	}
	if id := s.Attributes["callfleet.request.id"]; id != "" && !strings.HasSuffix(id, "-1") {
		t.Errorf("span %s is of request %q", s.Name, id)
	}
}

// checkTrace checks what holds for every traced call.
func (tr *traced) checkTrace(t *testing.T, spans []otlptest.Span, result journal.Result, api *calledAPI) {
	t.Helper()
	var attempts []string
	slices.SortStableFunc(spans, func(a, b otlptest.Span) int { return a.Start.Compare(b.Start) })
	began := map[string]time.Time{}
	for _, s := range spans {
		began[s.SpanID] = s.Start
		if parent, ok := began[s.ParentID]; s.ParentID != "" && (!ok || s.Start.Before(parent)) {
			t.Errorf("span %s begins before its parent", s.Name)
		}
		if s.TraceID != result.TraceID {
			t.Errorf("span %s is of trace %s, results.jsonl says %s", s.Name, s.TraceID, result.TraceID)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), secret) || strings.Contains(string(text), "key=") {
			t.Errorf("span shows the request's secret: %s", text)
		}
		if s.Failed == (s.Attributes["error.type"] == "") {
			t.Errorf("span %s: error %t, error.type %q: one without the other", s.Name, s.Failed, s.Attributes["error.type"])
		}
		tr.checkAttributes(t, s)
		if s.Name == "POST" {
			resent := ""
			if n := len(attempts); n > 0 {
				resent = strconv.Itoa(n)
			}
			if got := s.Attributes["http.request.resend_count"]; got != resent {
				t.Errorf("attempt %d has resend_count %q, want %q", len(attempts)+1, got, resent)
			}
			if got, want := s.Attributes["url.full"], api.url+"/items/7"; got != want {
				t.Errorf("attempt %d has url.full %q, want %q, without the query", len(attempts)+1, got, want)
			}
			attempts = append(attempts, "00-"+s.TraceID+"-"+s.SpanID+"-01")
		}
	}
	if !slices.Equal(api.parents, attempts) {
		t.Errorf("the API was sent the trace contexts %q, the attempts are %q", api.parents, attempts)
	}
}

// The trace goes on where it was when the Step Functions server is started anew
// in the middle of an execution.
func TestTraceSurvivesARestartOfStepFunctions(t *testing.T) {
	t.Parallel()
	tr := startTraced(t, place{})
	called, release := make(chan string, 8), make(chan struct{})
	api := &calledAPI{}
	api.url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		api.parents = append(api.parents, r.Header.Get("Traceparent"))
		called <- r.Header.Get("Idempotency-Key")
		<-release
		answer(w, r)
	})
	key := tr.put(t, api.template("slow"))
	results := make(chan journal.Result, 1)
	go func() {
		defer close(results)
		results <- tr.run(t, workflow, line{key, tracedParams})[0]
	}()
	// Before it has written that the task was handed off, it would do so again.
	tr.waitEvent(t, receive(t, called), "TaskSubmitted")
	tr.restartSteps(t)
	close(release)
	result := receive(t, results)
	wantOK(t, result)
	spans := tr.spans(t)
	const want = workflowStart + `      stepfunctions internal execution call-api
        stepfunctions client DynamoDB/GetItem
        stepfunctions producer send tasks
          worker consumer process tasks
            worker internal render
            worker client POST
            worker client report
              stepfunctions server StepFunctions/SendTaskSuccess
`
	if got := tree(spans); got != want {
		t.Errorf("trace is\n%s\nwant\n%s", got, want)
	}
	tr.checkTrace(t, spans, result, api)
}

// waitEvent waits for an event of that type in the history of an execution.
func (tr *traced) waitEvent(t *testing.T, execution, kind string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		for e, err := range tr.producer.Executions.History(ctx, execution) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Type == kind {
				return
			}
		}
		<-tick.C
	}
}

// Two calls at once are two traces.
func TestEachCallHasItsOwnTrace(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			tr := startTraced(t, place{})
			key := tr.put(t, newCalledAPI(t, 200).template("traced"))
			results := tr.run(t, mode, line{key, tracedParams}, line{key, tracedParams}, line{key, tracedParams})
			roots := map[string]int{}
			for _, s := range tr.spans(t) {
				if s.ParentID == "" {
					roots[s.TraceID]++
				}
			}
			for _, r := range results {
				if roots[r.TraceID] != 1 {
					t.Errorf("line %d has trace %q, which has %d roots", r.Line, r.TraceID, roots[r.TraceID])
				}
				delete(roots, r.TraceID)
			}
			if len(roots) != 0 {
				t.Errorf("%d more traces", len(roots))
			}
		})
	}
}

// The tutorial's definition calls a Lambda function in place of a queue: one
// trace as well, up to the request that the function makes.
func TestTutorialIsOneTrace(t *testing.T) {
	t.Parallel()
	tr := startTraced(t, place{})
	api := newCalledAPI(t, 503, 200)
	tr.put(t, api.template("traced"))
	feed, err := tr.producer.ConsumeResults(t.Context(), "tutorial")
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	machine, err := tr.producer.Executions.Deploy(t.Context(), "tutorial", []byte(statemachine.Tutorial))
	if err != nil {
		t.Fatal(err)
	}
	input := fmt.Sprintf(`{"templateName":"traced","method":"POST","params":{"item":7,"secret":%q}}`, secret)
	if err := tr.producer.Executions.With(machine).Start(t.Context(), "tutorial-1", []byte(input)); err != nil {
		t.Fatal(err)
	}
	events, err := feed.Receive(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := events[0].Ack(t.Context()); err != nil {
		t.Error(err)
	}
	spans := tr.spans(t)
	const want = `stepfunctions server StepFunctions/StartExecution
  stepfunctions internal execution tutorial
    stepfunctions client DynamoDB/GetItem
    stepfunctions client invoke GenericApiCallLambda
      stepfunctions client POST (error 503)
      stepfunctions client POST
`
	if got := tree(spans); got != want {
		t.Errorf("trace is\n%s\nwant\n%s", got, want)
	}
	tr.checkTrace(t, spans, journal.Result{TraceID: spans[0].TraceID}, api)
}

// Without telemetry no trace is made up: none in the results, none sent along.
func TestUntracedCallsCarryNoTrace(t *testing.T) {
	t.Parallel()
	s := start(t, func(string) trace.TracerProvider { return noop.NewTracerProvider() })
	api := newCalledAPI(t, 200)
	key := s.put(t, api.template("untraced"))
	for _, mode := range modes {
		result := s.run(t, mode, line{key, tracedParams})[0]
		wantOK(t, result)
		if result.TraceID != "" {
			t.Errorf("%s: the result has the trace %s", mode, result.TraceID)
		}
	}
	if !slices.Equal(api.parents, []string{"", ""}) {
		t.Errorf("the API was sent the trace contexts %q", api.parents)
	}
}
