package expr

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"callfleet/internal/jsonpath"
)

// Path is a compiled JSONPath into the input, the context object or a variable.
type Path struct {
	text   string
	source source
	name   string // of the variable
	inner  *jsonpath.Path
}

// source is where a path starts.
type source uint8

const (
	fromInput    source = iota // $
	fromContext                // $$
	fromVariable               // $name
)

// CompilePath compiles a path such as "$.a[0]", "$$.Execution.Id" or "$var.x".
func CompilePath(s string) (*Path, error) {
	p := &Path{text: s}
	rest := strings.TrimPrefix(s, "$")
	switch name := identifier(rest); {
	case strings.HasPrefix(rest, "$"):
		p.source, rest = fromContext, rest[1:]
	case name != "" && len(rest) < len(s):
		p.source, p.name, rest = fromVariable, name, rest[len(name):]
	case len(rest) == len(s):
		rest = "" // no $ at all: let the compiler say so
		return nil, fmt.Errorf("compile path %q: a path starts with $", s)
	}
	inner, err := jsonpath.Compile("$" + rest)
	if err != nil {
		return nil, err
	}
	p.inner = inner
	return p, nil
}

// identifier returns the name that s starts with, if any.
func identifier(s string) string {
	end := 0
	for end < len(s) {
		r, size := utf8.DecodeRuneInString(s[end:])
		if r == utf8.RuneError || r != '_' && !unicode.IsLetter(r) && (end == 0 || !unicode.IsDigit(r)) {
			break
		}
		end += size
	}
	return s[:end]
}

// String returns the path as it was written.
func (p *Path) String() string { return p.text }

// Definite reports whether the path selects one value. Any other path selects a
// list, which is empty when there is nothing to select.
func (p *Path) Definite() bool { return p.inner.Definite() }

// Variable returns the name of the variable the path starts at, if it does.
func (p *Path) Variable() (string, bool) { return p.name, p.source == fromVariable }

// UsesContext reports whether the path starts at "$$".
func (p *Path) UsesContext() bool { return p.source == fromContext }

// Eval evaluates the path. An error is an *Error, worded as for InputPath,
// OutputPath and the like.
func (p *Path) Eval(scope *Scope) (Value, error) {
	v, err := p.find(scope)
	if err == nil {
		return v, nil
	}
	var failure *Error
	if errors.As(err, &failure) {
		return Value{}, failure
	}
	return Value{}, &Error{Runtime, fmt.Sprintf("Invalid path '%s' : %s", p.text, err)}
}

// Lookup evaluates the path where finding nothing is an answer and no failure,
// as in a Choice rule.
func (p *Path) Lookup(scope *Scope) (Value, bool) {
	root, ok := p.root(scope)
	if !ok {
		return Value{}, false
	}
	return p.inner.Find(root)
}

// Items evaluates the path as a reference to the array a Map state iterates
// over. An error is an *Error in the words of reference paths, which leave out
// what the path starts at. The elements are to be made Compact one by one.
func (p *Path) Items(scope *Scope) (Value, error) {
	root, ok := p.root(scope)
	if !ok || !p.Definite() {
		return p.Eval(scope)
	}
	v, err := p.inner.Get(root)
	if err != nil {
		return Value{}, &Error{ReferencePathConflict, err.Error()}
	}
	if v.Kind() != KindArray {
		return Value{}, &Error{Runtime, fmt.Sprintf("Reference path %q must point to array.", p.inner)}
	}
	return v, nil
}

// find returns an *Error, or the reason why there is nothing.
func (p *Path) find(scope *Scope) (Value, error) {
	root, ok := p.root(scope)
	if !ok {
		return Value{}, p.unset()
	}
	v, err := p.inner.Eval(root)
	if errors.Is(err, jsonpath.ErrTooLarge) {
		return Value{}, tooLarge()
	}
	return v, err
}

func (p *Path) root(scope *Scope) (Value, bool) {
	var root Value
	switch p.source {
	case fromInput:
		root = scope.Input
	case fromContext:
		if scope.Context != nil {
			root = scope.Context()
		}
	case fromVariable:
		if scope.Var != nil {
			root, _ = scope.Var(p.name)
		}
	}
	return root, !root.IsAbsent()
}

func (p *Path) unset() error {
	if p.source == fromVariable {
		return &jsonpath.NotFound{Reason: "variable '" + p.name + "' is not assigned"}
	}
	return &jsonpath.NotFound{Reason: "No results for path: $"}
}

// Reference is a compiled reference path into the input: what ResultPath takes.
type Reference struct{ inner *jsonpath.Reference }

// CompileReference compiles a path of single names and indexes, such as
// "$.a.b" or "$".
func CompileReference(s string) (*Reference, error) {
	inner, err := jsonpath.CompileReference(s)
	if err != nil {
		return nil, err
	}
	return &Reference{inner}, nil
}

// String returns the path as it was written.
func (r *Reference) String() string { return r.inner.String() }

// Set returns root with v at the place the path names, making objects on the
// way there. An error is an *Error.
func (r *Reference) Set(root, v Value) (Value, error) {
	out, err := r.inner.Set(root, v)
	if err != nil {
		return Value{}, &Error{ResultPathMatchFailure, err.Error()}
	}
	return out, nil
}
