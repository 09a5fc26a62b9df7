package asl

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// state wraps one state, named S, in a definition that is otherwise right.
func state(body string) string {
	return `{"StartAt": "S", "States": {"S": ` + body + `, "T": {"Type": "Succeed"}, "U": {"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": true, "Next": "T"}], "Default": "S"}}}`
}

// lines renders findings, warnings marked.
func lines(findings []Finding) []string {
	var out []string
	for _, f := range findings {
		line := f.String()
		if f.Severity == SeverityWarning {
			line = "warning: " + line
		}
		out = append(out, line)
	}
	return out
}

func check(t *testing.T, definition string, want ...string) {
	t.Helper()
	program, findings := Parse([]byte(definition))
	got := lines(findings)
	if !slices.Equal(got, want) {
		t.Errorf("findings of %s:\n got %s\nwant %s", definition, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	if (program == nil) != Invalid(findings) {
		t.Errorf("program is nil: %v, findings say invalid: %v", program == nil, Invalid(findings))
	}
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		definition string
		want       []string
	}{
		"empty object":        {`{}`, []string{"SCHEMA_VALIDATION_FAILED: These fields are required: [States, StartAt] at /"}},
		"not an object":       {`[]`, []string{"SCHEMA_VALIDATION_FAILED: Expected value of type Object at /"}},
		"no states":           {`{"StartAt": "A", "States": {}}`, []string{"SCHEMA_VALIDATION_FAILED: Value cannot be empty at /States", "MISSING_TRANSITION_TARGET: Missing 'StartAt' target: A at /StartAt"}},
		"no StartAt":          {`{"States": {"A": {"Type": "Succeed"}}}`, []string{"SCHEMA_VALIDATION_FAILED: These fields are required: [StartAt] at /"}},
		"missing start state": {`{"StartAt": "B", "States": {"A": {"Type": "Succeed"}}}`, []string{"MISSING_TRANSITION_TARGET: Missing 'StartAt' target: B at /StartAt", `MISSING_TRANSITION_TARGET: State "A" is not reachable. at /States/A`}},
		"unknown field":       {`{"StartAt": "A", "Foo": 1, "States": {"A": {"Type": "Succeed"}}}`, []string{"SCHEMA_VALIDATION_FAILED: Field 'Foo' is not supported at /"}},
		"version":             {`{"StartAt": "A", "Version": "2.0", "States": {"A": {"Type": "Succeed"}}}`, []string{"SCHEMA_VALIDATION_FAILED: The field 'Version' should have one of these values: [1.0] at /Version"}},
		"TimeoutSeconds":      {`{"StartAt": "A", "TimeoutSeconds": 0, "States": {"A": {"Type": "Succeed"}}}`, []string{"SCHEMA_VALIDATION_FAILED: The value 0 is less than the minimum 1 at /TimeoutSeconds"}},
		"JSONata":             {`{"StartAt": "A", "QueryLanguage": "JSONata", "States": {"A": {"Type": "Succeed"}}}`, []string{"UNSUPPORTED_FEATURE: QueryLanguage 'JSONata' is not supported by this engine; write the state in JSONPath at /QueryLanguage"}},
		"JSONata state":       {`{"StartAt": "A", "States": {"A": {"Type": "Choice", "QueryLanguage": "JSONata", "Choices": [{"Condition": true, "Next": "B"}]}, "B": {"Type": "Succeed"}}}`, []string{"UNSUPPORTED_FEATURE: QueryLanguage 'JSONata' is not supported by this engine; write the state in JSONPath at /States/A/QueryLanguage"}},
		"state name with /":   {`{"StartAt": "A/B~", "States": {"A/B~": {"Type": "Pass"}}}`, []string{"SCHEMA_VALIDATION_FAILED: One of these fields is required: [Next, End] at /States/A~1B~0"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, c.definition, c.want...)
		})
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	const schema = "SCHEMA_VALIDATION_FAILED: "
	cases := map[string]struct {
		state string
		want  []string
	}{
		"Type missing":       {`{"Next": "U"}`, []string{schema + "These fields are required: [Type] at /States/S"}},
		"Type unknown":       {`{"Type": "Foo", "Next": "U"}`, []string{schema + "The field 'Type' should have one of these values: [Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map] at /States/S/Type"}},
		"Next and End":       {`{"Type": "Pass", "Next": "U", "End": true}`, []string{schema + "Only one of these fields is allowed: [Next, End] at /States/S"}},
		"Next missing":       {`{"Type": "Pass", "Next": "Nowhere"}`, []string{"MISSING_TRANSITION_TARGET: Missing 'Next' target: Nowhere at /States/S/Next"}},
		"Succeed with Next":  {`{"Type": "Succeed", "Next": "U"}`, []string{schema + "Field 'Next' is not supported at /States/S"}},
		"InputPath":          {`{"Type": "Pass", "Next": "U", "InputPath": "a.b"}`, []string{schema + "Value is not a valid JSONPath at /States/S/InputPath"}},
		"InputPath type":     {`{"Type": "Pass", "Next": "U", "InputPath": 1}`, []string{schema + "Expected value of type String at /States/S/InputPath"}},
		"ResultPath":         {`{"Type": "Pass", "Next": "U", "ResultPath": "$.a[*]"}`, []string{schema + "Value is not a Reference Path at /States/S/ResultPath"}},
		"Parameters":         {`{"Type": "Pass", "Next": "U", "Parameters": {"a.$": "nope"}}`, []string{schema + "The value for the field 'a.$' must be a valid JSONPath or a valid intrinsic function call at /States/S/Parameters"}},
		"Assign":             {`{"Type": "Pass", "Next": "U", "Assign": {"1x": 1}}`, []string{schema + "'1x' is not a valid variable name at /States/S/Assign"}},
		"Resource missing":   {`{"Type": "Task", "Next": "U"}`, []string{schema + "These fields are required: [Resource] at /States/S"}},
		"Resource":           {`{"Type": "Task", "Next": "U", "Resource": "x"}`, []string{schema + "The resource provided x is not recognized. The value is not a valid resource ARN, or the resource is not available in this region. at /States/S/Resource"}},
		"Heartbeat":          {`{"Type": "Task", "Next": "U", "Resource": "arn:aws:states:::sqs:sendMessage", "TimeoutSeconds": 5, "HeartbeatSeconds": 5}`, []string{schema + "The value of 'HeartbeatSeconds' should be smaller than that of 'TimeoutSeconds' at /States/S/HeartbeatSeconds"}},
		"Timeout twice":      {`{"Type": "Task", "Next": "U", "Resource": "arn:aws:states:::sqs:sendMessage", "TimeoutSeconds": 5, "TimeoutSecondsPath": "$.t"}`, []string{schema + "Only one of these fields is allowed: [TimeoutSeconds, TimeoutSecondsPath] at /States/S"}},
		"unbounded callback": {`{"Type": "Task", "Next": "U", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken"}`, []string{"warning: CALLBACK_WITHOUT_TIMEOUT: A task that waits for a task token and has neither TimeoutSeconds nor HeartbeatSeconds waits a year for a worker that was lost at /States/S"}},
		"Retry": {`{"Type": "Task", "Next": "U", "Resource": "arn:aws:states:::sqs:sendMessage", "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 0, "MaxAttempts": -1, "BackoffRate": 0.5, "JitterStrategy": "SOME"}, {"ErrorEquals": []}]}`, []string{
			schema + "'States.ALL' must appear alone and in the last entry at /States/S/Retry[0]/ErrorEquals",
			schema + "The value 0 is less than the minimum 1 at /States/S/Retry[0]/IntervalSeconds",
			schema + "The value -1 is less than the minimum 0 at /States/S/Retry[0]/MaxAttempts",
			schema + "The field 'BackoffRate' should be a number of at least 1.0 at /States/S/Retry[0]/BackoffRate",
			schema + "The field 'JitterStrategy' should have one of these values: [NONE, FULL] at /States/S/Retry[0]/JitterStrategy",
			schema + "Value cannot be empty at /States/S/Retry[1]/ErrorEquals",
		}},
		"Catch":           {`{"Type": "Task", "Next": "U", "Resource": "arn:aws:states:::sqs:sendMessage", "Catch": [{"ErrorEquals": ["States.Nope", 1], "Next": "Gone"}]}`, []string{"warning: UNKNOWN_ERROR_NAME: 'States.Nope' is not an error of the language, and names that start with 'States.' are reserved at /States/S/Catch[0]/ErrorEquals[0]", schema + "Expected value of type String at /States/S/Catch[0]/ErrorEquals[1]", "MISSING_TRANSITION_TARGET: Missing 'Next' target: Gone at /States/S/Catch[0]/Next"}},
		"Wait empty":      {`{"Type": "Wait", "Next": "U"}`, []string{schema + "One of these fields is required: [Seconds, Timestamp, SecondsPath, TimestampPath] at /States/S"}},
		"Wait twice":      {`{"Type": "Wait", "Next": "U", "Seconds": 1, "SecondsPath": "$.a"}`, []string{schema + "Only one of these fields is allowed: [Seconds, SecondsPath] at /States/S"}},
		"Wait timestamp":  {`{"Type": "Wait", "Next": "U", "Timestamp": "2020-01-01"}`, []string{schema + "String does not match RFC3339 timestamp at /States/S/Timestamp"}},
		"Choices empty":   {`{"Type": "Choice", "Choices": [], "Default": "U"}`, []string{schema + "Value cannot be empty at /States/S/Choices"}},
		"no operator":     {`{"Type": "Choice", "Choices": [{"Variable": "$", "Next": "U"}]}`, []string{schema + "A choice rule needs a comparison operator, or one of [And, Or, Not] at /States/S/Choices[0]"}},
		"two operators":   {`{"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": true, "IsString": true, "Next": "U"}]}`, []string{schema + "Only one of these fields is allowed: [IsNull, IsString] at /States/S/Choices[0]"}},
		"operand":         {`{"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": "1", "Next": "U"}]}`, []string{schema + "Expected value of type Number at /States/S/Choices[0]/NumericEquals"}},
		"nested Next":     {`{"Type": "Choice", "Choices": [{"Not": {"Variable": "$", "IsNull": true, "Next": "U"}, "Next": "U"}]}`, []string{schema + "Field 'Next' is not supported at /States/S/Choices[0]/Not"}},
		"Fail twice":      {`{"Type": "Fail", "Error": "E", "ErrorPath": "$.e"}`, []string{schema + "Only one of these fields is allowed: [Error, ErrorPath] at /States/S"}},
		"Branches empty":  {`{"Type": "Parallel", "Next": "U", "Branches": []}`, []string{schema + "Value cannot be empty at /States/S/Branches"}},
		"Branch":          {`{"Type": "Parallel", "Next": "U", "Branches": [{"StartAt": "X", "States": {"T": {"Type": "Pass", "End": true}}}]}`, []string{"MISSING_TRANSITION_TARGET: Missing 'StartAt' target: X at /States/S/Branches[0]/StartAt", `MISSING_TRANSITION_TARGET: State "T" is not reachable. at /States/S/Branches[0]/States/T`, "DUPLICATE_STATE_NAME: Duplicate State name: T at /States/T"}},
		"Map":             {`{"Type": "Map", "Next": "U"}`, []string{schema + "These fields are required: [ItemProcessor] at /States/S"}},
		"Map percentage":  {`{"Type": "Map", "Next": "U", "ToleratedFailurePercentage": 101, "ItemProcessor": {"StartAt": "X", "States": {"X": {"Type": "Pass", "End": true}}}}`, []string{schema + "The field 'ToleratedFailurePercentage' should be a number from 0 to 100 at /States/S/ToleratedFailurePercentage"}},
		"distributed Map": {`{"Type": "Map", "Next": "U", "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "X", "States": {"X": {"Type": "Pass", "End": true}}}}`, []string{"UNSUPPORTED_FEATURE: Distributed Map is not supported by this engine; use INLINE at /States/S/ItemProcessor/ProcessorConfig/Mode"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, findings := Parse([]byte(state(c.state)))
			got := lines(findings)
			// States that only the broken one leads to are out of reach then.
			got = slices.DeleteFunc(got, func(s string) bool {
				return strings.HasSuffix(s, "is not reachable. at /States/T") || strings.HasSuffix(s, "is not reachable. at /States/U")
			})
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
			}
		})
	}
}

