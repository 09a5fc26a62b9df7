package condition_test

import (
	"testing"

	"callfleet/internal/localsfn/asl/condition"
	"callfleet/internal/localsfn/expr"
)

func path(t *testing.T, s string) *expr.Path {
	t.Helper()
	p, err := expr.CompilePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestComparisonOperators: "Choice State, Data-test expression".
func TestComparisonOperators(t *testing.T) {
	t.Parallel()
	cases := []struct {
		operator, variable, operand string
		want                        bool
	}{
		{"StringEquals", `"a"`, `"a"`, true}, {"StringEquals", `"a"`, `"b"`, false}, {"StringEquals", `1`, `"1"`, false},
		{"StringLessThan", `"a"`, `"b"`, true}, {"StringLessThan", `"b"`, `"b"`, false},
		{"StringGreaterThan", `"b"`, `"a"`, true}, {"StringGreaterThan", `"B"`, `"a"`, false},
		{"StringLessThanEquals", `"b"`, `"b"`, true}, {"StringLessThanEquals", `"c"`, `"b"`, false},
		{"StringGreaterThanEquals", `"b"`, `"b"`, true}, {"StringGreaterThanEquals", `"a"`, `"b"`, false},
		{"NumericEquals", `1`, `1.0`, true}, {"NumericEquals", `"1"`, `1`, false}, {"NumericEquals", `9007199254740993`, `9007199254740992`, false},
		{"NumericLessThan", `-1`, `0`, true}, {"NumericLessThan", `0.5`, `0.25`, false},
		{"NumericGreaterThan", `1e3`, `999`, true}, {"NumericGreaterThan", `null`, `0`, false},
		{"NumericLessThanEquals", `3`, `3`, true}, {"NumericGreaterThanEquals", `3`, `4`, false},
		{"BooleanEquals", `true`, `true`, true}, {"BooleanEquals", `false`, `true`, false}, {"BooleanEquals", `"true"`, `true`, false},
		{"TimestampEquals", `"2020-01-01T00:00:00Z"`, `"2020-01-01T01:00:00+01:00"`, true},
		{"TimestampLessThan", `"2020-01-01T00:00:00Z"`, `"2020-01-01T00:00:00.001Z"`, true},
		{"TimestampGreaterThan", `"2020-01-01"`, `"2019-01-01T00:00:00Z"`, false},
		{"TimestampLessThanEquals", `"2020-01-01T00:00:00Z"`, `"2020-01-01T00:00:00Z"`, true},
		{"TimestampGreaterThanEquals", `"2020-01-01T00:00:00Z"`, `"2021-01-01T00:00:00Z"`, false},
		{"StringMatches", `"log-2020.txt"`, `"log-*.txt"`, true}, {"StringMatches", `"log"`, `"log-*"`, false},
		{"StringMatches", `"a*b"`, `"a\\*b"`, true}, {"StringMatches", `"axb"`, `"a\\*b"`, false},
		{"StringMatches", `"abcbcd"`, `"a*bcd"`, true}, {"StringMatches", `""`, `"**"`, true},
		{"StringMatches", `"a\\b"`, `"a\\\\b"`, true}, {"StringMatches", `1`, `"*"`, false},
	}
	for _, c := range cases {
		t.Run(c.operator+" "+c.variable+" "+c.operand, func(t *testing.T) {
			t.Parallel()
			scope := &expr.Scope{Input: expr.Raw([]byte(`{"v":` + c.variable + `,"o":` + c.operand + `}`))}
			literal, problem := condition.Compare(c.operator, path(t, "$.v"), expr.Raw([]byte(c.operand)))
			if problem != "" {
				t.Fatal(problem)
			}
			if got, err := literal.Holds(scope); err != nil || got != c.want {
				t.Errorf("literal operand: %v, %v; want %v", got, err, c.want)
			}
			if got, err := condition.ComparePath(c.operator, path(t, "$.v"), path(t, "$.o")).Holds(scope); err != nil || got != c.want {
				t.Errorf("operand by path: %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestTypeTests(t *testing.T) {
	t.Parallel()
	const input = `{"null": null, "bool": false, "number": 0, "string": "x", "timestamp": "2020-01-01T00:00:00Z", "array": [], "object": {}}`
	kinds := map[string][]string{
		"IsNull": {"null"}, "IsBoolean": {"bool"}, "IsNumeric": {"number"}, "IsString": {"string", "timestamp"},
		"IsTimestamp": {"timestamp"}, "IsPresent": {"null", "bool", "number", "string", "timestamp", "array", "object"},
	}
	scope := &expr.Scope{Input: expr.Raw([]byte(input))}
	for operator, holding := range kinds {
		for _, m := range scope.Input.Members() {
			want := false
			for _, h := range holding {
				want = want || h == m.Key
			}
			for _, operand := range []bool{true, false} {
				got, err := condition.Test(operator, path(t, "$."+m.Key), operand).Holds(scope)
				if err != nil || got != (want == operand) {
					t.Errorf("%s %v of %s: %v, %v", operator, operand, m.Key, got, err)
				}
			}
		}
	}
	if got, err := condition.Test("IsPresent", path(t, "$.missing"), false).Holds(scope); err != nil || !got {
		t.Errorf("IsPresent false of a missing field: %v, %v", got, err)
	}
	if _, err := condition.Test("IsNull", path(t, "$.missing"), true).Holds(scope); err == nil {
		t.Error("IsNull of a missing field is no error")
	}
}

func TestCombinations(t *testing.T) {
	t.Parallel()
	yes := condition.Test("IsNull", path(t, "$.n"), true)
	no := condition.Not(yes)
	broken := condition.Test("IsNull", path(t, "$.missing"), true)
	scope := &expr.Scope{Input: expr.Raw([]byte(`{"n": null}`))}
	cases := map[string]struct {
		c          condition.Condition
		want, fail bool
	}{
		"all":                {condition.All([]condition.Condition{yes, yes}), true, false},
		"all but one":        {condition.All([]condition.Condition{yes, no, broken}), false, false},
		"any":                {condition.Any([]condition.Condition{no, yes, broken}), true, false},
		"none":               {condition.Any([]condition.Condition{no, no}), false, false},
		"failure in And":     {condition.All([]condition.Condition{yes, broken}), false, true},
		"failure inside Not": {condition.Not(broken), false, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := c.c.Holds(scope); got != c.want || (err != nil) != c.fail {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestIsOperator(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"StringEquals", "StringEqualsPath", "NumericLessThanEqualsPath", "BooleanEqualsPath", "TimestampGreaterThan", "StringMatches", "IsPresent"} {
		if !condition.IsOperator(name) {
			t.Errorf("%s is no operator", name)
		}
	}
	for _, name := range []string{"", "String", "StringMatchesPath", "BooleanLessThan", "Next", "Variable", "And", "IsPresentPath", "NumericEqualsPathPath"} {
		if condition.IsOperator(name) {
			t.Errorf("%s is an operator", name)
		}
	}
}

func TestParseTimestamp(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"2016-03-14T01:59:00Z": true, "2016-03-14T01:59:00.123456789Z": true, "2016-03-14T01:59:00+02:00": true, "2016-03-14T01:59Z": true,
		"2016-03-14": false, "2016-03-14 01:59:00Z": false, "2016-03-14t01:59:00z": false, "2016-13-14T01:59:00Z": false, "2016-03-14T25:59:00Z": false, "2016-03-14T01:59:00": false, "": false,
	} {
		if _, ok := condition.ParseTimestamp(text); ok != want {
			t.Errorf("%q: %v", text, ok)
		}
	}
}
