// Package value holds what templates compute with: JSON values that keep the
// text they were written in, the operations on them, and the budget that every
// operation is paid from, so that all of them end.
package value

import (
	"context"
	"fmt"
	"time"
)

// Place is where something stands in the template text, from 1.
type Place struct{ Line, Column int }

// At is the place itself, for what embeds one.
func (p Place) At() Place { return p }

// Error is what is wrong with a text, or went wrong in it, and where. It shows
// no value of a param.
type Error struct {
	Line, Column int // from 1, Column in bytes; 0 is the text as a whole
	Message      string
}

// Error is "line 1 column 2: message".
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d column %d: %s", e.Line, e.Column, e.Message)
}

// ErrorAt is an Error at a place.
func ErrorAt(p Place, format string, args ...any) error {
	return &Error{Line: p.Line, Column: p.Column, Message: fmt.Sprintf(format, args...)}
}

// Within gives an error without a place the place that it happened in.
func Within(p Place, err error) error {
	if e, ok := err.(*Error); ok && e.Line == 0 {
		return &Error{Line: p.Line, Column: p.Column, Message: e.Message}
	}
	return err
}

// MissingAt says that the name is missing, where it is used.
func (u Undefined) MissingAt(p Place) error {
	if u.Reason != "" {
		return ErrorAt(p, "%s is not in params (%s)", u.Path, u.Reason)
	}
	return ErrorAt(p, "%s is not in params", u.Path)
}

// Limits bound one Budget. All must be positive.
type Limits struct {
	MaxOutput int // bytes that one program prints, and of any text on the way
	MaxSteps  int // operations of all programs together
	// Timeout bounds all programs together, to a fraction of a millisecond.
	Timeout time.Duration
	Clock   func() time.Time // what now() reads; nil is the machine's
}

// Budget is what one rendering may still spend. It belongs to one goroutine.
type Budget struct {
	ctx    context.Context // the caller's: a Budget lives as long as one call
	limits Limits
	steps  int
	// deadline is set at the first look at the clock, which few programs live
	// to see.
	deadline time.Time
	now      *time.Time // what now() says, once it was asked
}

// NewBudget starts a budget, which the end of ctx ends as well.
func NewBudget(ctx context.Context, limits Limits) *Budget {
	return &Budget{ctx: ctx, limits: limits}
}

// Now is the time of the rendering: the same whenever it is asked.
func (g *Budget) Now() time.Time {
	if g.now == nil {
		now := time.Now
		if g.limits.Clock != nil {
			now = g.limits.Clock
		}
		t := now()
		g.now = &t
	}
	return *g.now
}

// MaxOutput is the longest text that may be made.
func (g *Budget) MaxOutput() int { return g.limits.MaxOutput }

// stepsPerLook is how many steps may pass before the context is looked at:
// well under a millisecond.
const stepsPerLook = 2048

// Step takes n from the budget. All work that can grow passes here, so that a
// program always ends.
func (g *Budget) Step(at Place, n int) error {
	before := g.steps
	g.steps += n
	if g.steps > g.limits.MaxSteps {
		return ErrorAt(at, "does more than %d steps", g.limits.MaxSteps)
	}
	if before/stepsPerLook == g.steps/stepsPerLook {
		return nil
	}
	if g.ctx.Err() != nil {
		return context.Cause(g.ctx)
	}
	now := time.Now()
	if g.deadline.IsZero() {
		g.deadline = now.Add(g.limits.Timeout)
	}
	if now.After(g.deadline) {
		return ErrorAt(at, "takes longer than %v", g.limits.Timeout)
	}
	return nil
}

// Grow takes the budget for making a text of n bytes.
func (g *Budget) Grow(n int, at Place) error {
	if n > g.limits.MaxOutput {
		return ErrorAt(at, "makes more than %d bytes", g.limits.MaxOutput)
	}
	return g.Step(at, 1+n/64)
}