// TestAllMistakesAreReported holds the parser to one finding per mistake.
func TestAllMistakesAreReported(t *testing.T) {
	t.Parallel()
	var states []string
	for i := range 40 {
		states = append(states, fmt.Sprintf(`"S%d": {"Type": "Pass", "Next": "S%d", "Mistake%d": true}`, i, (i+1)%40, i))
	}
	_, findings := Parse([]byte(`{"StartAt": "S0", "States": {` + strings.Join(states, ",") + `}}`))
	if len(findings) != 40 {
		t.Fatalf("%d findings for 40 mistakes", len(findings))
	}
	for i, f := range findings {
		if want := fmt.Sprintf("/States/S%d", i); f.Path != want {
			t.Errorf("finding %d is at %s, want %s", i, f.Path, want)
		}
	}
}

func TestHostileInputIsBounded(t *testing.T) {
	t.Parallel()
	many := strings.Repeat(`"x":1,`, 5000)
	var unknown strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&unknown, `"f%d":1,`, i)
	}
	cases := map[string]string{
		"ten megabytes":  `{"Comment": "` + strings.Repeat("x", 10<<20) + `"}`,
		"deep nesting":   `{"StartAt": "A", "States": ` + strings.Repeat(`{"A":`, 100000) + `1` + strings.Repeat(`}`, 100000) + `}`,
		"duplicate keys": `{` + many + `"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}`,
		"unknown fields": `{` + unknown.String() + `"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}`,
		"not JSON":       `{"StartAt": `,
		"empty":          ``,
	}
	for name, definition := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program, findings := Parse([]byte(definition))
			if program != nil || len(findings) == 0 || len(findings) > maxFindings {
				t.Errorf("program %v, %d findings", program != nil, len(findings))
			}
		})
	}
}

