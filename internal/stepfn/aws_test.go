package stepfn_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"callfleet/internal/call"
	"callfleet/internal/stepfn"
	"callfleet/internal/stepfn/stepfntest"
)

// onAWS is the configuration of a program that believes it is on AWS.
func onAWS(url string) aws.Config {
	return aws.Config{Region: "eu-west-1", BaseEndpoint: aws.String(url), Credentials: credentials.NewStaticCredentialsProvider("AKID", "SECRET", "")}
}

func open(t *testing.T, o stepfn.Options) *stepfn.Client {
	t.Helper()
	if o.StateMachine == "" {
		o.StateMachine = stepfntest.Machine
	}
	c, err := stepfn.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// What a user reads when something is missing names it and the way out.
func TestErrorsSayTheWayOut(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]struct {
		is   error
		says []string
	}{
		"StateMachineDoesNotExist": {stepfn.ErrNotFound, []string{stepfntest.Machine, "http://", "deploy/cdk", "producer setup", "CALLFLEET_STATE_MACHINE"}},
		"StateMachineDeleting":     {stepfn.ErrNotFound, []string{stepfntest.Machine, "StateMachineDeleting"}},
		"InvalidArn":               {stepfn.ErrNotFound, []string{stepfntest.Machine, "CALLFLEET_STATE_MACHINE", "InvalidArn"}},
		"AccessDeniedException":    {stepfn.ErrDenied, []string{"states:StartExecution", "deploy/cdk"}},
		"ExpiredTokenException":    {stepfn.ErrCredentials, []string{"expired", "aws sso login"}},
		"UnrecognizedClientException": {stepfn.ErrCredentials, []string{
			"AWS_PROFILE", "AWS_ACCESS_KEY_ID"}},
		"InvalidSignatureException": {stepfn.ErrCredentials, []string{"AWS_SECRET_ACCESS_KEY", "clock"}},
		"ExecutionLimitExceeded":    {stepfn.ErrThrottled, nil},
		"InvalidExecutionInput":     {stepfn.ErrInvalid, nil},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s := stepfntest.New(t)
			c := open(t, stepfn.Options{Config: onAWS(s.URL)})
			s.Fail("StartExecution", code, http.StatusBadRequest, 1)
			err := c.Start(t.Context(), "run-1", []byte("{}"))
			if !errors.Is(err, want.is) {
				t.Fatalf("got %v, want %v", err, want.is)
			}
			for _, part := range append(want.says, "start execution run-1", code) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if err := c.Start(t.Context(), "run-1", []byte("{}")); err != nil {
				t.Errorf("after it has passed: got %v, want nil", err)
			}
		})
	}
}

func TestRegionMissing(t *testing.T) {
	t.Parallel()
	_, err := stepfn.New(stepfn.Options{StateMachine: stepfntest.Machine})
	if err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("got %v, want the setting named", err)
	}
}

// issuer gives out credentials, or none, and counts.
type issuer struct {
	asked atomic.Int64
	fails atomic.Bool
}

func (i *issuer) Retrieve(context.Context) (aws.Credentials, error) {
	i.asked.Add(1)
	if i.fails.Load() {
		return aws.Credentials{}, errors.New("no role is attached")
	}
	return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "SECRET", SessionToken: "TOKEN"}, nil
}

func TestMissingCredentials(t *testing.T) {
	t.Parallel()
	s := stepfntest.New(t)
	s.AddTask("t")
	from := &issuer{}
	from.fails.Store(true)
	cfg := onAWS(s.URL)
	cfg.Credentials = aws.NewCredentialsCache(from)
	c := open(t, stepfn.Options{Config: cfg})
	for _, err := range []error{
		c.Start(t.Context(), "run-1", []byte("{}")),
		c.Succeed(t.Context(), "t", []byte("{}")),
	} {
		if !errors.Is(err, stepfn.ErrCredentials) || !strings.Contains(err.Error(), "no role is attached") || !strings.Contains(err.Error(), "AWS_PROFILE") {
			t.Errorf("got %v, want ErrCredentials with the reason and the way out", err)
		}
	}
	from.fails.Store(false)
	if err := c.Start(t.Context(), "run-1", []byte("{}")); err != nil {
		t.Errorf("once there are some: got %v", err)
	}
}

