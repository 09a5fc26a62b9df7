package machine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"callfleet/internal/localsfn/history"
)

// TestDataFlow: "Input and output processing", on the state that does nothing else.
func TestDataFlow(t *testing.T) {
	t.Parallel()
	const input = `{"a": {"b": 1}, "c": [1, 2]}`
	cases := map[string]struct{ state, want string }{
		"nothing":                        {`"Comment": ""`, input},
		"InputPath":                      {`"InputPath": "$.a"`, `{"b": 1}`},
		"InputPath null":                 {`"InputPath": null`, `{}`},
		"OutputPath":                     {`"OutputPath": "$.c[1]"`, `2`},
		"OutputPath null":                {`"OutputPath": null`, `{}`},
		"Result":                         {`"Result": {"x.$": "$.a"}`, `{"x.$":"$.a"}`},
		"ResultPath":                     {`"Result": 7, "ResultPath": "$.a.d"`, `{"a":{"b":1,"d":7},"c":[1, 2]}`},
		"ResultPath null":                {`"Result": 7, "ResultPath": null`, input},
		"Parameters":                     {`"Parameters": {"x.$": "$.a.b", "y": "$.a.b"}`, `{"x":1,"y":"$.a.b"}`},
		"Parameters after InputPath":     {`"InputPath": "$.a", "Parameters": {"x.$": "$.b"}`, `{"x":1}`},
		"ResultPath is of the raw input": {`"InputPath": "$.a", "ResultPath": "$.r"`, `{"a":{"b": 1},"c":[1, 2],"r":{"b": 1}}`},
		"OutputPath after ResultPath":    {`"Result": 7, "ResultPath": "$.r", "OutputPath": "$.r"`, `7`},
		"intrinsic":                      {`"Parameters": {"x.$": "States.ArrayLength($.c)"}`, `{"x":2}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t, lone(`{"Type": "Pass", `+c.state+`, "End": true}`), input)
			if got := compacted(string(s.x.Output().JSON())); s.x.Status() != Succeeded || got != compacted(c.want) {
				t.Errorf("%s with output %s, want %s", s.x.Status(), got, c.want)
			}
		})
	}
}

func compacted(s string) string { return strings.ReplaceAll(s, " ", "") }

// TestRawTextPassesThrough: an input nobody changes keeps its text.
func TestRawTextPassesThrough(t *testing.T) {
	t.Parallel()
	begin(t, lone(`{"Type": "Pass", "End": true}`), `[1,  2.0, 3e2]`).wantOutput(`[1,  2.0, 3e2]`)
}

// TestVariables: "Assign" and "$name".
func TestVariables(t *testing.T) {
	t.Parallel()
	s := begin(t, `{"StartAt": "A", "States": {
		"A": {"Type": "Pass", "Result": {"n": 5}, "Assign": {"x.$": "$.n", "y": {"z": [1]}}, "Next": "B"},
		"B": {"Type": "Pass", "Assign": {"x": 6, "old.$": "$x"}, "Parameters": {"x.$": "$x", "z.$": "$y.z[0]"}, "Next": "C"},
		"C": {"Type": "Choice", "Choices": [{"Variable": "$x", "NumericEquals": 6, "Assign": {"chosen": true}, "Next": "D"}]},
		"D": {"Type": "Pass", "Parameters": {"x.$": "$x", "old.$": "$old", "chosen.$": "$chosen", "b.$": "$"}, "End": true}}}`, `{}`)
	s.wantOutput(`{"x":6,"old":5,"chosen":true,"b":{"x":5,"z":1}}`)
}

func TestVariablesOfBranchesStayInside(t *testing.T) {
	t.Parallel()
	s := begin(t, `{"StartAt": "A", "States": {
		"A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "P"},
		"P": {"Type": "Parallel", "Next": "Z", "Branches": [
			{"StartAt": "B1", "States": {"B1": {"Type": "Pass", "Assign": {"inner.$": "$x"}, "Next": "B2"}, "B2": {"Type": "Pass", "Parameters": {"v.$": "$inner"}, "End": true}}}]},
		"Z": {"Type": "Pass", "Parameters": {"v.$": "$inner"}, "End": true}}}`, `{}`)
	s.wantFailure("States.Runtime", "*")
	if out := s.history(); !strings.Contains(out, `"{\"v\":1}"`) {
		t.Errorf("the branch did not see the variable outside it:\n%s", out)
	}
}

func TestChoice(t *testing.T) {
	t.Parallel()
	definition := func(fallback string) string {
		return `{"StartAt": "C", "States": {
		"C": {"Type": "Choice", "Choices": [
			{"Variable": "$.n", "NumericEquals": 1, "Next": "One"},
			{"And": [{"Variable": "$.n", "NumericGreaterThan": 1}, {"Not": {"Variable": "$.n", "NumericGreaterThan": 2}}], "Next": "Two"}]` + fallback + `},
		"One": {"Type": "Pass", "Result": "one", "End": true}, "Two": {"Type": "Pass", "Result": "two", "End": true}, "Other": {"Type": "Pass", "Result": "other", "End": true},
		"Unused": {"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": true, "Next": "Other"}], "Default": "Unused"}}}`
	}
	begin(t, definition(""), `{"n": 1}`).wantOutput(`"one"`)
	begin(t, definition(""), `{"n": 2}`).wantOutput(`"two"`)
	begin(t, definition(`, "Default": "Other"`), `{"n": 3}`).wantOutput(`"other"`)
	begin(t, definition(`, "Default": "Other"`), `{"n": "1"}`).wantOutput(`"other"`)
	begin(t, definition(""), `{"n": 3}`).wantFailure("States.NoChoiceMatched",
		"An error occurred while executing the state 'C' (entered at the event id #2). Failed to transition out of the state. The state does not point to a next state.")
	begin(t, definition(""), `{}`).wantFailure("States.Runtime",
		"An error occurred while executing the state 'C' (entered at the event id #2). Invalid path '$.n': The choice state's condition path references an invalid value.")
}

func TestSucceedAndFail(t *testing.T) {
	t.Parallel()
	begin(t, lone(`{"Type": "Succeed", "InputPath": "$.a"}`), `{"a": 1}`).wantOutput(`1`)
	begin(t, lone(`{"Type": "Fail", "Error": "E", "Cause": "C"}`), `{}`).wantFailure("E", "C")
	begin(t, lone(`{"Type": "Fail"}`), `{}`).wantFailure("<none>", "<none>")
	begin(t, lone(`{"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('{}!', $.c)"}`), `{"e": "E", "c": "C"}`).wantFailure("E", "C!")
	begin(t, lone(`{"Type": "Fail", "ErrorPath": "$.e"}`), `{}`).wantFailure("States.Runtime",
		"An error occurred while executing the state 'S' (entered at the event id #2). The JSONPath '$.e' specified for the field 'ErrorPath' could not be found in the input '{}'")
	begin(t, lone(`{"Type": "Fail", "CausePath": "$.c"}`), `{"c": 1}`).wantFailure("States.Runtime", "*")
}

func TestWait(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		state, input string
		want         time.Duration
	}{
		"Seconds":          {`"Seconds": 90`, `{}`, 90 * time.Second},
		"Seconds 0":        {`"Seconds": 0`, `{}`, 0},
		"SecondsPath":      {`"SecondsPath": "$.s"`, `{"s": 3}`, 3 * time.Second},
		"Timestamp":        {`"Timestamp": "2026-01-02T03:05:05Z"`, `{}`, time.Minute},
		"TimestampPath":    {`"TimestampPath": "$.t"`, `{"t": "2026-01-02T05:04:05.250+02:00"}`, 250 * time.Millisecond},
		"Timestamp passed": {`"Timestamp": "2020-01-01T00:00:00Z"`, `{}`, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t, lone(`{"Type": "Wait", `+c.state+`, "End": true}`), c.input)
			if c.want > 0 {
				if at, ok := s.x.NextDeadline(); !ok || at.Sub(epoch) != c.want {
					t.Fatalf("waits until %v, want %v after the start", at, c.want)
				}
				s.now = epoch.Add(c.want - time.Millisecond)
				if events := s.decide(Tick{}); len(events) != 0 {
					t.Fatalf("%d events before the time", len(events))
				}
				s.tick()
			}
			s.wantOutput(c.input)
		})
	}
}

func TestWaitRefuses(t *testing.T) {
	t.Parallel()
	const prefix = "An error occurred while executing the state 'S' (entered at the event id #2). "
	cases := []struct{ state, input, cause string }{
		{`"SecondsPath": "$.s"`, `{"s": -1}`, "The SecondsPath parameter references a negative value: $.s == -1"},
		{`"SecondsPath": "$.s"`, `{"s": 1.5}`, "The SecondsPath parameter cannot be parsed as a long value: $.s == 1.5"},
		{`"SecondsPath": "$.s"`, `{}`, "The SecondsPath parameter does not reference an input value: $.s"},
		{`"SecondsPath": "$.s"`, `{"s": 100000000}`, "Wait state delay is too long."},
		{`"TimestampPath": "$.t"`, `{"t": "2026-01-02"}`, "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: $.t == 2026-01-02"},
		{`"TimestampPath": "$.t"`, `{"t": "2926-01-02T00:00:00Z"}`, "Wait state delay is too long."},
	}
	for _, c := range cases {
		t.Run(c.state+c.input, func(t *testing.T) {
			t.Parallel()
			begin(t, lone(`{"Type": "Wait", `+c.state+`, "End": true}`), c.input).wantFailure("States.Runtime", prefix+c.cause)
		})
	}
}

// TestContextObject: "The Context Object", with AWS's order of keys.
func TestContextObject(t *testing.T) {
	t.Parallel()
	begin(t, lone(`{"Type": "Pass", "Parameters": {"c.$": "$$"}, "End": true}`), `{"in": 1}`).wantOutput(
		`{"c":{"Execution":{"Id":"arn:aws:states:us-east-1:123456789012:execution:call-api:run-1","Input":{"in": 1},"StartTime":"2026-01-02T03:04:05.000Z","Name":"run-1",` +
			`"RoleArn":"arn:aws:iam::123456789012:role/r","RedriveCount":0},"StateMachine":{"Id":"arn:aws:states:us-east-1:123456789012:stateMachine:call-api","Name":"call-api"},` +
			`"State":{"Name":"S","EnteredTime":"2026-01-02T03:04:05.000Z"}}}`)
	begin(t, lone(`{"Type": "Map", "ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "in.$": "$"}, "ItemProcessor": {"StartAt": "P", "States": {
		"P": {"Type": "Pass", "Parameters": {"sel.$": "$", "v.$": "$$.Map.Item.Value"}, "End": true}}}, "End": true}`), `["a"]`).wantOutput(
		`[{"sel":{"i":0,"v":"a","in":["a"]},"v":"a"}]`)
}

func TestRuntimeErrorsAreNotCaught(t *testing.T) {
	t.Parallel()
	s := begin(t, `{"StartAt": "P", "States": {"P": {"Type": "Parallel", "End": true, "OutputPath": "$.nope",
		"Retry": [{"ErrorEquals": ["States.ALL"]}], "Catch": [{"ErrorEquals": ["States.Runtime"], "Next": "Caught"}, {"ErrorEquals": ["States.ALL"], "Next": "Caught"}],
		"Branches": [{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}]}, "Caught": {"Type": "Succeed"}}}`, `{}`)
	s.wantFailure("States.Runtime", "*")
}

// TestDataLimit: 256 KiB for what a state hands on.
func TestDataLimit(t *testing.T) {
	t.Parallel()
	fits := `"` + strings.Repeat("x", maxData-2) + `"`
	begin(t, lone(`{"Type": "Pass", "End": true}`), fits).wantOutput(fits)
	begin(t, lone(`{"Type": "Pass", "Parameters": {"a.$": "$"}, "End": true}`), fits).wantFailure("States.DataLimitExceeded",
		"The state/task 'S' returned a result with a size exceeding the maximum number of bytes service limit.")
}

// TestEventQuota: 25,000 events end an execution.
func TestEventQuota(t *testing.T) {
	t.Parallel()
	s := begin(t, `{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}}}`, `{}`)
	s.wantFailure("States.Runtime", "The execution reached the maximum number of history events (25000).")
	if s.x.LastID() != maxEvents {
		t.Errorf("%d events, want %d", s.x.LastID(), maxEvents)
	}
}

// TestDecisionsAreBounded: what does not fit into one record is continued.
func TestDecisionsAreBounded(t *testing.T) {
	t.Parallel()
	large := `"` + strings.Repeat("x", 200<<10) + `"`
	var states []string
	for i := range 10 {
		states = append(states, fmt.Sprintf(`"S%d": {"Type": "Pass", "Next": "S%d"}`, i, i+1))
	}
	definition := `{"StartAt": "S0", "States": {` + strings.Join(states, ",") + `, "S10": {"Type": "Succeed"}}}`
	s := begin(t, definition, large)
	s.wantOutput(large)
	if len(s.records) < 4 {
		t.Errorf("%d decisions for %d events of 200 KiB", len(s.records), len(s.log))
	}
	loop := begin(t, `{"StartAt": "M", "States": {"M": {"Type": "Map", "ItemProcessor": {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}, "End": true}}}`,
		"["+strings.Repeat("1,", 999)+"1]")
	if loop.x.Status() != Succeeded {
		t.Fatal(loop.x.Status())
	}
	for _, record := range loop.records {
		events, err := history.Decode(record)
		if err != nil || len(events) > maxDecisionEvents+10 {
			t.Errorf("%d events in a decision, %v", len(events), err)
		}
	}
}