func TestProgramCarriesEveryField(t *testing.T) {
	t.Parallel()
	program, findings := Parse([]byte(`{
		"Comment": "c", "Version": "1.0", "TimeoutSeconds": 60, "StartAt": "Call",
		"States": {
			"Call": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "TimeoutSeconds": 900, "HeartbeatSecondsPath": "$.h",
				"InputPath": "$.in", "OutputPath": null, "ResultPath": null, "Parameters": {"a": 1}, "ResultSelector": {"b": 2}, "Assign": {"v": 1},
				"Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 2, "MaxAttempts": 5, "BackoffRate": 1.5, "MaxDelaySeconds": 30, "JitterStrategy": "FULL"}, {"ErrorEquals": ["States.ALL"]}],
				"Catch": [{"ErrorEquals": ["States.Timeout"], "ResultPath": "$.e", "Next": "Each"}], "Next": "Each"},
			"Each": {"Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": 3, "Iterator": {"StartAt": "One", "States": {"One": {"Type": "Fail", "Error": "E"}}}, "End": true}
		}}`))
	if len(findings) != 0 {
		t.Fatalf("findings: %v", findings)
	}
	call, each := program.States["Call"], program.States["Each"]
	first, second := call.Retry[0], call.Retry[1]
	facts := map[string]bool{
		"timeout":          program.Timeout == time.Minute && program.Comment == "c" && program.Version == "1.0",
		"order":            slices.Equal(program.Order, []string{"Call", "Each"}),
		"resource":         call.Resource.Service == "sqs" && call.Resource.Operation == "sendMessage" && call.Resource.Pattern == WaitForTaskToken,
		"bounds":           call.Timeout.Value == 900 && call.Timeout.Set && call.Heartbeat.Path != nil,
		"paths":            call.Input.Path != nil && call.Output.Discard && call.DiscardResult && call.ResultPath == nil,
		"templates":        call.Parameters != nil && call.ResultSelector != nil && call.Assign != nil,
		"retrier":          first.Interval == 2*time.Second && first.MaxAttempts == 5 && first.BackoffRate == 1.5 && first.MaxDelay == 30*time.Second && first.FullJitter,
		"retrier defaults": second.Interval == time.Second && second.MaxAttempts == 3 && second.BackoffRate == 2 && second.MaxDelay == 0 && !second.FullJitter,
		"catcher":          call.Catch[0].Next == "Each" && call.Catch[0].ResultPath != nil,
		"map":              each.Next == "" && each.Items != nil && each.MaxConcurrency.Value == 3 && each.Branches[0].States["One"].Kind == Fail,
	}
	for fact, holds := range facts {
		if !holds {
			t.Errorf("wrong: %s", fact)
		}
	}
	var walked []string
	program.Walk(func(s *State) { walked = append(walked, s.Path) })
	if want := []string{"/States/Call", "/States/Each", "/States/Each/Iterator/States/One"}; !slices.Equal(walked, want) {
		t.Errorf("walked %v, want %v", walked, want)
	}
}

