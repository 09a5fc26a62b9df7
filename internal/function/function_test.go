package function_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/evidence"
	"callfleet/internal/function"
	"callfleet/internal/secret/secrettest"
	"callfleet/internal/telemetry"
	"callfleet/internal/template"
)

// caller is what a test wants of a caller; it notes what it is asked for.
type caller struct {
	do       func(context.Context) (call.Result, error)
	rendered call.Rendered
	key      string
	deadline time.Time
	trace    string
	called   bool
}

func (c *caller) Do(ctx context.Context, r call.Rendered, key string) (call.Result, error) {
	c.called, c.rendered, c.key = true, r, key
	c.deadline, _ = ctx.Deadline()
	c.trace, _ = telemetry.Inject(ctx)
	if c.do == nil {
		return call.Result{StatusCode: 200, Body: json.RawMessage(`"<&>"`), Attempts: 1}, nil
	}
	return c.do(ctx)
}

func handler(t *testing.T, c *caller) *function.Handler {
	return function.New(template.NewRenderer(template.Options{}), c, function.Options{Logger: evidence.Logger(t)})
}

const (
	item        = `"template":{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"http://127.0.0.1/{{ id }}"}}`
	traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	closer      = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ event, url, key, trace string }{
		"the tutorial's":  {`{` + item + `,"params":{"id":7}}`, "/7", "", ""},
		"with all fields": {`{` + item + `,"params":{"id":7},"id":"r-1","trace":{"traceparent":"` + traceparent + `"}}`, "/7", "r-1", traceparent},
		"call-api's": {`{"id":"r-1",` + item + `,"request":{"templateName":"a","method":"GET","params":{"id":8},"trace":{"traceparent":"` +
			traceparent + `"}},"timeoutSeconds":900}`, "/8", "r-1", traceparent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &caller{}
			output, err := handler(t, c).Invoke(t.Context(), []byte(row.event))
			if err != nil {
				t.Fatal(err)
			}
			if want := `{"statusCode":200,"headers":null,"body":"<&>","attempts":1,"durationMs":0}`; string(output) != want {
				t.Errorf("output %s, want %s", output, want)
			}
			if c.rendered.URL != "http://127.0.0.1"+row.url || c.key != row.key || c.trace != row.trace {
				t.Errorf("called %s with key %q and trace %q", c.rendered.URL, c.key, c.trace)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	good := `{` + item + `,"params":{"id":7}}`
	answer := func(r call.Result, err error) func(context.Context) (call.Result, error) {
		return func(context.Context) (call.Result, error) { return r, err }
	}
	for name, row := range map[string]struct {
		event string
		do    func(context.Context) (call.Result, error)
		want  call.FailureName
		cause string
	}{
		"no JSON":       {`odd`, nil, call.RenderFailed, "is not JSON"},
		"no template":   {`{"params":{}}`, nil, call.RenderFailed, "template: is missing"},
		"token":         {`{"taskToken":"secret",` + item + `}`, nil, call.RenderFailed, "not with .waitForTaskToken"},
		"batch":         {`{"batch":{"count":1,"timeoutSeconds":930,"calls":[{"id":"r-1"}]},` + item + `}`, nil, call.RenderFailed, "the event is a batch"},
		"unknown param": {`{` + item + `}`, nil, call.RenderFailed, "id"},
		"late":          {`{` + item + `,"params":{"id":7},"deadline":"2026-01-01T00:00:00Z"}`, nil, call.DeadlineExceeded, "was not called"},
		"failure":       {good, answer(call.Result{}, &call.Failure{Name: call.Timeout, Cause: "GET x"}), call.Timeout, "GET x"},
		"other error":   {good, answer(call.Result{}, errors.New("odd")), call.Internal, "odd"},
		"too large":     {good, answer(call.Result{Body: json.RawMessage(`"` + strings.Repeat("x", 256<<10) + `"`)}, nil), call.ResponseTooLarge, "at most 256000"},
		"panic":         {good, func(context.Context) (call.Result, error) { panic("secret") }, call.Internal, "panicked (string)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &caller{do: row.do}
			output, err := handler(t, c).Invoke(t.Context(), []byte(row.event))
			var f *call.Failure
			if !errors.As(err, &f) || output != nil || f.Name != row.want || !strings.Contains(f.Cause, row.cause) {
				t.Fatalf("%s, %v; want %s, %s", output, err, row.want, row.cause)
			}
			if strings.Contains(f.Cause, "secret") {
				t.Errorf("the cause shows a secret: %s", f.Cause)
			}
			if c.called != (row.do != nil) {
				t.Errorf("called: %t", c.called)
			}
		})
	}
}

func TestPanicIsLoggedWithoutItsValue(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	value := secrettest.Value(t, "what the call panics with")
	c := &caller{do: func(context.Context) (call.Result, error) { panic(value) }}
	h := function.New(template.NewRenderer(template.Options{}), c, function.Options{Logger: evidence.LoggerTo(t, slog.NewTextHandler(&log, nil))})
	if _, err := h.Invoke(t.Context(), []byte(`{`+item+`,"params":{"id":7},"id":"r-1"}`)); err == nil {
		t.Error("no error")
	}
	if text := log.String(); !strings.Contains(text, "request=r-1 panic=string") || strings.Contains(text, value) {
		t.Errorf("log: %s", text)
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	now := time.Now()
	sooner, later := now.Add(time.Minute).UTC().Truncate(time.Second), now.Add(time.Hour).UTC().Truncate(time.Second)
	at := func(d time.Time) string { return `,"deadline":"` + d.Format(time.RFC3339) + `"` }
	for name, row := range map[string]struct {
		more string
		ctx  time.Time
		want time.Time
	}{
		"none":                {"", time.Time{}, time.Time{}},
		"context's":           {at(later), sooner, sooner},
		"deadline":            {at(sooner), later, sooner},
		"deadline alone":      {at(sooner), time.Time{}, sooner},
		"timeout":             {at(later) + `,"timeoutSeconds":60`, time.Time{}, now.Add(time.Minute)},
		"deadline before it":  {at(sooner) + `,"timeoutSeconds":3600`, time.Time{}, sooner},
		"context's before it": {`,"timeoutSeconds":3600`, sooner, sooner},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			if !row.ctx.IsZero() {
				var cancel context.CancelFunc
				ctx, cancel = context.WithDeadline(ctx, row.ctx)
				defer cancel()
			}
			c := &caller{}
			if _, err := handler(t, c).Invoke(ctx, []byte(`{`+item+`,"params":{"id":7}`+row.more+`}`)); err != nil {
				t.Fatal(err)
			}
			if d := c.deadline.Sub(row.want); d < 0 || d > 30*time.Second {
				t.Errorf("deadline %s, want %s", c.deadline, row.want)
			}
		})
	}
}

// Who invoked the function is closer to the call than who started the
// execution.
func TestTraceOfTheContextWins(t *testing.T) {
	t.Parallel()
	c := &caller{}
	ctx := telemetry.Extract(t.Context(), closer, "")
	event := `{` + item + `,"params":{"id":7},"trace":{"traceparent":"` + traceparent + `"}}`
	if _, err := handler(t, c).Invoke(ctx, []byte(event)); err != nil {
		t.Fatal(err)
	}
	if c.trace != closer {
		t.Errorf("trace %q, want %q", c.trace, closer)
	}
}
