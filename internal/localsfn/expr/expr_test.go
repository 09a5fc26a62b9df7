package expr

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// counter is a source of randomness that a test can predict.
type counter uint64

func (c *counter) Uint64() uint64 {
	*c++
	return uint64(*c) * 0x9E3779B97F4A7C15
}

func parse(t testing.TB, text string) Value {
	t.Helper()
	v, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	return v
}

func newScope(t testing.TB, input string) *Scope {
	t.Helper()
	variables := map[string]Value{"name": String("Ann"), "list": parse(t, "[3, 4]"), "größe_2": Int(5)}
	context := parse(t, `{"Execution":{"Name":"run-1","Input":{"x": 1}},"StateMachine":{"Id":"arn","Name":"m"}}`)
	return &Scope{
		Input:   parse(t, input),
		Context: func() Value { return context },
		Var:     func(name string) (Value, bool) { v, ok := variables[name]; return v, ok },
		Rand:    new(counter),
	}
}

func evalExpr(t testing.TB, scope *Scope, text string) (Value, error) {
	t.Helper()
	e, err := CompileExpr(text)
	if err != nil {
		t.Fatal(err)
	}
	return e.Eval(scope)
}

// checkError compares an error with "Name: message".
func checkError(t *testing.T, what string, err error, want string) {
	t.Helper()
	var failure *Error
	if !errors.As(err, &failure) {
		t.Errorf("%s: error is %v, want an *Error", what, err)
		return
	}
	if got := failure.Name + ": " + failure.Message; got != want {
		t.Errorf("%s fails with\n%s, want\n%s", what, got, want)
	}
}

