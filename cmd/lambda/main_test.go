package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"callfleet/internal/app/lambda/runtimetest"
	"callfleet/internal/call"
	"callfleet/internal/config"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/secret/secrettest"
	"callfleet/internal/telemetry/otlptest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if dir, err := program(); err == nil {
			_ = os.RemoveAll(filepath.Dir(dir))
		}
		os.Exit(code)
	}))
}

// program is the path of the program, built as it is for AWS.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "callfleet-lambda-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return path, fmt.Errorf("build: %w: %s", err, out)
	}
	return path, nil
})

// start runs the program as AWS Lambda does, with these variables.
func start(t *testing.T, env ...string) (*runtimetest.Runtime, *runtimetest.Process) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	r := runtimetest.Start(t)
	p := r.Run(t, path, append([]string{egresstest.Setting}, env...)...)
	t.Cleanup(func() { evidence.Write(t, evidence.Log, p.Log()) })
	return r, p
}

// invoke makes one call.
func invoke(t *testing.T, r *runtimetest.Runtime, e runtimetest.Event) runtimetest.Answer {
	t.Helper()
	a, err := r.Invoke(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	evidence.Write(t, evidence.Result, string(a.Payload))
	return a
}

// api answers /NUMBER with that status and tells what it was asked; /slow never
// answers.
func api(t *testing.T) string {
	t.Helper()
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var status int
		if n, _ := fmt.Sscanf(r.URL.Path, "/%d", &status); n == 1 {
			w.WriteHeader(status)
		}
		if r.URL.Path == "/slow" {
			select {
			case <-done:
			case <-r.Context().Done():
			}
			return
		}
		if r.URL.Path == "/large" {
			_, _ = io.WriteString(w, strings.Repeat("x", 300<<10))
			return
		}
		fmt.Fprintf(w, "key %s trace %s", r.Header.Get("Idempotency-Key"), r.Header.Get("Traceparent"))
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(done) })
	return server.URL
}

// event is what the tutorial's definition sends, and more when asked to.
func event(url, more string) []byte {
	return fmt.Appendf(nil, `{"template":{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":%q},"retry":{"M":{"maxAttempts":{"N":"1"}}}},"params":{"code":7}%s}`, url, more)
}

// A secret of the function's environment reaches the API and nothing else.
func TestSecretsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	token := secrettest.Value(t, "TOKEN")
	r, p := start(t, "CALLFLEET_SECRET_TOKEN="+token, "CALLFLEET_LOG_LEVEL=debug")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusForbidden)
		}
		fmt.Fprintf(w, "you sent %s", r.Header.Get("Authorization"))
	}))
	t.Cleanup(server.Close)
	for name, status := range map[string]int{"TOKEN": 200, "NONE": 0} {
		a := invoke(t, r, runtimetest.Event{ID: "i-" + name, Payload: fmt.Appendf(nil,
			`{"template":{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":%q},"auth":{"M":{"type":{"S":"bearer"},"token":{"S":"secret://env/CALLFLEET_SECRET_%s"}}}},"params":{}}`, server.URL, name)})
		var got call.Result
		if err := json.Unmarshal(a.Payload, &got); err != nil || got.StatusCode != status || a.Failed != (status == 0) {
			t.Errorf("%s: answer %s, want status %d", name, a.Payload, status)
		}
		if strings.Contains(string(a.Payload)+p.Log(), token) {
			t.Errorf("%s: the secret is in the answer or the log", name)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	r, _ := start(t)
	url := api(t)
	for _, row := range []struct {
		name, event string
		status      int
		body        string
	}{
		{"good", string(event(url+"/200", "")), 200, "key i-good trace "},
		{"bad status", string(event(url+"/404", "")), 404, "key i-bad_status trace "},
		{"request id", string(event(url+"/200", `,"id":"r-1"`)), 200, "key r-1 trace "},
		{"call-api's", string(event(url+"/200", `,"id":"r-2","request":{"templateName":"a","method":"GET","params":{}},"timeoutSeconds":900`)), 200, "key r-2 trace "},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			a := invoke(t, r, runtimetest.Event{Payload: []byte(row.event), ID: "i-" + strings.ReplaceAll(row.name, " ", "_")})
			var got call.Result
			if err := json.Unmarshal(a.Payload, &got); err != nil || a.Failed {
				t.Fatalf("answer %s, failed %t: %v", a.Payload, a.Failed, err)
			}
			if got.StatusCode != row.status || string(got.Body) != `"`+row.body+`"` || got.Attempts != 1 {
				t.Errorf("answer %s, want %d %s", a.Payload, row.status, row.body)
			}
		})
	}
}

