package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

const role = "arn:aws:iam::000000000000:role/callfleet"

// sdk is a client of the Step Functions server as anybody has it.
func (s *stack) sdk(t *testing.T) *sfn.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return sfn.New(sfn.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.steps.URL()), HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
}

// mistaken is a definition of 40 states with one mistake each, and the paths
// where they are.
func mistaken() (definition string, paths []string) {
	states := []string{
		`{"Type":"Nothing"}`,
		`{"Type":"Pass","Next":"Nowhere"}`,
		`{"Type":"Task","End":true}`,
		`{"Type":"Wait","Seconds":-1,"End":true}`,
		`{"Type":"Choice","Choices":[]}`,
		`{"Type":"Pass","InputPath":"no path","End":true}`,
		`{"Type":"Wait","Seconds":1,"Timestamp":"2026-01-01T00:00:00Z","End":true}`,
		`{"Type":"Parallel","Branches":[],"End":true}`,
		`{"Type":"Pass","Parameters":{"a.$":"States.Nothing()"},"End":true}`,
		`{"Type":"Task","Resource":"no arn","End":true}`,
	}
	var b strings.Builder
	b.WriteString(`{"StartAt":"Start","States":{"Start":{"Type":"Choice","Default":"S0","Choices":[`)
	for i := range 40 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"Variable":"$.n","NumericEquals":%d,"Next":"S%d"}`, i, i)
	}
	b.WriteString(`]}`)
	for i := range 40 {
		fmt.Fprintf(&b, `,"S%d":%s`, i, states[i%len(states)])
		paths = append(paths, fmt.Sprintf("/States/S%d", i))
	}
	b.WriteString(`}}`)
	return b.String(), paths
}

// All 40 mistakes of a definition are reported at once, each with its place,
// and nothing is made of it.
func TestDefinitionWith40Mistakes(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	client := s.sdk(t)
	definition, paths := mistaken()
	_, err := client.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name: aws.String("mistaken"), Definition: &definition, RoleArn: aws.String(role),
	})
	var invalid *types.InvalidDefinition
	if !errors.As(err, &invalid) {
		t.Fatalf("create: %v, want InvalidDefinition", err)
	}
	validated, err := client.ValidateStateMachineDefinition(t.Context(), &sfn.ValidateStateMachineDefinitionInput{Definition: &definition})
	if err != nil {
		t.Fatal(err)
	}
	if validated.Result != types.ValidateStateMachineDefinitionResultCodeFail || len(validated.Diagnostics) < len(paths) {
		t.Errorf("validate: %s with %d diagnostics, want FAIL with %d or more", validated.Result, len(validated.Diagnostics), len(paths))
	}
	located := map[string]bool{}
	for _, d := range validated.Diagnostics {
		if at := strings.SplitN(aws.ToString(d.Location), "/", 4); len(at) >= 3 {
			located["/"+at[1]+"/"+at[2]] = true
		}
		if aws.ToString(d.Message) == "" || aws.ToString(d.Code) == "" {
			t.Errorf("diagnostic of %s says %q, code %q", aws.ToString(d.Location), aws.ToString(d.Message), aws.ToString(d.Code))
		}
	}
	for _, path := range paths {
		if !located[path] {
			t.Errorf("validate reports nothing at %s", path)
		}
		if !strings.Contains(invalid.ErrorMessage()+" ", path+"/") && !strings.Contains(invalid.ErrorMessage(), path+",") &&
			!strings.Contains(invalid.ErrorMessage(), path+"'") {
			t.Errorf("create reports nothing at %s", path)
		}
	}
	machines, err := client.ListStateMachines(t.Context(), &sfn.ListStateMachinesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range machines.StateMachines {
		if aws.ToString(m.Name) == "mistaken" {
			t.Error("the definition was taken")
		}
	}
	good := s.put(t, map[string]any{"name": "good", "method": "GET", "url": serve(t, answer)})
	wantOK(t, s.run(t, workflow, line{good, nil})[0])
}

// Definitions that are hardly one are refused in a word; the server goes on.
func TestHostileDefinitions(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	client := s.sdk(t)
	good := s.put(t, map[string]any{"name": "good", "method": "GET", "url": serve(t, answer)})
	for name, definition := range map[string]string{
		"no JSON":   "no JSON at all",
		"null":      "null",
		"an array":  "[]",
		"empty":     "{}",
		"too deep":  strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		"deep":      `{"StartAt":"A","States":{"A":{"Type":"Pass","Result":` + strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000) + `,"End":true}}}`,
		"binary":    "\x00\xff",
		"nested":    nestedParallels(2_000),
		"intrinsic": `{"StartAt":"A","States":{"A":{"Type":"Pass","Parameters":{"a.$":"` + strings.Repeat("States.Array(", 20_000) + strings.Repeat(")", 20_000) + `"},"End":true}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
				Name: aws.String(strings.ReplaceAll(name, " ", "-")), Definition: &definition, RoleArn: aws.String(role),
			})
			var invalid *types.InvalidDefinition
			if !errors.As(err, &invalid) {
				t.Fatalf("create: %v, want InvalidDefinition", err)
			}
			if text := invalid.ErrorMessage(); len(text) > 4096 {
				t.Errorf("the message has %d bytes: %.200s", len(text), text)
			}
			wantOK(t, s.run(t, workflow, line{good, nil})[0])
		})
	}
}

// nestedParallels is a definition of Parallel states, each in the branch of
// the one before.
func nestedParallels(n int) string {
	return strings.Repeat(`{"StartAt":"A","States":{"A":{"Type":"Parallel","End":true,"Branches":[`, n) +
		`{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}` + strings.Repeat(`]}}}`, n)
}
