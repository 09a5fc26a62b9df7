// Package expr evaluates what a JSONPath state of the Amazon States Language
// may compute: paths, payload templates and intrinsic functions. It is pure:
// randomness comes in with the Scope, and nothing here does I/O.
package expr

import "errors"

// Error is a failure of an evaluation as a state machine sees it.
type Error struct {
	// Name is the error name, such as States.Runtime.
	Name string
	// Message is AWS's wording, without the prefix that names the state.
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Scope is what an expression may refer to.
type Scope struct {
	// Input is "$".
	Input Value
	// Context returns "$$"; it is called only by expressions that use it.
	Context func() Value
	// Var returns the variable "$name".
	Var func(name string) (Value, bool)
	// Rand feeds States.MathRandom and States.UUID.
	Rand interface{ Uint64() uint64 }
}

var errStub = errors.New("expr: under construction")

// Path is a compiled JSONPath.
type Path struct{ text string }

// CompilePath compiles a path such as "$.a[0]", "$$.Execution.Id" or "$var.x".
func CompilePath(s string) (*Path, error)        { return nil, errStub }
func (p *Path) Eval(scope *Scope) (Value, error) { return Value{}, errStub }
func (p *Path) String() string                   { return p.text }
func (p *Path) Definite() bool                   { return false }

// Reference is a compiled reference path: what ResultPath accepts.
type Reference struct{ text string }

func CompileReference(s string) (*Reference, error)   { return nil, errStub }
func (r *Reference) Set(root, v Value) (Value, error) { return Value{}, errStub }
func (r *Reference) String() string                   { return r.text }

// Expr is a compiled path or intrinsic function call.
type Expr struct{ text string }

func CompileExpr(s string) (*Expr, error)        { return nil, errStub }
func (e *Expr) Eval(scope *Scope) (Value, error) { return Value{}, errStub }
func (e *Expr) String() string                   { return e.text }

// Template is a compiled payload template.
type Template struct{}

// Problem is a mistake in a template.
type Problem struct{ Path, Message string }

func CompileTemplate(v Value) (*Template, []Problem) { return nil, nil }
func (t *Template) Eval(scope *Scope) (Value, error) { return Value{}, errStub }
