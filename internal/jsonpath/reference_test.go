package jsonpath

import (
	"errors"
	"testing"

	"callfleet/internal/jsonpath/value"
)

func TestSet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ root, path, want string }{
		{`{"a":1}`, "$", `[7, 8]`},
		{`{"a":1}`, "$.b", `{"a":1,"b":[7,8]}`},
		{`{"a":1,"b":2}`, "$.a", `{"a":[7,8],"b":2}`},
		{`{}`, "$.a.b['c d']", `{"a":{"b":{"c d":[7,8]}}}`},
		{`{"a": {"x": 1}}`, "$.a.b", `{"a":{"x":1,"b":[7,8]}}`},
		{`{"a":[1,2]}`, "$.a[1]", `{"a":[1,[7,8]]}`},
		{`{"a":[{}]}`, "$.a[0].b", `{"a":[{"b":[7,8]}]}`},
	} {
		r, err := CompileReference(tt.path)
		if err != nil {
			t.Error(err)
			continue
		}
		root := parse(t, tt.root)
		got, err := r.Set(root, parse(t, "[7, 8]"))
		if err != nil || got.String() != tt.want {
			t.Errorf("set %s in %s: %s, %v, want %s", tt.path, tt.root, got, err, tt.want)
		}
		if root.String() != tt.root {
			t.Errorf("set %s changed the root to %s", tt.path, root)
		}
	}
}

func TestSetConflicts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ root, path, want string }{
		{`[1,2]`, "$.a", `Unable to apply step "a" to input [1,2]`},
		{`"text"`, "$.a.b", `Unable to apply step "a" to input "text"`},
		{`{"a":"x"}`, "$.a.b", `Unable to apply step "b" to input {"a":"x"}`},
		{`{"a":null}`, "$.a.b", `Unable to apply step "b" to input {"a":null}`},
		{`{"a":[1]}`, "$.a[1]", `Unable to apply step "1" to input {"a":[1]}`},
		{`{}`, "$.a[0]", `Unable to apply step "0" to input {}`},
	} {
		r, err := CompileReference(tt.path)
		if err != nil {
			t.Error(err)
			continue
		}
		_, err = r.Set(parse(t, tt.root), value.Int(1))
		var conflict *Conflict
		if !errors.As(err, &conflict) || err.Error() != tt.want {
			t.Errorf("set %s in %s: %v, want %s", tt.path, tt.root, err, tt.want)
		}
	}
}

func TestCompileReferenceRefuses(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "a", "$.a[*]", "$..a", "$.a[-1]", "$.a[0:1]", "$['a','b']", "$.a.length()", "$[?(@.a)]", "$$.a", "$a.b", "$.*"} {
		if _, err := CompileReference(path); err == nil {
			t.Errorf("CompileReference(%q) succeeds", path)
		}
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	root := parse(t, `{"a":{"b":[1]}}`)
	if v, err := compile(t, "$.a.b").Get(root); err != nil || v.String() != "[1]" {
		t.Errorf("Get = %s, %v", v, err)
	}
	for path, want := range map[string]string{
		"$.a.c":    `Unable to apply step "c" to input {"a":{"b":[1]}}`,
		"$.x.y":    `Unable to apply step "x" to input {"a":{"b":[1]}}`,
		"$.a.b[3]": `Unable to apply step "3" to input {"a":{"b":[1]}}`,
	} {
		if _, err := compile(t, path).Get(root); err == nil || err.Error() != want {
			t.Errorf("Get(%s) fails with %v, want %s", path, err, want)
		}
	}
}
