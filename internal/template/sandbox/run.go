package sandbox

import (
	"context"
	"encoding/json"

	"callfleet/internal/template/sandbox/output"
	"callfleet/internal/template/sandbox/value"
)

// What callers need of the values.
type (
	Limits = value.Limits
	Params = value.Params
	Error  = value.Error

	// Position is the kind of place that a program's output goes to.
	Position = output.Position
)

// The positions.
const (
	Text = output.Text
	JSON = output.JSON
	URL  = output.URL
	Form = output.Form
	XML  = output.XML
)

// ParseParams reads a JSON object; see value.ParseParams.
func ParseParams(data json.RawMessage) (Params, error) { return value.ParseParams(data) }

// Run executes programs on one set of params, with one budget. It belongs to
// one goroutine.
type Run struct {
	*value.Budget
	params Params
	out    output.Output
}

// NewRun starts a budget.
func NewRun(ctx context.Context, params Params, limits Limits) *Run {
	return &Run{Budget: value.NewBudget(ctx, limits), params: params}
}

// value evaluates to something that is there.
func (r *Run) value(e expr, s *scope) (any, error) {
	v, err := e.eval(r, s)
	if err != nil {
		return nil, err
	}
	if missing, ok := v.(value.Undefined); ok {
		return nil, missing.MissingAt(e.At())
	}
	return v, nil
}