// Credentials that the API refuses are fetched anew, not before the time that
// they came with, and not by each of many calls.
func TestRefusedCredentialsAreRenewed(t *testing.T) {
	t.Parallel()
	s := stepfntest.New(t)
	synctest.Test(t, func(t *testing.T) {
		from := &issuer{}
		cfg := onAWS("http://stepfunctions.test")
		cfg.Credentials = aws.NewCredentialsCache(from)
		c := open(t, stepfn.Options{Config: cfg, Transport: direct{s}})
		for range 3 {
			_ = c.Start(t.Context(), "run-1", []byte("{}"))
		}
		if n := from.asked.Load(); n != 1 {
			t.Fatalf("asked for credentials %d times, want once", n)
		}
		s.Fail("StartExecution", "ExpiredTokenException", http.StatusBadRequest, 20)
		for range 20 {
			if err := c.Start(t.Context(), "run-1", []byte("{}")); !errors.Is(err, stepfn.ErrCredentials) {
				t.Errorf("got %v, want ErrCredentials", err)
			}
			time.Sleep(500 * time.Millisecond)
		}
		if n := from.asked.Load(); n != 3 {
			t.Errorf("asked for credentials %d times, want twice more in 10 s", n)
		}
		if err := c.Start(t.Context(), "run-1", []byte("{}")); err != nil {
			t.Errorf("with new ones: got %v", err)
		}
	})
}

// skewed is an API in front of next whose clock is off ours, and which refuses
// what was signed at another time than its own, as AWS does.
func skewed(next http.Handler, by time.Duration, refused *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().Add(by)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err == nil && now.Sub(signed).Abs() < 5*time.Minute {
			next.ServeHTTP(w, r)
			return
		}
		refused.Add(1)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"InvalidSignatureException","message":"Signature expired"}`))
	})
}

func TestClockThatIsOff(t *testing.T) {
	t.Parallel()
	s := stepfntest.New(t)
	s.AddTask("t")
	var refused atomic.Int64
	h := httptest.NewServer(skewed(s, 17*time.Minute, &refused))
	t.Cleanup(h.Close)
	c := open(t, stepfn.Options{Config: onAWS(h.URL)})
	for _, name := range []string{"run-1", "run-2", "run-3"} {
		if err := c.Start(t.Context(), name, []byte("{}")); err != nil {
			t.Fatalf("with a clock 17 minutes off: %v", err)
		}
	}
	if err := c.Succeed(t.Context(), "t", []byte("{}")); err != nil {
		t.Error(err)
	}
	if n := refused.Load(); n != 1 {
		t.Errorf("%d requests were refused, want one: after it the difference is known", n)
	}
	once := open(t, stepfn.Options{Config: onAWS(h.URL), MaxAttempts: 1})
	err := once.Start(t.Context(), "run-4", []byte("{}"))
	if !errors.Is(err, stepfn.ErrCredentials) || !strings.Contains(err.Error(), "off that of AWS") {
		t.Errorf("without a second attempt: got %v, want the difference named", err)
	}
}

// The endpoint comes out of AWS's configuration, that of the service first.
func TestEndpointOfTheConfiguration(t *testing.T) {
	t.Parallel()
	s := stepfntest.New(t)
	file := filepath.Join(t.TempDir(), "config")
	text := strings.ReplaceAll(`[default]
region = us-west-2
endpoint_url = http://127.0.0.1:1
services = local
aws_access_key_id = AKID
aws_secret_access_key = SECRET
[services local]
sfn =
  endpoint_url = URL
