package parse

import (
	"fmt"
	"slices"

	"callfleet/internal/template/sandbox/token"
	"callfleet/internal/template/sandbox/tree"
	"callfleet/internal/template/sandbox/value"
)

// Difference is what means one thing here and another in Jinja2, where neither
// complains, with the spelling that means the same in both.
type Difference struct {
	value.Place
	Message string
	// Loop is the name that a loop with two names goes over, if it is one: there
	// is no difference when it is a list.
	Loop []string
}

// memberOf notes a member that Jinja2 takes for a method.
func (t *tokens) memberOf(of tree.Expr, key string, p value.Place) {
	if !slices.Contains(tree.OfObject, key) || t.peek(token.Symbol, "(") {
		return
	}
	path := tree.PathOf(of)
	t.differ = append(t.differ, Difference{Place: p, Message: fmt.Sprintf("%s.%s is a method in Jinja2, whatever the object holds: write %[1]s[%q], which is the member in both", path, key, key)})
}

// pairs notes a loop with two names, which pongo2 gives the members of an
// object, and Jinja2 the parts of each item.
func (p *parser) pairs(n *tree.For) {
	if p.jinja || len(n.Names) != 2 {
		return
	}
	var path []string
	switch over := n.Over.(type) {
	case *tree.Method, *tree.ListOf:
		return
	case *tree.Name, *tree.Access:
		path = pathOf(over)
	}
	of := "(…)"
	if path != nil {
		of = tree.PathOf(n.Over)
	}
	p.differ = append(p.differ, Difference{Place: n.Over.At(), Loop: path,
		Message: fmt.Sprintf("a loop with two names over an object is pongo2's, Jinja2 takes the names in it apart: write %s.items(), which is the same in both", of)})
}

// pathOf is nil for what is no name with members.
func pathOf(e tree.Expr) []string {
	switch e := e.(type) {
	case *tree.Name:
		return []string{e.Name}
	case *tree.Access:
		if of := pathOf(e.Of); of != nil && e.Index == nil {
			return append(of, e.Key)
		}
	}
	return nil
}
