// Package tree holds templates as trees, and runs them. Both spellings of the
// language become the same tree, so that both have the same bounds.
package tree

import (
	"fmt"
	"strconv"

	"callfleet/internal/secret"
	"callfleet/internal/template/sandbox/filter"
	"callfleet/internal/template/sandbox/value"
)

// Expr is one node of an expression. A node is never written to after parsing.
type Expr interface {
	eval(r *Run, s *scope) (any, error)
	At() value.Place
}

// Expressions.
type (
	Literal struct {
		value.Place
		Value any
	}
	Name struct {
		value.Place
		Name string
		Null bool // pongo2's null and nil, unless params have the name
	}
	Access struct { // of.key, of[index]
		value.Place
		Of    Expr
		Key   string // when Index is nil
		Index Expr
	}
	Slice struct { // of[low:high:step], each nil when it is not given
		value.Place
		Of              Expr
		Low, High, Step Expr
	}
	ListOf struct {
		value.Place
		Items []Expr
		Tuple bool
	}
	ObjectOf struct {
		value.Place
		Keys, Values []Expr
	}
	// Apply is a filter or a test, with its arguments in their order.
	Apply struct {
		value.Place
		Of     Expr
		Path   string // of what it is applied to, for messages
		Filter *filter.Filter
		Args
	}
	Unary struct {
		value.Place
		Op string // not, -, +
		Of Expr
	}
	Binary struct {
		value.Place
		Op          string
		Left, Right Expr
	}
	// Chain is a < b < c.
	Chain struct {
		value.Place
		Operands []Expr
		Ops      []string
	}
	Defined struct { // is defined
		value.Place
		Of     Expr
		Negate bool
	}
	Choice struct { // then if cond else other
		value.Place
		Cond, Then, Other Expr // Other may be nil
	}
	// Call calls a function of the language or what the template has named: a
	// macro, a loop, a joiner.
	Call struct {
		value.Place
		Name   string
		Filter *filter.Filter // nil is what the template has named
		Args
	}
	// ToJSON is the filter of this name: alone in a text, its output is a JSON
	// value whatever the params.
	ToJSON struct{ *Apply }
	// Secret prints a mark, for which the secret is put in when the request is
	// sent: the template never has it.
	Secret struct {
		value.Place
		Of   secret.Reference
		Mark string
	}
	// Method is of.name(args).
	Method struct {
		value.Place
		Of     Expr
		Member string // of a loop or a cycler
		Filter *filter.Filter
		Args
	}
)

// Args are the arguments of a call.
type Args struct {
	Args  []Expr
	Named []NamedArg
}

// NamedArg is name=value.
type NamedArg struct {
	Name  string
	Value Expr
}

// Node is one part of a document. A node is never written to after parsing.
type Node interface {
	exec(r *Run, s *scope) error
}

// Statements.
type (
	Block []Node
	Text  string
	Print struct {
		value.Place
		What Expr
		Path string // for messages
	}
	Branch struct {
		value.Place
		Conds  []Expr
		Bodies []Block // one more than Conds when there is an else
	}
	For struct {
		value.Place
		// Names are one, or what each item is taken apart to; for pongo2 also the
		// key and value of an object.
		Names      []string
		Unpack     bool
		Over, If   Expr // If may be nil
		Recursive  bool
		Body, None Block
	}
	Assign struct {
		value.Place
		Names  []string
		Member string // of a namespace, "" for names
		What   Expr
	}
	// Capture is {% set x %}…{% endset %}, or with Name "" {% filter f %}…
	Capture struct {
		value.Place
		Name  string
		Body  Block
		Apply Expr // of a Captured; nil is none
	}
	With struct {
		value.Place
		Sets []Assign
		Body Block
	}
	MacroOf struct {
		value.Place
		Name     string // "" is the body of a call block
		Params   []string
		Defaults []Expr // of the last params
		Body     Block
	}
	CallBlock struct {
		value.Place
		What   *Call
		Caller *MacroOf
	}
	Scope struct{ Body Block } // {% block %}
)

// Captured stands for the text of a Capture in its filters.
type Captured struct{ value.Place }

// PathOf writes a name as the template has it, for messages.
func PathOf(e Expr) string {
	switch e := e.(type) {
	case *Name:
		return e.Name
	case *Access:
		if e.Index == nil {
			return PathOf(e.Of) + "." + e.Key
		}
		if lit, ok := e.Index.(*Literal); ok {
			if text, ok := lit.Value.(string); ok {
				return PathOf(e.Of) + "[" + strconv.Quote(text) + "]"
			}
			return fmt.Sprintf("%s.%v", PathOf(e.Of), lit.Value)
		}
		return PathOf(e.Of) + "[…]"
	}
	return "the value"
}
