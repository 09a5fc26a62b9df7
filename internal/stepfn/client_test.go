package stepfn_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/call"
	"callfleet/internal/stepfn"
	"callfleet/internal/stepfn/stepfntest"
)

func setup(t testing.TB) (*stepfntest.Server, *stepfn.Client) {
	t.Helper()
	return setupAttempts(t, 2)
}

func setupAttempts(t testing.TB, attempts int) (*stepfntest.Server, *stepfn.Client) {
	t.Helper()
	s := stepfntest.New(t)
	c, err := stepfn.New(stepfn.Options{Endpoint: s.URL, StateMachine: stepfntest.Machine, MaxAttempts: attempts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return s, c
}

func TestStartIsIdempotent(t *testing.T) {
	t.Parallel()
	s, c := setup(t)
	start := func(input string) error { return c.Start(t.Context(), "run-1", []byte(input)) }
	if err := start(`{"a":1}`); err != nil {
		t.Fatal(err)
	}
	if err := start(`{"a":1}`); err != nil {
		t.Errorf("the same while it runs: got %v, want nil", err)
	}
	if err := start(`{"a":2}`); !errors.Is(err, stepfn.ErrNameTaken) {
		t.Errorf("another input: got %v, want ErrNameTaken", err)
	}
	s.End("run-1")
	if err := start(`{"a":1}`); err != nil {
		t.Errorf("the same after its end: got %v, want nil", err)
	}
	if err := start(`{"a":3}`); !errors.Is(err, stepfn.ErrNameTaken) {
		t.Errorf("another input after the end: got %v, want ErrNameTaken", err)
	}
	if n := len(s.Executions()); n != 1 {
		t.Errorf("%d executions, want 1", n)
	}
}

func TestErrorsAreTranslated(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		code string
		want error
	}{
		{"TaskTimedOut", call.ErrTaskGone}, {"InvalidToken", call.ErrTaskGone}, {"TaskDoesNotExist", call.ErrTaskGone},
		{"InvalidOutput", stepfn.ErrInvalid}, {"ValidationException", stepfn.ErrInvalid},
		{"AccessDeniedException", stepfn.ErrDenied}, {"ExpiredTokenException", stepfn.ErrCredentials},
		{"UnrecognizedClientException", stepfn.ErrCredentials}, {"InvalidSignatureException", stepfn.ErrCredentials},
	} {
		s, c := setupAttempts(t, 1)
		s.AddTask("the-secret")
		for _, op := range []string{"SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat"} {
			s.Fail(op, tc.code, http.StatusBadRequest, 10)
		}
		for _, err := range []error{
			c.Succeed(t.Context(), "the-secret", []byte("{}")),
			c.Fail(t.Context(), "the-secret", &call.Failure{Name: call.Timeout}),
			c.Heartbeat(t.Context(), "the-secret"),
		} {
			if !errors.Is(err, tc.want) {
				t.Errorf("%s: got %v, want %v", tc.code, err, tc.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: the error %q shows the token", tc.code, err)
			}
		}
	}
}

func TestServerErrorsAreRetried(t *testing.T) {
	t.Parallel()
	s, c := setup(t)
	s.AddTask("t")
	s.Fail("SendTaskSuccess", "InternalFailure", http.StatusInternalServerError, 1)
	if err := c.Succeed(t.Context(), "t", []byte(`{"a":"é"}`)); err != nil {
		t.Fatal(err)
	}
	if got := s.Task("t"); got.Output != `{"a":"é"}` {
		t.Errorf("got output %q", got.Output)
	}
	s.Fail("StartExecution", "InternalFailure", http.StatusInternalServerError, 1)
	if err := c.Start(t.Context(), "run-1", []byte("{}")); err != nil {
		t.Error(err)
	}
}

func TestThrottledStartIsNotRetried(t *testing.T) {
	t.Parallel()
	s, c := setup(t)
	s.Fail("StartExecution", "ThrottlingException", http.StatusBadRequest, 9)
	if err := c.Start(t.Context(), "run-1", []byte("{}")); !errors.Is(err, stepfn.ErrThrottled) {
		t.Errorf("got %v, want ErrThrottled", err)
	}
	if n := s.Calls("StartExecution"); n != 1 {
		t.Errorf("%d calls, want 1: the starter is the one who retries", n)
	}
}

func TestPayloadsAreBounded(t *testing.T) {
	t.Parallel()
	s, c := setup(t)
	s.AddTask("t")
	big := bytes.Repeat([]byte("1"), stepfn.MaxPayload+1)
	if err := c.Start(t.Context(), "run-1", big); !errors.Is(err, stepfn.ErrInvalid) {
		t.Errorf("input: got %v, want ErrInvalid", err)
	}
	if err := c.Succeed(t.Context(), "t", big); !errors.Is(err, stepfn.ErrInvalid) {
		t.Errorf("output: got %v, want ErrInvalid", err)
	}
	cause := strings.Repeat("é", 20000)
	if err := c.Fail(t.Context(), "t", &call.Failure{Name: call.Timeout, Cause: cause}); err != nil {
		t.Fatal(err)
	}
	if got := s.Task("t"); len(got.Cause) > 32768 || !strings.HasPrefix(cause, got.Cause) || got.Error != "Callfleet.Timeout" {
		t.Errorf("got error %q with a cause of %d bytes", got.Error, len(got.Cause))
	}
}

func TestTraceIsSentAlong(t *testing.T) {
	t.Parallel()
	s, c := setup(t)
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	if err := c.Start(trace.ContextWithSpanContext(t.Context(), sc), "run-1", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	want := "00-01000000000000000000000000000000-0200000000000000-01"
	if got := s.Parents(); len(got) != 1 || got[0] != want {
		t.Errorf("got traceparents %q, want %q", got, want)
	}
}

func TestDeploy(t *testing.T) {
	t.Parallel()
	s, c := setup(t)
	for _, definition := range []string{"1", "1", "2"} {
		arn, err := c.Deploy(t.Context(), "other", []byte(definition))
		if err != nil || !strings.HasSuffix(arn, ":stateMachine:other") {
			t.Fatalf("deploy %s: got %s, %v", definition, arn, err)
		}
	}
	if n := s.Calls("UpdateStateMachine"); n != 1 {
		t.Errorf("%d updates, want one, for the definition that changed", n)
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	_, c := setup(t)
	for _, name := range []string{"run-1", "run-2", "run-3"} {
		if err := c.Start(t.Context(), name, []byte(`{"n":1}`)); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for x, err := range c.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, x.Name)
	}
	if got := strings.Join(names, " "); got != "run-3 run-2 run-1" {
		t.Errorf("listed %s", got)
	}
	if err := c.Stop(t.Context(), "run-2", "E", "because"); err != nil {
		t.Fatal(err)
	}
	x, err := c.Describe(t.Context(), "run-2")
	if err != nil || x.Status != call.StatusAborted || string(x.Input) != `{"n":1}` || x.StateMachine != stepfntest.Machine || !x.Stopped.IsZero() {
		t.Errorf("got %+v, %v", x, err)
	}
	if _, err := c.Describe(t.Context(), "nobody"); !errors.Is(err, stepfn.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	var got []string
	for e, err := range c.History(t.Context(), "run-1") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.Join([]string{e.Type, e.State, e.Resource, e.Error, e.Cause, string(e.Input)}, "|"))
	}
	want := `ExecutionStarted|||||{"n":1} TaskStateEntered|Call||||{"n":1} TaskFailed||sendMessage.waitForTaskToken|E|c|`
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got history %s, want %s", s, want)
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	t.Parallel()
	if _, err := stepfn.New(stepfn.Options{}); err == nil {
		t.Error("no region and no endpoint: got nil")
	}
	if _, err := stepfn.New(stepfn.Options{Endpoint: "http://a", MaxAttempts: -1}); err == nil {
		t.Error("negative attempts: got nil")
	}
}

// sink answers at once: what is measured is the client.
type sink struct{}

func (sink) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
}

// BenchmarkRoundTrip is Succeed over the network, many at once; the server's
// work is part of it.
func BenchmarkRoundTrip(b *testing.B) {
	_, c := setup(b)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := c.Heartbeat(context.Background(), "token"); !errors.Is(err, call.ErrTaskGone) {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSucceed is the SDK's own work for one call.
func BenchmarkSucceed(b *testing.B) {
	s := stepfntest.New(b)
	output := []byte(`{"statusCode":200,"headers":{"Content-Type":"application/json"},"body":{"ok":true},"attempts":1,"durationMs":12}`)
	for name, cfg := range map[string]aws.Config{
		"anonymous": {},
		"static":    {Credentials: credentials.NewStaticCredentialsProvider("AKID", "SECRET", "")},
	} {
		b.Run(name, func(b *testing.B) {
			c, err := stepfn.New(stepfn.Options{Config: cfg, Endpoint: s.URL, StateMachine: stepfntest.Machine})
			if err != nil {
				b.Fatal(err)
			}
			stepfn.SetTransport(c, sink{})
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Succeed(context.Background(), "token", output); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
