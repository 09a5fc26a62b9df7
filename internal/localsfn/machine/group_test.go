package machine

import (
	"fmt"
	"strings"
	"testing"

	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
)

// TestParallel: every branch gets the input; the output lists their outputs in
// the order of the branches, whichever ends first.
func TestParallel(t *testing.T) {
	t.Parallel()
	s := begin(t, lone(`{"Type": "Parallel", "Parameters": {"n.$": "$.n"}, "ResultSelector": {"all.$": "$"}, "ResultPath": "$.r", "End": true, "Branches": [
		{"StartAt": "A", "States": {"A": {`+lambdaTask+`, "End": true}}},
		{"StartAt": "B", "States": {"B": {`+lambdaTask+`, "End": true}}},
		{"StartAt": "C", "States": {"C": {"Type": "Pass", "End": true}}}]}`), `{"n": 1}`)
	commands := s.x.Commands()
	if len(commands) != 2 || string(commands[0].Parameters.JSON()) != `{"n":1}` {
		t.Fatalf("commands %+v", commands)
	}
	s.decide(TaskSucceeded{Task: commands[1].Task, Output: expr.Raw([]byte(`"b"`))})
	if s.x.Status() != Running {
		t.Fatal(s.x.Status())
	}
	s.decide(TaskSucceeded{Task: commands[0].Task, Output: expr.Raw([]byte(`"a"`))})
	s.wantOutput(`{"n":1,"r":{"all":["a","b",{"n":1}]}}`)
}

