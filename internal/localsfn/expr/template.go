package expr

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"callfleet/internal/jsonpath"
	"callfleet/internal/jsonpath/value"
)

// Template is a compiled payload template: Parameters, ResultSelector,
// ItemSelector, Assign. Keys that end in ".$" name expressions.
//
// It is kept as the text of its result with holes where the expressions go, so
// that evaluating it is one pass over one buffer.
type Template struct {
	whole Value // of a template without holes
	holes []hole
	tail  []byte
	fixed int // bytes that are not holes
}

// hole is an expression and the text before it.
type hole struct {
	before []byte
	field  string // the key, with its ".$"
	expr   *Expr
}

// Problem is a mistake in a template.
type Problem struct {
	// Path leads to the object with the mistake: "" for the template itself,
	// else like "/a/b[0]".
	Path string
	// Message is AWS's wording.
	Message string
}

// CompileTemplate compiles a template and reports all its mistakes. The
// template is nil if there are any.
func CompileTemplate(v Value) (*Template, []Problem) {
	c := templateCompiler{template: &Template{}}
	c.value("", v)
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	t := c.template
	t.tail = c.text
	t.fixed += len(c.text)
	if len(t.holes) == 0 {
		t.whole = value.Raw(t.tail)
	}
	return t, nil
}

type templateCompiler struct {
	template *Template
	text     []byte // since the last hole
	problems []Problem
}

func (c *templateCompiler) value(path string, v Value) {
	switch v.Kind() {
	case KindObject:
		c.object(path, v)
	case KindArray:
		c.text = append(c.text, '[')
		for i, e := range v.Elements() {
			if i > 0 {
				c.text = append(c.text, ',')
			}
			c.value(path+"["+strconv.Itoa(i)+"]", e)
		}
		c.text = append(c.text, ']')
	case Absent:
		c.text = append(c.text, "null"...)
	default:
		c.text = v.Compact().AppendJSON(c.text)
	}
}

func (c *templateCompiler) object(path string, v Value) {
	c.text = append(c.text, '{')
	for i, m := range v.Members() {
		if i > 0 {
			c.text = append(c.text, ',')
		}
		key, dynamic := strings.CutSuffix(m.Key, ".$")
		c.text = append(value.AppendQuoted(c.text, key), ':')
		if !dynamic {
			c.value(path+"/"+m.Key, m.Value)
			continue
		}
		if !v.Get(key).IsAbsent() {
			c.problem(path, "The field '%s' is given twice, as '%s' and as '%s'", key, key, m.Key)
		}
		expr, err := CompileExpr(m.Value.Text())
		if err != nil || m.Value.Kind() != KindString {
			c.problem(path, "The value for the field '%s' must be a valid JSONPath or a valid intrinsic function call", m.Key)
			continue
		}
		c.hole(hole{field: m.Key, expr: expr})
	}
	c.text = append(c.text, '}')
}

func (c *templateCompiler) problem(path, format string, args ...any) {
	c.problems = append(c.problems, Problem{path, fmt.Sprintf(format, args...)})
}

func (c *templateCompiler) hole(h hole) {
	h.before = c.text
	c.template.fixed += len(c.text)
	c.template.holes = append(c.template.holes, h)
	c.text = nil
}

// Variables returns the names of the variables the template refers to, in the
// order of their appearance.
func (t *Template) Variables() []string {
	var names []string
	for i := range t.holes {
		names = t.holes[i].expr.root.variables(names)
	}
	return names
}

// Eval fills the template. An error is an *Error.
func (t *Template) Eval(scope *Scope) (Value, error) {
	if len(t.holes) == 0 {
		return t.whole, nil
	}
	var room [8]Value
	values, size := room[:0], t.fixed
	for i := range t.holes {
		v, err := t.holes[i].eval(scope)
		if err != nil {
			return Value{}, err
		}
		if size += v.Size(); size > MaxBytes {
			return Value{}, tooLarge()
		}
		values = append(values, v)
	}
	text := make([]byte, 0, size)
	for i, v := range values {
		text = append(text, t.holes[i].before...)
		text = v.AppendJSON(text)
	}
	return value.Raw(append(text, t.tail...)), nil
}

func (h *hole) eval(scope *Scope) (Value, error) {
	if path := h.expr.root.path; path != nil {
		v, err := path.find(scope)
		if err == nil {
			return v, nil
		}
		// AWS reads past the end of an array as null, though only here.
		var missing *jsonpath.NotFound
		if errors.As(err, &missing) && missing.OutOfRange {
			return Null(), nil
		}
	}
	return h.expr.EvalField(scope, h.field)
}
