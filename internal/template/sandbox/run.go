package sandbox

import (
	"context"
	"encoding/json"

	"callfleet/internal/template/sandbox/output"
	"callfleet/internal/template/sandbox/tree"
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
type Run struct{ run tree.Run }

// NewRun starts a budget.
func NewRun(ctx context.Context, params Params, limits Limits) *Run {
	r := &Run{}
	r.run.Start(ctx, params, limits)
	return r
}
