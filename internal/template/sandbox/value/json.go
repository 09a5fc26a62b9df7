package value

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"callfleet/internal/template/sandbox/escape"
)

// Open takes a list or an object apart, within the budget.
func (g *Budget) Open(v any, at Place) error {
	var err error
	switch v := v.(type) {
	case *List:
		if err = g.Step(at, 1+len(v.raw)/64); err == nil {
			err = v.open()
		}
	case *Object:
		if err = g.Step(at, 1+len(v.raw)/64); err == nil {
			err = v.open()
		}
	}
	if err != nil {
		if _, ok := err.(*Error); !ok && g.ctx.Err() == nil {
			return ErrorAt(at, "the params: %v", err)
		}
	}
	return err
}

// ToJSON is a value as JSON: what came from params as it was written, without
// the white space.
func (g *Budget) ToJSON(v any, at Place) (string, error) {
	if s, ok := v.(string); ok {
		return `"` + escape.JSON(s) + `"`, g.Grow(len(s), at)
	}
	b, err := g.appendJSON(nil, v, at, 0)
	return string(b), err
}

func (g *Budget) appendJSON(b []byte, v any, at Place, depth int) ([]byte, error) {
	if depth > maxEqualDepth {
		return nil, ErrorAt(at, "values are nested more than %d deep", maxEqualDepth)
	}
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case Number:
		return append(b, v...), g.Grow(len(b)+len(v), at)
	case string:
		return g.appendString(b, v, at)
	case Encoded:
		if v.As == AsJSON {
			return append(b, v.Text...), g.Grow(len(b)+len(v.Text), at)
		}
		return g.appendString(b, v.Text, at)
	case *Object:
		if v.raw == "" {
			return g.appendObject(b, v, at, depth)
		}
		return g.appendRaw(b, v.raw, at)
	case *List:
		if v.raw != "" {
			return g.appendRaw(b, v.raw, at)
		}
		return g.appendList(b, v, at, depth)
	}
	return nil, ErrorAt(at, "%s has no JSON", KindOf(v))
}

func (g *Budget) appendString(b []byte, s string, at Place) ([]byte, error) {
	if err := g.Grow(len(b)+len(s), at); err != nil {
		return nil, err
	}
	b = append(b, '"')
	b = append(b, escape.JSON(s)...)
	return append(b, '"'), nil
}

func (g *Budget) appendRaw(b []byte, raw string, at Place) ([]byte, error) {
	if err := g.Grow(len(b)+len(raw), at); err != nil {
		return nil, err
	}
	if !strings.ContainsAny(raw, " \n\t\r") {
		return append(b, raw...), nil
	}
	buf := bytes.NewBuffer(b)
	if err := json.Compact(buf, []byte(raw)); err != nil {
		return nil, ErrorAt(at, "the params: %v", err)
	}
	return buf.Bytes(), nil
}

// appendList writes a list that the template made. The lists in it may be the
// same one many times over: the bound on the text is what ends that.
func (g *Budget) appendList(b []byte, l *List, at Place, depth int) ([]byte, error) {
	b = append(b, '[')
	for i, item := range l.Items {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = g.appendJSON(b, item, at, depth+1); err != nil {
			return nil, err
		}
		if err := g.Grow(len(b), at); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func (g *Budget) appendObject(b []byte, o *Object, at Place, depth int) ([]byte, error) {
	b = append(b, '{')
	for i, m := range o.Members {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = g.appendString(b, m.Key, at); err != nil {
			return nil, err
		}
		if b, err = g.appendJSON(append(b, ':'), m.Value, at, depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// WholeNumber is n as a Number.
func WholeNumber(n int) Number { return Number(strconv.Itoa(n)) }