// A call without an answer is a function error with a name of ours, and the
// same process makes the next call.
func TestFailuresAreFunctionErrors(t *testing.T) {
	t.Parallel()
	r, p := start(t, "CALLFLEET_HTTP_TIMEOUT=2s")
	url := api(t)
	for name, row := range map[string]struct {
		event   []byte
		timeout time.Duration
		want    call.FailureName
	}{
		"no JSON":      {[]byte("odd"), 0, call.RenderFailed},
		"bad template": {[]byte(`{"template":{},"params":{}}`), 0, call.RenderFailed},
		"token":        {event(url, `,"taskToken":"t"`), 0, call.RenderFailed},
		"nobody there": {event("http://127.0.0.1:1/", ""), 0, call.ConnectionFailed},
		"no answer":    {event(url+"/slow", ""), 0, call.Timeout},
		"out of time":  {event(url+"/slow", ""), time.Second, call.DeadlineExceeded},
		"too large":    {event(url+"/large", ""), 0, call.ResponseTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := invoke(t, r, runtimetest.Event{Payload: row.event, Timeout: row.timeout})
			if !a.Failed || a.ErrorType() != string(row.want) {
				t.Errorf("answer %s, failed %t, want %s", a.Payload, a.Failed, row.want)
			}
			select {
			case <-p.Exited():
				t.Error("the process has ended")
			default:
			}
		})
	}
}

func TestWrongSettingsEndTheStart(t *testing.T) {
	t.Parallel()
	r, p := start(t, "CALLFLEET_HTTP_TIMEOUT=30", "CALLFLEET_LOG_FORMAT=xml", "OTEL_TRACES_SAMPLER=some")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	told, err := r.WaitInitError(ctx)
	if err != nil {
		t.Fatal(err)
	}
	<-p.Exited()
	if p.ExitCode() != config.ExitUsage || told.Type != "Callfleet.ConfigInvalid" || told.Header != told.Type {
		t.Errorf("exit code %d, told %+v", p.ExitCode(), told)
	}
	for _, want := range []string{`CALLFLEET_HTTP_TIMEOUT: want a duration such as 30s or 5m, not "30"`, "CALLFLEET_LOG_FORMAT: ", "OTEL_TRACES_SAMPLER="} {
		if !strings.Contains(told.Message, want) || !strings.Contains(p.Log(), want) {
			t.Errorf("told %q, logged %q, want %q in both", told.Message, p.Log(), want)
		}
	}
}

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	parent  = "00-" + traceID + "-b7ad6b7169203331-01"
)

// The spans are there when the answer is: the process is frozen after it.
func TestTraceIsSentBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ clientContext, more string }{
		"of the client context": {`{"custom":{"traceparent":"` + parent + `"}}`, ""},
		"of the event":          {"", `,"trace":{"traceparent":"` + parent + `"}`},
		"of the request":        {"", `,"request":{"trace":{"traceparent":"` + parent + `"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receiver := otlptest.Start(t)
			var env []string
			for k, v := range receiver.Env() {
				env = append(env, k+"="+v)
			}
			r, _ := start(t, env...)
			a := invoke(t, r, runtimetest.Event{Payload: event(api(t)+"/200", row.more), ClientContext: row.clientContext, ID: "i-1"})
			if a.Failed || !strings.Contains(string(a.Payload), "trace 00-"+traceID) {
				t.Errorf("answer %s", a.Payload)
			}
			spans := receiver.Spans()
			if len(spans) != 2 {
				t.Fatalf("%d spans, want those of the function and its request", len(spans))
			}
			request, function := spans[0], spans[1]
			if function.Service != "callfleet-lambda" || function.Name != "GenericApiCallLambda" || function.Kind != "SERVER" ||
				function.TraceID != traceID || function.ParentID != "b7ad6b7169203331" || request.ParentID != function.SpanID {
				t.Errorf("function %+v, request %+v", function, request)
			}
			if at := function.Attributes; at["faas.invocation_id"] != "i-1" || at["faas.coldstart"] != "true" || at["cloud.resource_id"] != runtimetest.ARN {
				t.Errorf("attributes %v", at)
			}
		})
	}
}

// A collector that does not answer costs half a second, and no answer.
func TestSilentCollectorCostsNoAnswer(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	r, _ := start(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+silent.Addr().String())
	began := time.Now()
	if a := invoke(t, r, runtimetest.Event{Payload: event(api(t)+"/200", "")}); a.Failed {
		t.Errorf("answer %s", a.Payload)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

// The log is JSON, a line for each record, and shows neither body nor params.
func TestLog(t *testing.T) {
	t.Parallel()
	r, p := start(t, "CALLFLEET_LOG_LEVEL=debug")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	invoke(t, r, runtimetest.Event{Payload: event("http://127.0.0.1:1/?key=s3cr3t", `,"id":"r-1"`)})
	if err := p.WaitLog(ctx, string(call.ConnectionFailed)); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(p.Log()) {
		if !json.Valid([]byte(line)) || strings.Contains(line, "s3cr3t") {
			t.Errorf("log line %q", line)
		}
	}
}

// BenchmarkColdStart is the time from the start of the process until it asks
// for its first event.
func BenchmarkColdStart(b *testing.B) {
	path, err := program()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		r := runtimetest.Start(b)
		b.StartTimer()
		r.Run(b, path)
		if err := r.WaitBegin(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
