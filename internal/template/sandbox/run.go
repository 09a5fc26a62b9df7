package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Limits bound one Run. All must be positive.
type Limits struct {
	MaxOutput int // bytes that one program prints, and of any text on the way
	MaxSteps  int // operations of all programs together
	// Timeout bounds all programs together, to a fraction of a millisecond.
	Timeout time.Duration
}

// Run executes programs on one set of params, with one budget. It belongs to
// one goroutine.
type Run struct {
	ctx    context.Context // the caller's: a Run lives as long as one call of the Renderer
	params Params
	limits Limits
	steps  int
	// deadline is set at the first look at the clock, which few programs live
	// to see.
	deadline time.Time
	out      output
}

// NewRun starts a budget.
func NewRun(ctx context.Context, params Params, limits Limits) *Run {
	return &Run{ctx: ctx, params: params, limits: limits}
}

// stepsPerLook is how many steps may pass before the context is looked at:
// well under a millisecond.
const stepsPerLook = 2048

// step takes n from the budget. All work that can grow passes here, so that a
// program always ends.
func (r *Run) step(at place, n int) error {
	before := r.steps
	r.steps += n
	if r.steps > r.limits.MaxSteps {
		return errorAt(at, "does more than %d steps", r.limits.MaxSteps)
	}
	if before/stepsPerLook == r.steps/stepsPerLook {
		return nil
	}
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	now := time.Now()
	if r.deadline.IsZero() {
		r.deadline = now.Add(r.limits.Timeout)
	}
	if now.After(r.deadline) {
		return errorAt(at, "takes longer than %v", r.limits.Timeout)
	}
	return nil
}

// grow takes the budget for making a text of n bytes.
func (r *Run) grow(n int, at place) error {
	if n > r.limits.MaxOutput {
		return errorAt(at, "makes more than %d bytes", r.limits.MaxOutput)
	}
	return r.step(at, 1+n/64)
}

// value evaluates to something that is there.
func (r *Run) value(e expr, s *scope) (any, error) {
	v, err := e.eval(r, s)
	if err != nil {
		return nil, err
	}
	if missing, ok := v.(undefined); ok {
		return nil, missing.error(e.at())
	}
	return v, nil
}

// open takes a list or an object apart, within the budget.
func (r *Run) open(v any, at place) error {
	var err error
	switch v := v.(type) {
	case *list:
		if err = r.step(at, 1+len(v.raw)/64); err == nil {
			err = v.open()
		}
	case *object:
		if err = r.step(at, 1+len(v.raw)/64); err == nil {
			err = v.open()
		}
	}
	if err != nil {
		if _, ok := err.(*Error); !ok && r.ctx.Err() == nil {
			return errorAt(at, "the params: %v", err)
		}
	}
	return err
}

// toJSON is a value as JSON: what came from params as it was written, without
// the white space.
func (r *Run) toJSON(v any, at place) (string, error) {
	if s, ok := v.(string); ok {
		return `"` + escapeJSON(s) + `"`, r.grow(len(s), at)
	}
	b, err := r.appendJSON(nil, v, at)
	return string(b), err
}

func (r *Run) appendJSON(b []byte, v any, at place) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case number:
		return append(b, v...), r.grow(len(b)+len(v), at)
	case string:
		return r.appendString(b, v, at)
	case encoded:
		if v.as == asJSON {
			return append(b, v.text...), r.grow(len(b)+len(v.text), at)
		}
		return r.appendString(b, v.text, at)
	case *object:
		return r.appendRaw(b, v.raw, at)
	case *list:
		if v.raw != "" {
			return r.appendRaw(b, v.raw, at)
		}
		return r.appendList(b, v, at)
	}
	return nil, errorAt(at, "%s has no JSON", kindOf(v))
}

func (r *Run) appendString(b []byte, s string, at place) ([]byte, error) {
	if err := r.grow(len(b)+len(s), at); err != nil {
		return nil, err
	}
	b = append(b, '"')
	b = append(b, escapeJSON(s)...)
	return append(b, '"'), nil
}

func (r *Run) appendRaw(b []byte, raw string, at place) ([]byte, error) {
	if err := r.grow(len(b)+len(raw), at); err != nil {
		return nil, err
	}
	if !strings.ContainsAny(raw, " \n\t\r") {
		return append(b, raw...), nil
	}
	buf := bytes.NewBuffer(b)
	if err := json.Compact(buf, []byte(raw)); err != nil {
		return nil, errorAt(at, "the params: %v", err)
	}
	return buf.Bytes(), nil
}

// appendList writes a list that the template made. The lists in it may be the
// same one many times over: the bound on the text is what ends that.
func (r *Run) appendList(b []byte, l *list, at place) ([]byte, error) {
	b = append(b, '[')
	for i, item := range l.items {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = r.appendJSON(b, item, at); err != nil {
			return nil, err
		}
		if err := r.grow(len(b), at); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func wholeNumber(n int) number { return number(strconv.Itoa(n)) }
