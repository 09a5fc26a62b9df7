package tree

import (
	"context"

	"callfleet/internal/template/sandbox/output"
	"callfleet/internal/template/sandbox/value"
)

// Run executes trees on one set of params, with one budget. It belongs to one
// goroutine.
type Run struct {
	*value.Budget
	budget value.Budget
	params value.Params
	out    output.Output
	calls  int32 // macros and recursive loops that are open
	jinja  bool  // the tree that runs prints as Python does
}

// Start gives r its params and a budget. It is called once.
func (r *Run) Start(ctx context.Context, params value.Params, limits value.Limits) {
	r.budget = *value.NewBudget(ctx, limits)
	r.Budget, r.params = &r.budget, params
}

// Append runs a tree and appends what it prints to buf. The error is a
// *value.Error, or the context's cause.
func (r *Run) Append(buf []byte, body Block, at output.Position, jinja bool) (_ []byte, err error) {
	r.out = output.New(buf, r.MaxOutput(), at)
	r.out.Python, r.jinja, r.calls = jinja, jinja, 0
	defer func() {
		if v := recover(); v != nil { // contained: one template cannot end a worker
			err = value.ErrorAt(value.Place{}, "stopped by an internal fault")
		}
	}()
	if err := body.exec(r, &scope{}); err != nil {
		return nil, err
	}
	return r.out.Buf, nil
}

// Static appends a text without code.
func (r *Run) Static(buf []byte, text string, at output.Position) ([]byte, error) {
	r.out = output.New(buf, r.MaxOutput(), at)
	err := r.out.Static(text)
	return r.out.Buf, err
}

// value evaluates to something that is there.
func (r *Run) value(e Expr, s *scope) (any, error) {
	v, err := e.eval(r, s)
	if err != nil {
		return nil, err
	}
	if missing, ok := v.(value.Undefined); ok {
		if missing.Soft {
			return "", nil
		}
		return nil, missing.MissingAt(e.At())
	}
	return v, nil
}

// capture runs a body and gives what it prints as a text, which is escaped
// where it is printed.
func (r *Run) capture(body Block, s *scope) (string, error) {
	outer := r.out
	r.out = outer.Nested()
	err := body.exec(r, s)
	text := string(r.out.Buf)
	r.out = outer
	return text, err
}