`, "URL", s.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithSharedConfigFiles([]string{file}), config.WithSharedCredentialsFiles(nil),
		config.WithSharedConfigProfile("default"))
	if err != nil {
		t.Fatal(err)
	}
	if err := open(t, stepfn.Options{Config: cfg}).Start(t.Context(), "run-1", []byte("{}")); err != nil {
		t.Errorf("sfn of services: %v", err)
	}
	if err := open(t, stepfn.Options{Config: onAWS(s.URL)}).Start(t.Context(), "run-2", []byte("{}")); err != nil {
		t.Errorf("endpoint of all services: %v", err)
	}
}

// Without an endpoint, requests are signed and go to AWS, with no prefix to
// the host.
func TestNoEndpointIsAWS(t *testing.T) {
	t.Parallel()
	var hosts, signed []string
	rt := roundTrip(func(r *http.Request) (*http.Response, error) {
		hosts, signed = append(hosts, r.URL.Host), append(signed, r.Header.Get("Authorization"))
		return nil, errors.New("there is no network")
	})
	cfg := onAWS("")
	cfg.BaseEndpoint = nil
	c := open(t, stepfn.Options{Config: cfg, Transport: rt, MaxAttempts: 1})
	_ = c.Start(t.Context(), "run-1", []byte("{}"))
	err := c.Succeed(t.Context(), "t", []byte("{}"))
	if err == nil || !strings.Contains(err.Error(), "there is no network") {
		t.Errorf("got %v, want the reason", err)
	}
	for i, host := range hosts {
		if host != "states.eu-west-1.amazonaws.com" || !strings.Contains(signed[i], "Credential=AKID/") || !strings.Contains(signed[i], "/eu-west-1/states/") {
			t.Errorf("request %d went to %s, signed %q", i, host, signed[i])
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCheck(t *testing.T) {
	t.Parallel()
	s := stepfntest.New(t)
	c := open(t, stepfn.Options{Config: onAWS(s.URL)})
	got, err := c.Check(t.Context())
	want := stepfn.MachineInfo{
		ARN: stepfntest.Machine, Type: "STANDARD", Status: "ACTIVE", Definition: "{}", RoleARN: "arn:aws:iam::123456789012:role/call-api",
		LoggingLevel: "ERROR", TracingEnabled: true, Created: time.Unix(1, 0).UTC(),
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := c.With(c.Machine() + "x").Check(t.Context()); !errors.Is(err, stepfn.ErrNotFound) || !strings.Contains(err.Error(), stepfntest.Machine+"x") {
		t.Errorf("a machine that is missing: got %v, want ErrNotFound with its ARN", err)
	}
	s.Fail("DescribeStateMachine", "AccessDeniedException", http.StatusBadRequest, 1)
	if _, err := c.Check(t.Context()); !errors.Is(err, stepfn.ErrDenied) || !strings.Contains(err.Error(), "states:DescribeStateMachine") {
		t.Errorf("a permission that is missing: got %v, want ErrDenied with its name", err)
	}
}

// The probes tell who may do what, and do nothing.
func TestProbes(t *testing.T) {
	t.Parallel()
	s := stepfntest.New(t)
	s.AddTask("t")
	c := open(t, stepfn.Options{Config: onAWS(s.URL)})
	if err := c.ProbeStart(t.Context()); err != nil {
		t.Errorf("start: %v", err)
	}
	if err := c.ProbeReport(t.Context()); err != nil {
		t.Errorf("report: %v", err)
	}
	s.Fail("StartExecution", "AccessDeniedException", http.StatusBadRequest, 1)
	if err := c.ProbeStart(t.Context()); !errors.Is(err, stepfn.ErrDenied) || !strings.Contains(err.Error(), "states:StartExecution") {
		t.Errorf("start without permission: %v", err)
	}
	s.Fail("SendTaskSuccess", "AccessDeniedException", http.StatusBadRequest, 1)
	s.Fail("SendTaskHeartbeat", "AccessDeniedException", http.StatusBadRequest, 1)
	err := c.ProbeReport(t.Context())
	if !errors.Is(err, stepfn.ErrDenied) || strings.Contains(err.Error(), "states:SendTaskFailure") ||
		!strings.Contains(err.Error(), "states:SendTaskSuccess") || !strings.Contains(err.Error(), "states:SendTaskHeartbeat") {
		t.Errorf("report without two permissions: %v", err)
	}
	s.Fail("SendTaskFailure", "ExpiredTokenException", http.StatusBadRequest, 1)
	if err := c.ProbeReport(t.Context()); err == nil || errors.Is(err, stepfn.ErrDenied) {
		t.Errorf("report with other trouble: %v", err)
	}
	if err := c.With(c.Machine() + "x").ProbeStart(t.Context()); !errors.Is(err, stepfn.ErrNotFound) {
		t.Errorf("start what is missing: %v", err)
	}
	if n := len(s.Executions()); n != 0 || s.Task("t") != (stepfntest.Task{}) {
		t.Errorf("%d executions, task %+v: want nothing done", n, s.Task("t"))
	}
}

func TestTooManyRequestsOfAProxy(t *testing.T) {
	t.Parallel()
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	t.Cleanup(h.Close)
	c := open(t, stepfn.Options{Config: onAWS(h.URL)})
	if err := c.Heartbeat(t.Context(), call.TaskToken("t")); !errors.Is(err, stepfn.ErrThrottled) {
		t.Errorf("got %v, want ErrThrottled", err)
	}
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	for region, want := range map[string][2]float64{
		"us-east-1": {300, 500}, "us-west-2": {300, 500}, "eu-west-1": {300, 500}, "eu-central-1": {150, 300}, "": {150, 300},
	} {
		if q := stepfn.QuotasOf(region); [2]float64{q.StartExecution, q.SendTask} != want {
			t.Errorf("%s: got %+v, want %v", region, q, want)
		}
	}
}
