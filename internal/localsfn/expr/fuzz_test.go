package expr

import (
	"encoding/json"
	"errors"
	"testing"
)

const fuzzInput = `{"a":[1,2.5,"x",null,{"b":true}],"s":"a,b","o":{"k":"v"},"n":-3}`

// evaluate checks what every evaluation promises: a valid, bounded value or an
// *Error with a name.
func evaluate(t *testing.T, what string, eval func() (Value, error)) {
	t.Helper()
	v, err := eval()
	if err != nil {
		var failure *Error
		if !errors.As(err, &failure) || failure.Name == "" || failure.Message == "" {
			t.Fatalf("%s: error is %#v", what, err)
		}
		return
	}
	if !json.Valid(v.JSON()) {
		t.Fatalf("%s = %s, which is not JSON", what, v)
	}
	if v.Size() > 8*MaxBytes {
		t.Fatalf("%s has %d bytes", what, v.Size())
	}
}

func FuzzCompilePath(f *testing.F) {
	for _, seed := range []string{"$", "$.a[0]", "$$.Execution.Name", "$name.x", "$list[0:1]", "$.a[?(@.b)]", "$..b", "$größe_2", "$unset"} {
		f.Add(seed)
	}
	scope := newScope(f, fuzzInput)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := CompilePath(text)
		if err != nil {
			return
		}
		evaluate(t, text, func() (Value, error) { return p.Eval(scope) })
		evaluate(t, text, func() (Value, error) { return p.Items(scope) })
		_, evalErr := p.Eval(scope)
		if _, ok := p.Lookup(scope); ok != (evalErr == nil) {
			t.Fatalf("%s: Lookup finds something: %v, Eval fails with %v", text, ok, evalErr)
		}
	})
}

func FuzzCompileExpr(f *testing.F) {
	for _, seed := range []string{
		"States.Format('{} \\{x\\} {}', $.s, States.UUID())", "States.Array(1, 'a', true, null, $.a[?(@ > 1)], $['s'])", "States.MathAdd(1.5, -2)", "States.StringSplit($.s, ',')", "States.ArrayRange(1, 9, 2)",
		"States.JsonMerge($.o, States.StringToJson('\\{\"a\":1\\}'), false)", "States.Hash($.s, 'SHA-256')", "States.MathRandom(1, 9, 3)", "States.Base64Decode(States.Base64Encode($.s))", "States.ArrayUnique(States.ArrayPartition($.a, 2))", "$.a.length()",
	} {
		f.Add(seed)
	}
	scope := newScope(f, fuzzInput)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := CompileExpr(text)
		if err != nil {
			return
		}
		evaluate(t, text, func() (Value, error) { return e.Eval(scope) })
		evaluate(t, text, func() (Value, error) { return e.EvalField(scope, "x.$") })
	})
}

func FuzzEval(f *testing.F) {
	f.Add(`{"x.$":"$.a","y":[{"z.$":"States.Format('{}', $.s)"}]}`, fuzzInput)
	f.Add(`{"x.$":"$.a[9]"}`, `{"a":[]}`)
	f.Add(`[1, {"\u0061.$":"$"}]`, ` [ 1 , 2 ] `)
	f.Fuzz(func(t *testing.T, template, input string) {
		source, err := Parse([]byte(template))
		if err != nil {
			return
		}
		root, err := Parse([]byte(input))
		if err != nil {
			return
		}
		compiled, problems := CompileTemplate(source)
		if problems != nil {
			return
		}
		scope := newScope(t, "{}")
		scope.Input = root
		evaluate(t, template, func() (Value, error) { return compiled.Eval(scope) })
	})
}