// TestParallelFailure: a branch that fails ends the others and the state.
func TestParallelFailure(t *testing.T) {
	t.Parallel()
	s := begin(t, `{"StartAt": "S", "States": {"S": {"Type": "Parallel", "Next": "T", "Branches": [
		{"StartAt": "A", "States": {"A": {`+lambdaTask+`, "End": true}}},
		{"StartAt": "B", "States": {"B": {`+lambdaTask+`, "End": true}}},
		{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 10, "End": true}}}],
		"Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}], "Catch": [{"ErrorEquals": ["E"], "Next": "T"}]}, "T": {"Type": "Succeed"}}}`, `{}`)
	for range 2 {
		commands := s.x.Commands()
		if len(commands) != 2 {
			t.Fatalf("%d commands", len(commands))
		}
		name := "E"
		s.decide(TaskFailed{Task: commands[0].Task, Error: &name})
		if late := s.decide(TaskSucceeded{Task: commands[1].Task}); len(late) != 0 {
			t.Errorf("a task of an ended attempt made %d events", len(late))
		}
		if s.x.Status() == Running {
			s.tick()
		}
	}
	s.wantOutput(`{"Error":"E","Cause":null}`)
	var failed int
	for _, typ := range s.types() {
		if typ == history.ParallelStateFailed {
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("%d ParallelStateFailed, want 1: only the last attempt counts", failed)
	}
}

func TestMap(t *testing.T) {
	t.Parallel()
	pass := `{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}`
	cases := map[string]struct{ state, input, want string }{
		"input":                {`"ItemProcessor": ` + pass, `[1, 2]`, `[1,2]`},
		"Iterator":             {`"Iterator": ` + pass, `[1]`, `[1]`},
		"empty":                {`"ItemProcessor": ` + pass, `[]`, `[]`},
		"ItemsPath":            {`"ItemsPath": "$.l", "ItemProcessor": ` + pass, `{"l": [3]}`, `[3]`},
		"InputPath, ItemsPath": {`"InputPath": "$.o", "ItemsPath": "$.l", "ItemProcessor": ` + pass, `{"o": {"l": [4]}}`, `[4]`},
		"legacy Parameters":    {`"ItemsPath": "$.l", "Parameters": {"x.$": "$.y", "v.$": "$$.Map.Item.Value"}, "Iterator": ` + pass, `{"l": [5], "y": 6}`, `[{"x":6,"v":5}]`},
		"ItemSelector":         {`"ItemSelector": {"i.$": "$$.Map.Item.Index"}, "ItemProcessor": ` + pass, `["a", "b"]`, `[{"i":0},{"i":1}]`},
		"MaxConcurrency":       {`"MaxConcurrency": 2, "ItemProcessor": ` + pass, `[1, 2, 3, 4, 5]`, `[1,2,3,4,5]`},
		"MaxConcurrencyPath":   {`"ItemsPath": "$.l", "MaxConcurrencyPath": "$.c", "ItemProcessor": ` + pass, `{"l": [1, 2, 3], "c": 1}`, `[1,2,3]`},
		"nested":               {`"ItemProcessor": {"StartAt": "M", "States": {"M": {"Type": "Map", "ItemProcessor": ` + pass + `, "End": true}}}`, `[[1], [2, 3]]`, `[[1],[2,3]]`},
		"ResultPath":           {`"ItemsPath": "$.l", "ResultPath": "$.r", "ItemProcessor": ` + pass, `{"l":[1]}`, `{"l":[1],"r":[1]}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin(t, lone(`{"Type": "Map", `+c.state+`, "End": true}`), c.input).wantOutput(c.want)
		})
	}
}

func TestMapRefuses(t *testing.T) {
	t.Parallel()
	const prefix = "An error occurred while executing the state 'S' (entered at the event id #2). "
	processor := `, "ItemProcessor": {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}, "End": true}`
	cases := []struct{ state, input, cause string }{
		{`{"Type": "Map"`, `{}`, `Reference path "$" must point to array.`},
		{`{"Type": "Map", "ItemsPath": "$.l"`, `{"l": 1}`, `Reference path "$.l" must point to array.`},
		{`{"Type": "Map", "ItemsPath": "$.l", "MaxConcurrencyPath": "$.c"`, `{"l": [], "c": "x"}`, `The MaxConcurrencyPath field refers to value "x" which is not a valid integer: $.c`},
		{`{"Type": "Map", "ItemsPath": "$.l", "ToleratedFailureCountPath": "$.c"`, `{"l": [], "c": -1}`, "ToleratedFailureCount cannot be negative."},
		{`{"Type": "Map", "ItemsPath": "$.l", "ToleratedFailurePercentagePath": "$.c"`, `{"l": [], "c": 100.5}`, "ToleratedFailurePercentage must be between 0 and 100."},
		{`{"Type": "Map", "ItemsPath": "$.l", "ToleratedFailurePercentagePath": "$.c"`, `{"l": [], "c": {}}`, `The ToleratedFailurePercentagePath field refers to value "{}" which is not a valid float: $.c`},
	}
	for _, c := range cases {
		t.Run(c.cause, func(t *testing.T) {
			t.Parallel()
			begin(t, lone(c.state+processor), c.input).wantFailure("States.Runtime", prefix+c.cause)
		})
	}
}

// TestMapConcurrency: no more iterations run than MaxConcurrency allows.
func TestMapConcurrency(t *testing.T) {
	t.Parallel()
	s := begin(t, lone(`{"Type": "Map", "MaxConcurrency": 3, "ItemProcessor": {"StartAt": "P", "States": {"P": {`+lambdaTask+`, "End": true}}}, "End": true}`), `[0, 1, 2, 3, 4, 5, 6]`)
	for left := 7; left > 0; left-- {
		commands := s.x.Commands()
		if want := min(3, left); len(commands) != want {
			t.Fatalf("%d tasks out with %d items left, want %d", len(commands), left, want)
		}
		last := s.x.LastID()
		c := commands[len(commands)-1] // answer out of order
		s.decide(TaskSucceeded{Task: c.Task, Output: c.Parameters})
		if fresh := s.x.CommandsSince(last); left > 3 && len(fresh) != 1 {
			t.Errorf("%d new commands, want 1", len(fresh))
		}
	}
	s.wantOutput(`[0,1,2,3,4,5,6]`)
}

// TestMapFailure: an iteration that fails ends the others and the state.
func TestMapFailure(t *testing.T) {
	t.Parallel()
	s := begin(t, `{"StartAt": "S", "States": {"S": {"Type": "Map", "Next": "T", "ItemProcessor": {"StartAt": "P", "States": {"P": {`+lambdaTask+`, "End": true}}},
		"Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$[0]", "Next": "T"}]}, "T": {"Type": "Succeed"}}}`, `[1, 2, 3]`)
	commands := s.x.Commands()
	s.decide(TaskSucceeded{Task: commands[0].Task, Output: expr.Int(1)})
	s.decide(TaskFailed{Task: commands[1].Task})
	s.wantOutput(`[{"Error":null,"Cause":null},2,3]`)
	if !strings.Contains(fmt.Sprint(s.types()), "MapIterationFailed TaskStateAborted MapIterationAborted MapStateFailed MapStateExited") {
		t.Errorf("events %v", s.types())
	}
}

// TestMapItemsSurviveARestart: a replayed execution goes on with the items
// worked out anew.
func TestMapItemsSurviveARestart(t *testing.T) {
	t.Parallel()
	s := begin(t, lone(`{"Type": "Map", "MaxConcurrency": 1, "ItemsPath": "$.l", "ItemSelector": {"v.$": "$$.Map.Item.Value", "k.$": "$.k"}, "ItemProcessor": {"StartAt": "P", "States": {
		"P": {`+lambdaTask+`, "ResultPath": "$.r", "Next": "Q"}, "Q": {"Type": "Pass", "Parameters": {"all.$": "$", "again.$": "$$.Map.Item.Value"}, "End": true}}}, "End": true}`), `{"l": [1, 2], "k": 3}`)
	for i := range 2 {
		var y Execution
		for _, e := range s.log {
			y.Apply(e)
		}
		s.x = &y
		s.succeed(fmt.Sprint(i * 10))
	}
	s.wantOutput(`[{"all":{"v":1,"k":3,"r":0},"again":1},{"all":{"v":2,"k":3,"r":10},"again":2}]`)
}
