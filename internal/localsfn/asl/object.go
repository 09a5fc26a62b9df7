package asl

import (
	"fmt"
	"strings"

	"callfleet/internal/localsfn/expr"
)

// object reads the fields of one JSON object of a definition. Each getter
// reports a value of the wrong type; finish reports the fields nobody read.
type object struct {
	p    *parser
	v    expr.Value
	path string
	read map[string]bool
}

func (p *parser) object(v expr.Value, path string) (*object, bool) {
	if v.Kind() != expr.KindObject {
		p.report(CodeSchema, path, "Expected value of type Object")
		return nil, false
	}
	return &object{p: p, v: v, path: path, read: map[string]bool{}}, true
}

// at is the path of a field.
func (o *object) at(field string) string { return o.path + "/" + pointer(field) }

func (o *object) fail(field, message string) { o.p.report(CodeSchema, o.at(field), message) }

func (o *object) has(field string) bool { return !o.v.Get(field).IsAbsent() }

// value is the field's value, absent if there is none.
func (o *object) value(field string) expr.Value {
	o.read[field] = true
	return o.v.Get(field)
}

func (o *object) text(field string) string {
	v := o.value(field)
	if v.IsAbsent() {
		return ""
	}
	if v.Kind() != expr.KindString {
		o.fail(field, "Expected value of type String")
		return ""
	}
	return v.Text()
}

// optional is the text of a field, nil if there is none.
func (o *object) optional(field string) *string {
	if !o.has(field) {
		return nil
	}
	s := o.text(field)
	return &s
}

func (o *object) flag(field string) bool {
	v := o.value(field)
	if v.IsAbsent() {
		return false
	}
	if v.Kind() != expr.KindBool {
		o.fail(field, "Expected value of type Boolean")
		return false
	}
	return v.Bool()
}

// whole reads an integer of at least least.
func (o *object) whole(field string, least int64) (int64, bool) {
	v := o.value(field)
	if v.IsAbsent() {
		return 0, false
	}
	n, ok := v.Int()
	if v.Kind() != expr.KindNumber || !ok {
		o.fail(field, "Expected value of type Integer")
		return 0, false
	}
	if n < least {
		o.fail(field, fmt.Sprintf("The value %d is less than the minimum %d", n, least))
		return 0, false
	}
	if n > maxSeconds {
		o.fail(field, fmt.Sprintf("The value %d is greater than the maximum %d", n, maxSeconds))
		return 0, false
	}
	return n, true
}

// maxSeconds is AWS's highest value for anything counted in seconds.
const maxSeconds = 99999999

// path reads a JSONPath.
func (o *object) jsonPath(field string) *expr.Path {
	s := o.text(field)
	if !o.has(field) || s == "" && o.v.Get(field).Kind() != expr.KindString {
		return nil
	}
	path, err := expr.CompilePath(s)
	if err != nil {
		o.fail(field, "Value is not a valid JSONPath")
		return nil
	}
	return path
}

// filter reads InputPath or OutputPath.
func (o *object) filter(field string) Filter {
	v := o.value(field)
	if v.Kind() == expr.KindNull {
		return Filter{Discard: true}
	}
	if v.Kind() == expr.KindString && v.Text() == "$" {
		return Filter{}
	}
	return Filter{Path: o.jsonPath(field)}
}

// resultPath reads ResultPath.
func (o *object) resultPath() (ref *expr.Reference, discard bool) {
	const field = "ResultPath"
	v := o.value(field)
	if v.Kind() == expr.KindNull {
		return nil, true
	}
	s := o.text(field)
	if v.Kind() != expr.KindString || s == "$" {
		return nil, false
	}
	ref, err := expr.CompileReference(s)
	if err != nil {
		o.fail(field, "Value is not a Reference Path")
		return nil, false
	}
	return ref, false
}

// template reads a payload template.
func (o *object) template(field string) *expr.Template {
	v := o.value(field)
	if v.IsAbsent() {
		return nil
	}
	t, problems := expr.CompileTemplate(v)
	for _, problem := range problems {
		o.p.report(CodeSchema, o.at(field)+problem.Path, problem.Message)
	}
	return t
}

// amount reads a whole number, or the path it is to be read from at run time.
func (o *object) amount(field string, least int64) Amount {
	var a Amount
	o.exclusive(field, field+"Path")
	a.Value, a.Set = o.whole(field, least)
	if o.has(field + "Path") {
		a.Path = o.jsonPath(field + "Path")
	}
	return a
}

// percentage reads a number from 0 to 100, or the path to one, of which only
// the path matters at run time.
func (o *object) percentage(field string) Amount {
	o.exclusive(field, field+"Path")
	if v := o.value(field); !v.IsAbsent() && (v.Kind() != expr.KindNumber || v.Float() < 0 || v.Float() > 100) {
		o.fail(field, "The field '"+field+"' should be a number from 0 to 100")
	}
	var a Amount
	if o.has(field + "Path") {
		a.Path = o.jsonPath(field + "Path")
	}
	return a
}

// exclusive reports fields of which only one may be there.
func (o *object) exclusive(fields ...string) {
	var present []string
	for _, f := range fields {
		if o.has(f) {
			present = append(present, f)
		}
	}
	if len(present) > 1 {
		o.p.report(CodeSchema, o.path, "Only one of these fields is allowed: ["+strings.Join(present, ", ")+"]")
	}
}

// list reads an array.
func (o *object) list(field string) []expr.Value {
	v := o.value(field)
	if v.IsAbsent() {
		return nil
	}
	if v.Kind() != expr.KindArray {
		o.fail(field, "Expected value of type Array")
		return nil
	}
	return v.Elements()
}

// finish reports what nobody read. Of a key that is there twice, only the last
// counts, as in the JSON parsers AWS uses.
func (o *object) finish() {
	for _, m := range o.v.Members() {
		if !o.read[m.Key] {
			o.p.report(CodeSchema, o.path, fmt.Sprintf("Field '%s' is not supported", m.Key))
		}
	}
}