func TestIntrinsicFunctions(t *testing.T) {
	t.Parallel()
	scope := newScope(t, `{"a": [1, 2, 2, 3], "s": "Hello, World", "o": {"Arg1": 1, "Arg2": []}, "n": null, "f": 1.1, "i": 2, "t": true,
		"mixed": [null, null, true, 1, 1.0, 1.1, "x", "x", [], [], {"a": 1, "b": 2}, {"b":2,"a":1}], "json": "{\"k\": [1, 2]}", "tpl": "<{}|{}>", "b64": "SGVsbG8"}`)
	for text, want := range map[string]string{
		"States.Array()": "[]",
		"States.Array($.i, 'x', true, null, -1.5, $)": "[2,\"x\",true,null,-1.5," + scope.Input.String() + "]",
		"States.Array( $.i ,\n1 )":                    "[2,1]",
		"States.ArrayPartition($.a, 3)":               "[[1,2,2],[3]]",
		"States.ArrayPartition($.a, 9)":               "[[1,2,2,3]]",
		"States.ArrayPartition(States.Array(), 1)":    "[]",
		"States.ArrayContains($.a, 3)":                "true",
		"States.ArrayContains($.a, '3')":              "false",
		"States.ArrayContains($.mixed, $.n)":          "true",
		"States.ArrayRange(0, 9, 3)":                  "[0,3,6,9]",
		"States.ArrayRange(0, 10, 3)":                 "[0,3,6,9]",
		"States.ArrayRange(1, 9, 9)":                  "[1]",
		"States.ArrayRange(3, 1, -1)":                 "[3,2,1]",
		"States.ArrayRange(3, 1, 1)":                  "[]",
		"States.ArrayRange(0.5, 2.4, 1)":              "[1,2]",
		"States.ArrayGetItem($.a, 3)":                 "3",
		"States.ArrayLength($.mixed)":                 "12",
		"States.ArrayUnique($.a)":                     "[1,2,3]",
		"States.ArrayUnique($.mixed)":                 `[null,true,1,1.1,"x",[],{"a":1,"b":2}]`,
		"States.Base64Encode('Hellö')":                `"SGVsbMO2"`,
		"States.Base64Decode('SGVsbG8=')":             `"Hello"`,
		"States.Base64Decode($.b64)":                  `"Hello"`,
		"States.Base64Decode('')":                     `""`,
		"States.Hash('input data', 'MD5')":            `"812f45842bc6d66ee14572ce20db8e86"`,
		"States.Hash('input data', 'SHA-1')":          `"aaff4a450a104cd177d28d18d74485e8cae074b7"`,
		"States.JsonMerge($.o, States.StringToJson('\\{\"Arg2\": 2, \"z\": [ ]\\}'), false)": `{"Arg1":1,"Arg2":2,"z":[]}`,
		"States.StringToJson($.json)":                                        `{"k":[1,2]}`,
		"States.StringToJson('')":                                            "null",
		"States.StringToJson(' ')":                                           "null",
		"States.StringToJson('-0')":                                          "0",
		"States.StringToJson('1.10')":                                        "1.10",
		"States.JsonToString($.o)":                                           `"{\"Arg1\":1,\"Arg2\":[]}"`,
		"States.JsonToString($.s)":                                           `"\"Hello, World\""`,
		"States.JsonToString($.n)":                                           `"null"`,
		"States.MathAdd(1.49, 1.5)":                                          "3",
		"States.MathAdd(-1.5, 0)":                                            "-1",
		"States.MathAdd(-1.51, 0)":                                           "-2",
		"States.MathAdd(-0.5, 0.5)":                                          "1",
		"States.MathAdd(2147483647, 1)":                                      "2147483648",
		"States.MathRandom(5, 6)":                                            "5",
		"States.MathRandom(-3.2, -2, 7)":                                     "-3",
		"States.StringSplit($.s, ', ')":                                      `["Hello","World"]`,
		"States.StringSplit(',,,', ',')":                                     "[]",
		"States.StringSplit('abc', '')":                                      `["abc"]`,
		"States.StringSplit('a\nb', '\n')":                                   `["a","b"]`,
		"States.StringSplit('äxö', 'x')":                                     `["ä","ö"]`,
		"States.Format('plain')":                                             `"plain"`,
		"States.Format('{} {}', $.f, $.n)":                                   `"1.1 null"`,
		"States.Format('{}', $.o)":                                           `"{Arg1=1, Arg2=[]}"`,
		"States.Format('{}{}', $.t, $.s)":                                    `"trueHello, World"`,
		"States.Format($.tpl, 1, 'b')":                                       `"<1|b>"`,
		`States.Format('\{\}\'\\{}', 1)`:                                     `"{}'\\1"`,
		`States.Format('{}', '\'\{\}\\')`:                                    `"'{}\\"`,
		"States.Format('{}', 'a,b)')":                                        `"a,b)"`,
		"States.Format('{}', $['s'])":                                        `"Hello, World"`,
		"States.Format('{}', $.a[?(@ > 2)])":                                 `"[3]"`,
		"States.Format('{}', $.a.length())":                                  `"4"`,
		"States.Format('{}-{}', $$.Execution.Name, $name)":                   `"run-1-Ann"`,
		"States.MathAdd(States.MathAdd($list[0], $list[1]), $größe_2)":       "12",
		"States.ArrayGetItem(States.StringSplit($$.Execution.Name, '-'), 0)": `"run"`,
		" States.UUID() ":                                                    `"157c4a7f-b979-479e-aaf8-94fe72f3fb3c"`,
	} {
		got, err := evalExpr(t, scope, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if strings.Contains(text, "UUID") {
			if !regexp.MustCompile(`^"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"$`).MatchString(got.String()) {
				t.Errorf("%s = %s", text, got)
			}
			continue
		}
		if got.String() != want {
			t.Errorf("%s = %s, want %s", text, got, want)
		}
	}
}

func TestIntrinsicFailures(t *testing.T) {
	t.Parallel()
	scope := newScope(t, `{"a": [1], "s": "text", "one": 1}`)
	for text, want := range map[string]string{
		"States.ArrayGetItem($.a, 1)":                   "index 1 is out of bounds for an array of length 1",
		"States.ArrayGetItem($.a, -1)":                  "index -1 is out of bounds for an array of length 1",
		"States.ArrayLength($.s)":                       "argument 1 must be of type array but is string",
		"States.ArrayUnique($.s)":                       "argument 1 must be of type array but is string",
		"States.ArrayContains($.s, 1)":                  "argument 1 must be of type array but is string",
		"States.ArrayPartition($.a, 0)":                 "argument 2 must be a positive integer",
		"States.ArrayRange(1, 5, 0)":                    "argument 3 must not be 0",
		"States.ArrayRange(1, 1000, 1)":                 "",
		"States.ArrayRange(0, 1000, 1)":                 "the range must have no more than 1000 items",
		"States.ArrayRange(-2147483648, 2147483647, 1)": "the range must have no more than 1000 items",
		"States.MathAdd(1, '1')":                        "argument 2 must be of type number but is string",
		"States.MathAdd(1e300, 1)":                      "argument 1 must be between -2147483648 and 2147483647",
		"States.MathAdd(1, 2147483648)":                 "argument 2 must be between -2147483648 and 2147483647",
		"States.MathRandom(2, 2)":                       "argument 1 must be less than argument 2",
		"States.Hash('x', 'MD4')":                       "argument 2 must be one of MD5, SHA-1, SHA-256, SHA-384, SHA-512 but is 'MD4'",
		"States.Base64Encode($.one)":                    "argument 1 must be of type string but is number",
		"States.Base64Decode('***')":                    "argument 1 is not valid Base64",
		"States.StringToJson('[1,')":                    "argument 1 is not valid JSON: unexpected end at offset 3",
		"States.JsonMerge($, $, true)":                  "argument 3 must be false: deep merging is not supported",
		"States.JsonMerge($, $.a, false)":               "argument 2 must be of type object but is array",
		"States.Format('{} {}', 1)":                     "the number of placeholders is 2 but the number of arguments is 1",
		"States.Format('', 1)":                          "the number of placeholders is 0 but the number of arguments is 1",
		"States.StringSplit($.s, 1)":                    "argument 2 must be of type string but is number",
		"States.Array(States.MathAdd('', 1))":           "argument 1 must be of type number but is string",
	} {
		_, err := evalExpr(t, scope, text)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		checkError(t, text, err, "States.IntrinsicFailure: The function '"+text+"' had the following error: "+want)
	}
}

func TestIntrinsicMissingArgument(t *testing.T) {
	t.Parallel()
	scope := newScope(t, `{"other": 1, "a": [1]}`)
	for _, path := range []string{"$.nope", "$.a[5]", "$$.Nope", "$nope", "$name.x"} {
		text := "States.Format('{}', States.Format('{}', " + path + "))"
		_, err := evalExpr(t, scope, text)
		checkError(t, text, err, "States.Runtime: The function '"+text+"' had the following error: The JsonPath argument for the field '"+
			path+"' could not be found in the input '"+scope.Input.String()+"'")
	}
	got, err := evalExpr(t, scope, "States.Array($.nope[*])")
	if err != nil || got.String() != "[[]]" {
		t.Errorf("a list of nothing is %s, %v", got, err)
	}
}

func TestIntrinsicOutputIsBounded(t *testing.T) {
	t.Parallel()
	scope := newScope(t, `{"s":"`+strings.Repeat(`\u0001`, 40_000)+`"}`)
	for _, text := range []string{
		"States.Format('" + strings.Repeat("{}", 200) + "'" + strings.Repeat(",$.s", 200) + ")",
		"States.Array(" + strings.Repeat("$.s,", 200) + "$.s)",
		strings.Repeat("States.JsonToString(", 8) + "$.s" + strings.Repeat(")", 8),
	} {
		_, err := evalExpr(t, scope, text)
		var failure *Error
		if !errors.As(err, &failure) || failure.Name != DataLimitExceeded {
			t.Errorf("%.30s: %.80v, want %s", text, err, DataLimitExceeded)
		}
	}
	if _, err := evalExpr(t, scope, "States.Base64Encode($.s)"); err == nil {
		t.Error("encodes more than 10,000 characters")
	}
}

func TestCompileExprRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "plain", "'literal'", "1", "States", "States.", "States.Nope()", "States.Format", "States.Format(", "States.Format('a'", "States.Format('a',)", "States.Format(,)", "States.Format('a') x",
		"States.Format()", "States.UUID(1)", "States.MathAdd(1)", "States.MathAdd(1,2,3)", "States.MathRandom(1,2,3,4)", "States.Hash('a')", "states.UUID()",
		`States.Format('\"')`, `States.StringToJson('{"text":"An \"escaped\" quote"}')`, `States.Format('\`, `States.Format('a\n')`, "States.Format('a)", "States.Array([1])", "States.Array({})", `States.Array("x")`, "States.Array(nope)", "States.Array(01)",
		"States.Array($.a b)", "States.Array($.)", "States.Array($[)", "$.", "$.a b", " $.a",
		strings.Repeat("States.Array(", maxCalls+1) + strings.Repeat(")", maxCalls+1), strings.Repeat("States.Array(", 100_000),
	} {
		if e, err := CompileExpr(text); err == nil {
			t.Errorf("CompileExpr(%.40q) = %v", text, e)
		}
	}
	if _, err := CompileExpr(strings.Repeat("States.Array(", maxCalls) + strings.Repeat(")", maxCalls)); err != nil {
		t.Errorf("%d nested calls: %v", maxCalls, err)
	}
}

func TestRandomnessIsTheScopes(t *testing.T) {
	t.Parallel()
	eval := func(text string) string {
		scope := newScope(t, "{}")
		out := ""
		for range 3 {
			v, err := evalExpr(t, scope, text)
			if err != nil {
				t.Fatal(err)
			}
			out += v.String() + " "
		}
		return out
	}
	for _, text := range []string{"States.UUID()", "States.MathRandom(0, 1000000)", "States.MathRandom(0, 1000000, 4)"} {
		first, second := eval(text), eval(text)
		if first != second {
			t.Errorf("%s gives %s, then %s", text, first, second)
		}
	}
	if got := strings.Fields(eval("States.UUID()")); got[0] == got[1] {
		t.Error("two UUIDs are the same")
	}
	if got := strings.Fields(eval("States.MathRandom(0, 1000000, 4)")); got[0] != got[1] {
		t.Error("one seed gives two numbers")
	}
	for _, text := range []string{"States.UUID()", "States.MathRandom(1, 9)"} {
		if _, err := evalExpr(t, &Scope{}, text); err == nil {
			t.Errorf("%s succeeds without a source", text)
		}
	}
}

func TestEvalField(t *testing.T) {
	t.Parallel()
	scope := newScope(t, `{"Error": "x"}`)
	e, err := CompileExpr("$.Nope")
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.EvalField(scope, "CausePath")
	checkError(t, "CausePath", err, `States.Runtime: The JSONPath '$.Nope' specified for the field 'CausePath' could not be found in the input '{"Error": "x"}'`)
}

func ExampleExpr() {
	e, err := CompileExpr("States.Format('{} has {} items', $.user.name, States.ArrayLength($.items))")
	if err != nil {
		fmt.Println(err)
		return
	}
	input, err := Parse([]byte(`{"user": {"name": "Ann"}, "items": [1, 2, 3]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := e.Eval(&Scope{Input: input})
	fmt.Println(v, err)
	// Output: "Ann has 3 items" <nil>
}
