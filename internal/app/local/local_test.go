package local

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"callfleet/internal/app/backend"
	"callfleet/internal/call"
	"callfleet/internal/stepfn"
	"callfleet/internal/template/store"
	"callfleet/statemachine"
)

// join opens the backend of a stack as a fleet member in its process does.
func join(t *testing.T, s *Stack, machine string) *backend.Backend {
	t.Helper()
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	b, err := backend.Open(t.Context(), backend.Options{Embedded: conn, StepFunctions: s.URL(), StateMachine: machine})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStackStartsAgainOnItsData(t *testing.T) {
	t.Parallel()
	o := options(t)
	for range 2 {
		o.Sample = sample(t, "127.0.0.1:0")
		s, stop := start(t, o)
		b := join(t, s, "")
		if err := b.Executions.Start(t.Context(), "r-1", []byte(`{"templateName":"none","method":"GET"}`)); err != nil {
			t.Fatal(err)
		}
		e := wait(t, b.Executions, "r-1")
		if e.Error != "Callfleet.TemplateNotFound" {
			t.Errorf("ended with %q, %q", e.Error, e.Cause)
		}
		items, err := b.Templates.List(t.Context(), store.Key{}, 100)
		if err != nil || len(items) != 10 {
			t.Errorf("%d templates, %v, want the samples once", len(items), err)
		}
		if !strings.HasPrefix(s.SampleURL(), "http://127.0.0.1:") || s.BrokerURL() != "" {
			t.Errorf("sample API %q, broker %q", s.SampleURL(), s.BrokerURL())
		}
		b.Close()
		if err := stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}

// wait reads until the execution has ended: each answer is a round trip.
func wait(t *testing.T, c *stepfn.Client, name string) stepfn.Execution {
	t.Helper()
	for {
		e, err := c.Describe(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if e.Status.Ended() {
			return e
		}
	}
}

// The tutorial's definition, unchanged, on the Lambda endpoint.
func TestTutorial(t *testing.T) {
	t.Parallel()
	server := api(t)
	s, _ := start(t, options(t))
	b := join(t, s, "tutorial")
	defer b.Close()
	if _, err := b.Executions.Deploy(t.Context(), "tutorial", []byte(statemachine.Tutorial)); err != nil {
		t.Fatal(err)
	}
	if err := (table{b.Templates}).Put(t.Context(), raw("a", server.URL+"/{{ status }}"), ""); err != nil {
		t.Fatal(err)
	}
	for status, want := range map[string]struct {
		status       call.Status
		error, cause string
	}{
		"200": {call.StatusSucceeded, "", ""},
		"404": {call.StatusFailed, "", "API call failed"},
		"201": {call.StatusFailed, "States.NoChoiceMatched", ""},
	} {
		if err := b.Executions.Start(t.Context(), "r-"+status, []byte(`{"templateName":"a","method":"GET","params":{"status":`+status+`}}`)); err != nil {
			t.Fatal(err)
		}
		e := wait(t, b.Executions, "r-"+status)
		if e.Status != want.status || e.Error != want.error || want.cause != "" && e.Cause != want.cause {
			t.Errorf("%s: ended as %s, %q, %q", status, e.Status, e.Error, e.Cause)
		}
	}
}

func TestTakenAddress(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o := options(t)
	o.Sample = sample(t, taken.Addr().String())
	s, _ := start(t, o)
	if s.SampleURL() == "http://"+taken.Addr().String() {
		t.Error("the sample API has an address that is taken")
	}
	o = options(t)
	o.Listen = taken.Addr().String()
	if _, _, err := New(t.Context(), o); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "serve step functions api") {
		t.Errorf("error = %v, want a taken address", err)
	}
}

func TestStackOnABrokerElsewhere(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.BrokerListen = "127.0.0.1:0"
	first, _ := start(t, o)
	o = options(t)
	o.Queue = first.BrokerURL()
	second, _ := start(t, o)
	if second.BrokerURL() != first.BrokerURL() {
		t.Errorf("broker %q, want %q", second.BrokerURL(), first.BrokerURL())
	}
	if _, err := second.Connect(); err == nil {
		t.Error("connected to an embedded broker that does not run")
	}
}

func TestDeployIsIdempotent(t *testing.T) {
	t.Parallel()
	s, _ := start(t, options(t))
	for range 2 {
		if err := s.deploy(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("deploy: %v", err)
		}
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"127.0.0.1:8083": "127.0.0.1:8083", ":8083": "127.0.0.1:8083", "0.0.0.0:8083": "127.0.0.1:8083", "[::]:8083": "127.0.0.1:8083",
		"192.0.2.1:8083": "192.0.2.1:8083", "odd": "odd",
	} {
		if got := loopback(addr); got != want {
			t.Errorf("loopback(%q) = %q, want %q", addr, got, want)
		}
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	findings, placeholders := Lint([]byte(statemachine.CallAPI))
	if len(findings) != 0 || strings.Join(placeholders, " ") != "TasksQueueUrl TemplatesTable" {
		t.Errorf("findings %q, placeholders %q", findings, placeholders)
	}
	if findings, _ := Lint([]byte(`{"StartAt":"A","States":{}}`)); len(findings) == 0 {
		t.Error("a definition without states is fine")
	}
}
