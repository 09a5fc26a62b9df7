package stepfn_test

import (
	"errors"
	"strings"
	"testing"

	"callfleet/internal/awstest"
	"callfleet/internal/stepfn"
)

// An independent implementation of the API answers Check and the probes as the
// test server does.
func TestCheckAgainstMoto(t *testing.T) {
	t.Parallel()
	cfg := awstest.Moto(t).Config()
	name := awstest.Name("machine")
	c := open(t, stepfn.Options{Config: cfg, StateMachine: "arn:aws:states:us-east-1:123456789012:stateMachine:" + name,
		RoleARN: "arn:aws:iam::123456789012:role/states"})
	if _, err := c.Check(t.Context()); !errors.Is(err, stepfn.ErrNotFound) || !strings.Contains(err.Error(), name) {
		t.Errorf("before it is made: got %v, want ErrNotFound with its name", err)
	}
	const definition = `{"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}}`
	if _, err := c.Deploy(t.Context(), name, []byte(definition)); err != nil {
		t.Fatal(err)
	}
	m, err := c.Check(t.Context())
	if err != nil || m.ARN != c.Machine() || m.Type != "STANDARD" || m.Status != "ACTIVE" || m.Definition != definition {
		t.Errorf("got %+v, %v", m, err)
	}
	if err := c.ProbeStart(t.Context()); err != nil {
		t.Errorf("probe start: %v", err)
	}
	for x, err := range c.List(t.Context(), "") {
		t.Errorf("the probe left execution %s (%v)", x.Name, err)
	}
	if err := c.ProbeReport(t.Context()); err != nil {
		t.Errorf("probe report: %v", err)
	}
	if err := c.Start(t.Context(), "run-1", []byte("{}")); err != nil {
		t.Error(err)
	}
}
