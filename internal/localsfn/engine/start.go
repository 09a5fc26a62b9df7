package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
	"callfleet/internal/localsfn/machine"
	"callfleet/internal/localsfn/store"
	"callfleet/internal/telemetry"
)

// Started is the answer to a start.
type Started struct {
	ARN string
	At  time.Time
}

// Start begins an execution of a state machine under a name, and returns when
// that is in the log. As on AWS, a second start under the name with the same
// input is answered like the first while the execution runs; with another
// input, or after its end, it is ErrNameTaken. The span of ctx is the parent of
// the execution's.
func (e *Engine) Start(ctx context.Context, m store.Machine, name string, input expr.Value) (Started, error) {
	program, err := e.program(ctx, m.Definition)
	if err != nil {
		return Started{}, fmt.Errorf("start execution %s: %w", name, err)
	}
	k := store.Key{Machine: m.Name, Name: name}
	begin := machine.Start{Input: input, Start: history.Start{
		Key: k.String(), ARN: e.ARN(k), Name: name, RoleARN: m.RoleARN,
		MachineARN: e.MachineARN(m.Name), MachineName: m.Name, Revision: m.Definition, Region: e.o.Region,
	}}
	if begin.Traceparent, begin.Tracestate = telemetry.Inject(ctx); begin.Traceparent != "" {
		begin.TraceStart = time.Now().UnixNano()
	}
	if !e.begun() {
		return Started{}, ErrClosed
	}
	l := e.lock(e.get(k))
	defer l.mu.Unlock()
	if l.x == nil && l.last == 0 {
		l.x, l.program = &machine.Execution{}, program
		err := e.decide(l, begin)
		if err == nil {
			return Started{ARN: begin.ARN, At: l.x.Started()}, nil
		}
		l.x = nil
		if !errors.Is(err, store.ErrConflict) {
			return Started{}, e.failed(l, err)
		}
	}
	if l.x == nil {
		if err := e.load(l); err != nil {
			return Started{}, e.failed(l, err)
		}
	}
	if l.x.Done() || !expr.Equal(l.x.Input(), input) {
		return Started{}, fmt.Errorf("start execution %s: %w", name, ErrNameTaken)
	}
	return Started{ARN: l.x.Start().ARN, At: l.x.Started()}, nil
}
