package sandbox

import (
	"fmt"
	"strconv"

	"callfleet/internal/template/sandbox/filter"
	"callfleet/internal/template/sandbox/value"
)

// expr is one node of an expression. An expression is never written to.
type expr interface {
	eval(r *Run, s *scope) (any, error)
	At() value.Place
}

type (
	literal struct {
		value.Place
		value any
	}
	name struct {
		value.Place
		name string
	}
	access struct { // of.key, of[index]
		value.Place
		of    expr
		key   string // when index is nil
		index expr
	}
	listOf struct {
		value.Place
		items []expr
	}
	filtered struct {
		value.Place
		of     expr
		filter *filter.Filter
		name   string
		path   string // of what it is applied to, for messages
		args   []expr
	}
	unary struct {
		value.Place
		op string // not, -
		of expr
	}
	binary struct {
		value.Place
		op          string
		left, right expr
	}
	test struct { // is defined, is none
		value.Place
		of     expr
		what   string
		negate bool
	}
	choice struct { // then if cond else other
		value.Place
		cond, then, other expr
	}
)

// pathOf writes a name as the template has it, for messages.
func pathOf(e expr) string {
	switch e := e.(type) {
	case *name:
		return e.name
	case *access:
		if e.index == nil {
			return pathOf(e.of) + "." + e.key
		}
		if lit, ok := e.index.(*literal); ok {
			if text, ok := lit.value.(string); ok {
				return pathOf(e.of) + "[" + strconv.Quote(text) + "]"
			}
			return fmt.Sprintf("%s.%v", pathOf(e.of), lit.value)
		}
		return pathOf(e.of) + "[…]"
	}
	return "the value"
}
