// Package expr evaluates what a JSONPath state of the Amazon States Language
// may compute: paths, payload templates and intrinsic functions. It is pure:
// randomness comes in with the Scope, and nothing here does I/O.
//
// Everything is compiled once, when a state machine is created, and evaluated
// many times; what is compiled is immutable and safe for concurrent use. The
// parts are packages of their own: jsonpath selects, its value is the JSON value,
// intrinsic is the library of functions. This package compiles what combines
// them, and words failures as AWS does.
package expr

import (
	"errors"
	"fmt"
	"strings"

	"callfleet/internal/localsfn/expr/intrinsic"
)

// Expr is a compiled path or intrinsic function call: what stands behind a key
// such as "x.$", or in a field such as CausePath.
type Expr struct {
	text string
	root argument
}

// argument is one node of an expression; exactly one field is set.
type argument struct {
	literal Value
	path    *Path
	call    *call
}

type call struct {
	function *intrinsic.Function
	args     []argument
	pieces   []string // of a States.Format whose first argument is a literal
}

// CompileExpr compiles a path, such as "$.a", or a call, such as
// "States.Format('{}-{}', $.a, States.UUID())".
func CompileExpr(s string) (*Expr, error) {
	c := compiler{text: s}
	root, err := c.expression()
	if err != nil {
		return nil, err
	}
	return &Expr{text: s, root: root}, nil
}

// String returns the expression as it was written.
func (e *Expr) String() string { return e.text }

// Variables returns the names of the variables the expression refers to, in the
// order of their appearance.
func (e *Expr) Variables() []string { return e.root.variables(nil) }

func (a *argument) variables(names []string) []string {
	if a.path != nil {
		if name, ok := a.path.Variable(); ok {
			names = append(names, name)
		}
	}
	if a.call != nil {
		for i := range a.call.args {
			names = a.call.args[i].variables(names)
		}
	}
	return names
}

// Eval evaluates the expression. An error is an *Error.
func (e *Expr) Eval(scope *Scope) (Value, error) {
	if e.root.path != nil {
		return e.root.path.Eval(scope)
	}
	return e.evalCall(scope)
}

// EvalField evaluates the expression as the content of a field such as "x.$" or
// "CausePath", which AWS names when a path finds nothing. An error is an *Error.
func (e *Expr) EvalField(scope *Scope, field string) (Value, error) {
	if e.root.path == nil {
		return e.evalCall(scope)
	}
	v, err := e.root.path.find(scope)
	if err == nil {
		return v, nil
	}
	var failure *Error
	if errors.As(err, &failure) {
		return Value{}, failure
	}
	return Value{}, &Error{Runtime, fmt.Sprintf("The JSONPath '%s' specified for the field '%s' could not be found in the input '%s'",
		e.text, field, scope.Input.JSON())}
}

func (e *Expr) evalCall(scope *Scope) (Value, error) {
	v, err := e.root.eval(scope)
	if err == nil {
		return v, nil
	}
	failure := &Error{IntrinsicFailure, err.Error()}
	var missing *missingArgument
	var inner *Error
	switch {
	case errors.As(err, &inner):
		return Value{}, inner
	case errors.Is(err, intrinsic.ErrTooLarge):
		failure.Name = DataLimitExceeded
	case errors.As(err, &missing):
		failure.Name = Runtime
		failure.Message = fmt.Sprintf("The JsonPath argument for the field '%s' could not be found in the input '%s'",
			missing.path, scope.Input.JSON())
	}
	// AWS names the whole expression, not the call inside that failed.
	failure.Message = fmt.Sprintf("The function '%s' had the following error: %s", strings.TrimSpace(e.text), failure.Message)
	return Value{}, failure
}

// missingArgument is the error of a path argument that finds nothing.
type missingArgument struct{ path string }

func (e *missingArgument) Error() string { return "no value at " + e.path }

// eval recurses at most maxCalls deep.
func (a *argument) eval(scope *Scope) (Value, error) {
	switch {
	case a.call != nil:
		return a.call.eval(scope)
	case a.path != nil:
		v, err := a.path.find(scope)
		if err == nil {
			return v, nil
		}
		var failure *Error
		if errors.As(err, &failure) {
			return Value{}, failure
		}
		return Value{}, &missingArgument{a.path.text}
	default:
		return a.literal, nil
	}
}

func (c *call) eval(scope *Scope) (Value, error) {
	args := make([]Value, len(c.args))
	size := 0
	for i := range c.args {
		v, err := c.args[i].eval(scope)
		if err != nil {
			return Value{}, err
		}
		if size += v.Size(); size > MaxBytes {
			return Value{}, intrinsic.ErrTooLarge
		}
		args[i] = v
	}
	if c.pieces != nil {
		return intrinsic.Format(c.pieces, args)
	}
	return c.function.Apply(args, scope.Rand)
}
