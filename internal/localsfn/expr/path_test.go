package expr

import (
	"strings"
	"testing"
)

func TestPathSources(t *testing.T) {
	t.Parallel()
	scope := newScope(t, `{"a": {"b": [10, 20]}}`)
	for text, want := range map[string]string{
		"$":                     `{"a": {"b": [10, 20]}}`,
		"$.a":                   `{"b":[10,20]}`,
		"$.a.b[1]":              "20",
		"$['a']['b'][-1]":       "20",
		"$$.Execution.Name":     `"run-1"`,
		"$$['Execution'].Input": `{"x":1}`,
		"$$..Name":              `["run-1","m"]`,
		"$name":                 `"Ann"`,
		"$list":                 "[3, 4]",
		"$list[0]":              "3",
		"$list[*]":              "[3,4]",
		"$größe_2":              "5",
		"$.a.none[*]":           "[]",
	} {
		p, err := CompilePath(text)
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := p.Eval(scope)
		if err != nil || got.String() != want {
			t.Errorf("%s = %s, %v, want %s", text, got, err, want)
		}
		if found, ok := p.Lookup(scope); !ok || found.String() != want {
			t.Errorf("Lookup(%s) = %s, %v", text, found, ok)
		}
		if p.String() != text {
			t.Errorf("%s is written %s", text, p)
		}
	}
}

func TestPathKeepsTheWhole(t *testing.T) {
	t.Parallel()
	scope := newScope(t, "[1, 2]")
	p, err := CompilePath("$")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Eval(scope); err != nil || got != scope.Input {
		t.Errorf("$ is %s, %v, not the input itself", got, err)
	}
}

func TestPathProperties(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text, variable    string
		context, definite bool
	}{
		{"$", "", false, true}, {"$$", "", true, true}, {"$x.y", "x", false, true}, {"$_x1[*]", "_x1", false, false}, {"$$.a..b", "", true, false},
	} {
		p, err := CompilePath(tt.text)
		if err != nil {
			t.Error(err)
			continue
		}
		if name, ok := p.Variable(); name != tt.variable || ok != (tt.variable != "") {
			t.Errorf("Variable(%s) = %q, %v", tt.text, name, ok)
		}
		if p.UsesContext() != tt.context || p.Definite() != tt.definite {
			t.Errorf("%s: UsesContext %v, Definite %v", tt.text, p.UsesContext(), p.Definite())
		}
	}
}

func TestPathErrors(t *testing.T) {
	t.Parallel()
	scope := newScope(t, `{"a": {"b": 1}}`)
	for text, want := range map[string]string{
		"$.none":          "Invalid path '$.none' : No results for path: $['none']",
		"$.no.deeper":     "Invalid path '$.no.deeper' : Missing property in path $['no']",
		"$$.Execution.x":  "Invalid path '$$.Execution.x' : No results for path: $['Execution']['x']",
		"$name[0]":        "Invalid path '$name[0]' : Filter: [0] can only be applied to arrays. Current context is: Ann",
		"$unset.x":        "Invalid path '$unset.x' : variable 'unset' is not assigned",
		"$.a.b[0].c.d[1]": "Invalid path '$.a.b[0].c.d[1]' : Filter: [0] can only be applied to arrays. Current context is: 1",
	} {
		p, err := CompilePath(text)
		if err != nil {
			t.Error(err)
			continue
		}
		_, err = p.Eval(scope)
		checkError(t, text, err, "States.Runtime: "+want)
		if v, ok := p.Lookup(scope); ok {
			t.Errorf("Lookup(%s) = %s", text, v)
		}
	}
	for _, text := range []string{"$", "$$", "$x"} {
		p, err := CompilePath(text)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := p.Eval(&Scope{}); err == nil {
			t.Errorf("%s of nothing is %s", text, v)
		}
	}
}

func TestPathTooLarge(t *testing.T) {
	t.Parallel()
	scope := newScope(t, strings.Repeat("[[],", 300)+"1"+strings.Repeat("]", 300))
	p, err := CompilePath("$..*..*..*")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Eval(scope)
	checkError(t, p.String(), err, "States.DataLimitExceeded: The result of the expression exceeds the maximum number of bytes.")
}

func TestCompilePathRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a", "a.b", "x$", "$1", "$-a", "$$$", "$$a", "$.", "$a..", "States.UUID()", "$a b"} {
		if p, err := CompilePath(text); err == nil {
			t.Errorf("CompilePath(%q) = %v", text, p)
		}
	}
}

func TestItems(t *testing.T) {
	t.Parallel()
	scope := newScope(t, `{"a": [1, 2], "o": {"x": 1}}`)
	for text, want := range map[string]string{"$.a": "[1,2]", "$.a[*]": "[1,2]", "$list": "[3, 4]", "$.none[*]": "[]"} {
		p, err := CompilePath(text)
		if err != nil {
			t.Error(err)
			continue
		}
		if got, err := p.Items(scope); err != nil || got.String() != want {
			t.Errorf("Items(%s) = %s, %v, want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"$":                 `States.Runtime: Reference path "$" must point to array.`,
		"$$.Execution.Name": `States.Runtime: Reference path "$.Execution.Name" must point to array.`,
		"$.o.list":          `States.ReferencePathConflict: Unable to apply step "list" to input {"a": [1, 2], "o": {"x": 1}}`,
	} {
		p, err := CompilePath(text)
		if err != nil {
			t.Error(err)
			continue
		}
		_, err = p.Items(scope)
		checkError(t, text, err, want)
	}
	p, err := CompilePath("$unset")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Items(scope)
	checkError(t, "$unset", err, "States.Runtime: Invalid path '$unset' : variable 'unset' is not assigned")
}

func TestReference(t *testing.T) {
	t.Parallel()
	r, err := CompileReference("$.result.x")
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Set(parse(t, `{"a": [1, 2]}`), Int(7))
	if err != nil || got.String() != `{"a":[1,2],"result":{"x":7}}` {
		t.Errorf("Set = %s, %v", got, err)
	}
	_, err = r.Set(parse(t, "[1]"), Int(7))
	checkError(t, r.String(), err, `States.ResultPathMatchFailure: Unable to apply step "result" to input [1]`)
}