func TestCheckExpress(t *testing.T) {
	t.Parallel()
	program, findings := Parse([]byte(`{"StartAt": "A", "States": {
		"A": {"Type": "Task", "Resource": "arn:aws:states:us-east-1:123456789012:activity:x", "Next": "B"},
		"B": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "TimeoutSeconds": 5, "Next": "C"},
		"C": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true}}}`))
	if len(findings) != 0 {
		t.Fatal(findings)
	}
	want := []string{
		"SCHEMA_VALIDATION_FAILED: Express state machine does not support Activity ARN at /States/A/Resource",
		"SCHEMA_VALIDATION_FAILED: Express state machine does not support '.waitForTaskToken' service integration  at /States/B/Resource",
	}
	if got := lines(CheckExpress(program)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestVariableReferences: by state, sorted, without those of inner states.
func TestVariableReferences(t *testing.T) {
	t.Parallel()
	program, findings := Parse([]byte(`{"StartAt": "A", "States": {
		"A": {"Type": "Pass", "Assign": {"x": "$no"}, "Result": {"a.$": "$no"}, "Next": "B"},
		"B": {"Type": "Pass", "InputPath": "$x.y", "Parameters": {"lit": "$no", "in": [{"a.$": "States.Format('$no {}', $f)"}]}, "Next": "C"},
		"C": {"Type": "Choice", "Choices": [{"And": [{"Variable": "$z", "NumericEqualsPath": "$y[0]"}], "Assign": {"w.$": "$x"}, "Next": "M"}]},
		"M": {"Type": "Map", "MaxConcurrencyPath": "$m", "ItemSelector": {"v.$": "$$.Map.Item.Value"}, "ItemProcessor": {"StartAt": "I", "States": {
			"I": {"Type": "Pass", "OutputPath": "$inner", "End": true}}}, "Catch": [{"ErrorEquals": ["States.ALL"], "Assign": {"e.$": "$c"}, "Next": "A"}], "End": true}}}`))
	if len(findings) != 0 {
		t.Fatal(findings)
	}
	want := map[string][]string{"B": {"f", "x"}, "C": {"x", "y", "z"}, "M": {"c", "m"}, "I": {"inner"}}
	if got := program.VariableReferences(); !maps.EqualFunc(got, want, slices.Equal[[]string]) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(state(`{"Type": "Pass", "Next": "U", "Parameters": {"a.$": "States.Format('{}', $.a)"}}`)))
	f.Add([]byte(state(`{"Type": "Choice", "Choices": [{"And": [{"Variable": "$.a", "StringMatches": "a*\\*"}], "Next": "T"}]}`)))
	f.Add([]byte(state(`{"Type": "Map", "ItemProcessor": {"StartAt": "X", "States": {"X": {"Type": "Wait", "Timestamp": "2020-01-01T00:00:00Z", "End": true}}}, "End": true}`)))
	f.Add([]byte(`{"StartAt": "A", "States": {"A": {"Type": "Task", "Retry": [{}], "Catch": [1]}}}`))
	f.Add([]byte(`{"States": []}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		program, findings := Parse(text)
		if (program == nil) != Invalid(findings) {
			t.Fatalf("program is nil: %v, findings %v", program == nil, findings)
		}
		if program != nil {
			program.Walk(func(s *State) {
				if s.Kind == 0 || s.Path == "" {
					t.Fatalf("state %+v in a valid program", s)
				}
			})
		}
	})
}
