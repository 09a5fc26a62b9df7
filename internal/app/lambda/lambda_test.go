package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.uber.org/goleak"

	"callfleet/internal/app/lambda/runtimetest"
	"callfleet/internal/call"
	"callfleet/internal/config"
	"callfleet/internal/template"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// caller answers at once, or when its budget ends; it counts how often its
// connections are closed.
type caller struct {
	waits    bool
	fails    error
	key      string
	deadline time.Time
	closed   int
}

func (c *caller) Do(ctx context.Context, _ call.Rendered, key string) (call.Result, error) {
	c.key = key
	c.deadline, _ = ctx.Deadline()
	if c.waits {
		<-ctx.Done()
		return call.Result{}, ctx.Err()
	}
	return call.Result{StatusCode: 200, Body: json.RawMessage("null"), Attempts: 1}, c.fails
}

func (c *caller) Close() { c.closed++ }

const event = `{"template":{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"http://127.0.0.1/"}},"params":{}%s}`

// invoked is the context of an invocation.
func invoked(t *testing.T, id string, timeout time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	return lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{AwsRequestID: id, InvokedFunctionArn: runtimetest.ARN})
}

func newFunction(c *caller, flush func(context.Context) error) *Function {
	return New(template.NewRenderer(template.Options{}), c, Options{Flush: flush})
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ more, want string }{
		"the event's":       {`,"id":"r-1"`, "r-1"},
		"of the request":    {`,"request":{"id":"r-2"}`, "r-2"},
		"of the invocation": {"", "8f5d"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &caller{}
			if _, err := newFunction(c, nil).Invoke(invoked(t, "8f5d", time.Minute), fmt.Appendf(nil, event, row.more)); err != nil {
				t.Fatal(err)
			}
			if c.key != row.want {
				t.Errorf("key %q, want %q", c.key, row.want)
			}
		})
	}
}

// A failure keeps its name, whether the event is bad or the call is.
func TestFunctionErrorsHaveNames(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		event string
		fails error
		want  messages.InvokeResponse_Error
	}{
		"event":   {"odd", nil, messages.InvokeResponse_Error{Type: "Callfleet.RenderFailed", Message: "decode task: is not JSON (byte 1)"}},
		"failure": {fmt.Sprintf(event, ""), &call.Failure{Name: call.Timeout, Cause: "GET x"}, messages.InvokeResponse_Error{Type: "Callfleet.Timeout", Message: "GET x"}},
		"other":   {fmt.Sprintf(event, ""), errors.New("odd"), messages.InvokeResponse_Error{Type: "Callfleet.Internal", Message: "odd"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newFunction(&caller{fails: row.fails}, nil).Invoke(invoked(t, "i", time.Minute), []byte(row.event))
			var got messages.InvokeResponse_Error
			if !errors.As(err, &got) || got.Type != row.want.Type || got.Message != row.want.Message {
				t.Errorf("error %v, want %v", err, row.want)
			}
		})
	}
}

// The answer and the telemetry get out before the time of the function is up.
func TestTimeIsKeptForTheAnswer(t *testing.T) {
	t.Parallel()
	for timeout, reserved := range map[time.Duration]time.Duration{
		time.Second: 100 * time.Millisecond, 3 * time.Second: 300 * time.Millisecond, 15 * time.Minute: time.Second,
	} {
		t.Run(timeout.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &caller{waits: true}
				stuck := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
				ctx := invoked(t, "i", timeout)
				began, end := time.Now(), time.Now().Add(timeout)
				_, err := newFunction(c, stuck).Invoke(ctx, fmt.Appendf(nil, event, ""))
				if got := end.Sub(c.deadline); got != reserved {
					t.Errorf("%s is kept, want %s", got, reserved)
				}
				var e messages.InvokeResponse_Error
				if !errors.As(err, &e) || e.Type != "Callfleet.DeadlineExceeded" {
					t.Errorf("error %v", err)
				}
				if took := time.Since(began); took >= timeout {
					t.Errorf("answered after %s of %s", took, timeout)
				}
			})
		})
	}
}

func TestTelemetryIsSentBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	flushed := 0
	f := newFunction(&caller{}, func(ctx context.Context) error {
		flushed++
		if left := time.Until(must(ctx.Deadline())); left > maxFlush || ctx.Err() != nil {
			t.Errorf("flush may take %s, %v", left, ctx.Err())
		}
		return errors.New("no collector")
	})
	for range 2 {
		if _, err := f.Invoke(invoked(t, "i", time.Minute), fmt.Appendf(nil, event, "")); err != nil {
			t.Errorf("a lost span has cost the answer: %v", err)
		}
	}
	if flushed != 2 {
		t.Errorf("flushed %d times, want after each of 2 calls", flushed)
	}
}

func must(deadline time.Time, _ bool) time.Time { return deadline }

// Connections are used again, unless the process may have been frozen for long
// meanwhile.
func TestStaleConnectionsAreDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &caller{}
		f := newFunction(c, nil)
		for _, row := range []struct {
			pause  time.Duration
			closed int
		}{{time.Hour, 0}, {time.Second, 0}, {maxIdle + time.Second, 1}, {time.Second, 1}} {
			time.Sleep(row.pause)
			if _, err := f.Invoke(invoked(t, "i", time.Minute), fmt.Appendf(nil, event, "")); err != nil {
				t.Fatal(err)
			}
			if c.closed != row.closed {
				t.Errorf("after a pause of %s: closed %d times, want %d", row.pause, c.closed, row.closed)
			}
		}
	})
}

// in is the input of a program started by the runtime.
func in(api string, env ...string) config.Input {
	vars := map[string]string{"AWS_LAMBDA_RUNTIME_API": api}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		vars[name] = value
	}
	return config.Input{Getenv: func(name string) string { return vars[name] }, Stdout: io.Discard, Version: "1.2.3"}
}

func TestWrongSettingsAreTold(t *testing.T) {
	t.Parallel()
	r := runtimetest.Start(t)
	var stderr strings.Builder
	code := Main(t.Context(), in(r.Addr(), "CALLFLEET_HTTP_TIMEOUT=soon", "OTEL_EXPORTER_OTLP_PROTOCOL=xml"), &stderr)
	told, err := r.WaitInitError(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if code != config.ExitUsage || told.Type != ConfigInvalid || told.Header != ConfigInvalid {
		t.Errorf("exit code %d, told %+v", code, told)
	}
	for _, want := range []string{"CALLFLEET_HTTP_TIMEOUT: want a duration", "OTEL_EXPORTER_OTLP_PROTOCOL="} {
		if !strings.Contains(told.Message, want) || !strings.Contains(stderr.String(), want) {
			t.Errorf("told %q, logged %q, want %q in both", told.Message, stderr.String(), want)
		}
	}
}

func TestStartedByHand(t *testing.T) {
	t.Parallel()
	var stderr strings.Builder
	if code := Main(t.Context(), in(""), &stderr); code != config.ExitUsage || !strings.Contains(stderr.String(), "AWS Lambda sets it and starts this program") {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
	help := in("")
	help.Args = []string{"--help"}
	if code := Main(t.Context(), help, &stderr); code != 0 {
		t.Errorf("--help: exit code %d", code)
	}
}

// Nobody listens where the runtime should be: the mistake is still logged.
func TestRuntimeOutOfReach(t *testing.T) {
	t.Parallel()
	var stderr strings.Builder
	if code := Main(t.Context(), in("127.0.0.1:1", "CALLFLEET_LOG_LEVEL=loud"), &stderr); code != config.ExitUsage {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"CALLFLEET_LOG_LEVEL: want debug", "report initialization error: "} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("logged %q, want %q", stderr.String(), want)
		}
	}
}
