package expr

import (
	"errors"
	"strings"
	"testing"
)

func compileTemplate(t testing.TB, text string) *Template {
	t.Helper()
	template, problems := CompileTemplate(parse(t, text))
	if problems != nil {
		t.Fatalf("compile %s: %v", text, problems)
	}
	return template
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	scope := newScope(t, `{"a": {"b": 1}, "list": [1, 2]}`)
	for text, want := range map[string]string{
		`{}`:                                     `{}`,
		`[ ]`:                                    `[]`,
		`"$.a"`:                                  `"$.a"`,
		` { "x" : [ 1 , "\u0041" ] } `:           `{"x":[1,"A"]}`,
		`{"x.$": "$.a.b"}`:                       `{"x":1}`,
		`{"z.$": "$.a", "y": 2, "x.$": "$name"}`: `{"z":{"b":1},"y":2,"x":"Ann"}`,
		`{"deep": {"er": [{"x.$": "$.list[0]"}, "$.a", {"y": "$.a"}]}}`: `{"deep":{"er":[{"x":1},"$.a",{"y":"$.a"}]}}`,
		`{"q\"\n.$": "States.Format('{}', 1)"}`:                         `{"q\"\n":"1"}`,
		`{"whole.$": "$", "ctx.$": "$$.Execution.Input"}`:               `{"whole":` + scope.Input.String() + `,"ctx":{"x":1}}`,
		`{"none.$": "$.none[*]"}`:                                       `{"none":[]}`,
		`{".$": "$.a.b"}`:                                               `{"":1}`,
		`{"$": "$.a"}`:                                                  `{"$":"$.a"}`,
		// AWS reads past the end of an array as null in a field of a template.
		`{"past.$": "$.list[2]"}`: `{"past":null}`,
	} {
		got, err := compileTemplate(t, text).Eval(scope)
		if err != nil || got.String() != want {
			t.Errorf("%s = %s, %v, want %s", text, got, err, want)
			continue
		}
		parse(t, got.String())
	}
}

func TestTemplateErrors(t *testing.T) {
	t.Parallel()
	scope := newScope(t, `{"a": {"b": 1}, "list": []}`)
	const input = `'{"a": {"b": 1}, "list": []}'`
	for text, want := range map[string]string{
		`{"value.$": "$.none"}`:                      "The JSONPath '$.none' specified for the field 'value.$' could not be found in the input " + input,
		`{"o": {"value.$": "$$.Execution.none"}}`:    "The JSONPath '$$.Execution.none' specified for the field 'value.$' could not be found in the input " + input,
		`{"ok.$": "$.a", "value.$": "$unset"}`:       "The JSONPath '$unset' specified for the field 'value.$' could not be found in the input " + input,
		`{"value.$": "$.list[0].x"}`:                 "The JSONPath '$.list[0].x' specified for the field 'value.$' could not be found in the input " + input,
		`{"value.$": "States.Format('{}', $.none)"}`: "The function 'States.Format('{}', $.none)' had the following error: The JsonPath argument for the field '$.none' could not be found in the input " + input,
	} {
		_, err := compileTemplate(t, text).Eval(scope)
		checkError(t, text, err, "States.Runtime: "+want)
	}
}

func TestTemplateProblems(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"x.$": "plain"}`: " x.$", `{"x.$": 1}`: " x.$", `{"x.$": null}`: " x.$", `{"x.$": {"y.$": "$"}}`: " x.$", `{"x.$": "States.Nope()"}`: " x.$",
		`{"a": {"b": [1, {"x.$": "$["}]}, "y.$": ""}`: "/a/b[1] x.$, y.$",
	} {
		template, problems := CompileTemplate(parse(t, text))
		if template != nil {
			t.Errorf("%s gives a template with problems", text)
		}
		got := make([]string, 0, len(problems))
		for _, p := range problems {
			field := strings.TrimSuffix(strings.TrimPrefix(p.Message, "The value for the field '"), "' must be a valid JSONPath or a valid intrinsic function call")
			got = append(got, p.Path+" "+field)
		}
		if strings.Join(got, ",") != want {
			t.Errorf("%s has problems %q, want %s", text, got, want)
		}
	}
	if _, problems := CompileTemplate(parse(t, `{"x": 1, "x.$": "$"}`)); len(problems) != 1 {
		t.Errorf("a field given twice has problems %v", problems)
	}
}

func TestTemplateVariables(t *testing.T) {
	t.Parallel()
	template := compileTemplate(t, `{"a.$": "$x.y", "b": [{"c.$": "States.Array($.z, States.MathAdd($y, $x), $$.w)"}], "d": "$no"}`)
	if got := strings.Join(template.Variables(), ","); got != "x,y,x" {
		t.Errorf("Variables = %s", got)
	}
}

func TestTemplateIsBounded(t *testing.T) {
	t.Parallel()
	scope := newScope(t, `"`+strings.Repeat("x", 200_000)+`"`)
	_, err := compileTemplate(t, `{"a":[`+strings.Repeat(`{"x.$":"$"},`, 50)+`1]}`).Eval(scope)
	var failure *Error
	if !errors.As(err, &failure) || failure.Name != DataLimitExceeded {
		t.Errorf("50 copies of 200 kB: %v, want %s", err, DataLimitExceeded)
	}
}

func TestTemplateConcurrently(t *testing.T) {
	t.Parallel()
	template := compileTemplate(t, `{"x.$": "$.a", "y": [1, 2]}`)
	done := make(chan string)
	for range 4 {
		scope := newScope(t, `{"a":1}`)
		go func() {
			v, err := template.Eval(scope)
			if err != nil {
				done <- err.Error()
				return
			}
			done <- v.Get("y").Index(1).String() + v.String()
		}()
	}
	for range 4 {
		if got := <-done; got != `2{"x":1,"y":[1,2]}` {
			t.Errorf("concurrent Eval gives %s", got)
		}
	}
}
