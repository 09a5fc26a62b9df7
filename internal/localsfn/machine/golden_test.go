package machine

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"callfleet/internal/localsfn/expr"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestHistoriesGolden keeps whole histories: numbers, parents and the presence
// of every field. Look at each difference before -update; the rules behind
// them are AWS's.
func TestHistoriesGolden(t *testing.T) {
	t.Parallel()
	name := "Callfleet.Timeout"
	cause := "called get-anything, no answer in 30 s"
	cases := map[string]struct {
		definition, input string
		script            func(*sim)
	}{
		"pass-choice-fail": {
			definition: `{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": {"code": 404}, "Assign": {"seen": true}, "Next": "C"},
				"C": {"Type": "Choice", "Choices": [{"Variable": "$.code", "NumericGreaterThanEquals": 400, "Next": "F"}], "Default": "Z"},
				"F": {"Type": "Fail", "Error": "Http", "Cause": "API call failed"}, "Z": {"Type": "Succeed"}}}`,
			input: `{"method": "GET"}`,
		},
		"callback-retried-caught": {
			definition: `{"StartAt": "Call", "States": {"Call": {` + callback + `, "TimeoutSeconds": 900, "HeartbeatSeconds": 60, "Next": "Done",
				"Retry": [{"ErrorEquals": ["States.Timeout"], "MaxAttempts": 1}], "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Done"}]},
				"Done": {"Type": "Succeed"}}}`,
			input: `{"id": 1}`,
			script: func(s *sim) {
				s.decide(TaskSubmitted{Task: s.command().Task, Output: expr.Raw([]byte(`{"MessageId":"m-1"}`))})
				s.tick() // heartbeat
				s.tick() // retry
				s.decide(TaskSubmitted{Task: s.command().Task, Output: expr.Raw([]byte(`{"MessageId":"m-2"}`))})
				s.now = s.now.Add(time.Second)
				s.decide(Heartbeat{Task: s.command().Task})
				s.decide(TaskFailed{Task: s.command().Task, Error: &name, Cause: &cause})
			},
		},
		"map-sequential": {
			definition: lone(`{"Type": "Map", "MaxConcurrency": 1, "ItemProcessor": {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}, "End": true}`),
			input:      `[1, 2, 3]`,
		},
		"map-empty": {
			definition: lone(`{"Type": "Map", "ItemProcessor": {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}, "End": true}`),
			input:      `[]`,
		},
		"map-retried-caught": {
			definition: `{"StartAt": "M", "States": {"M": {"Type": "Map", "Next": "T", "ItemProcessor": {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "C"}}},
				"Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}], "Catch": [{"ErrorEquals": ["E"], "Next": "T"}]}, "T": {"Type": "Succeed"}}}`,
			input:  `[1]`,
			script: func(s *sim) { s.tick() },
		},
		"parallel-nested": {
			definition: lone(`{"Type": "Parallel", "End": true, "Branches": [
				{"StartAt": "A", "States": {"A": {"Type": "Parallel", "End": true, "Branches": [{"StartAt": "AA", "States": {"AA": {"Type": "Pass", "End": true}}}]}}},
				{"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 1, "End": true}}}]}`),
			input:  `{"x": [1, 2]}`,
			script: func(s *sim) { s.tick() },
		},
		"parallel-task-failed": {
			definition: lone(`{"Type": "Parallel", "End": true, "Branches": [{"StartAt": "A", "States": {"A": {` + lambdaTask + `, "End": true}}}]}`),
			input:      `{}`,
			script:     func(s *sim) { s.failTask("E", "C") },
		},
		"function-result-refused": {
			definition: lone(`{` + lambdaARN + `, "OutputPath": "$.nope", "End": true}`),
			input:      `{}`,
			script:     func(s *sim) { s.succeed(`{}`) },
		},
		"stopped": {
			definition: lone(`{"Type": "Wait", "Seconds": 1, "End": true}`),
			input:      `{}`,
			script:     func(s *sim) { s.decide(Stop{}) },
		},
	}
	for file, c := range cases {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			s := begin(t, c.definition, c.input)
			if c.script != nil {
				c.script(s)
			}
			if !s.x.Done() {
				t.Fatal("still running")
			}
			path := filepath.Join("testdata", file+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(s.history()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.history(); got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}
