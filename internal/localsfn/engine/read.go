package engine

import (
	"context"
	"fmt"
	"time"

	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
	"callfleet/internal/localsfn/machine"
	"callfleet/internal/localsfn/store"
)

// Description is an execution as it stands in the log.
type Description struct {
	Start            history.Start
	Status           store.Status
	Input, Output    expr.Value
	Error, Cause     *string
	Started, Stopped time.Time

	x *machine.Execution // nobody else's
}

// Describe reads an execution; ErrNotFound if there is none.
func (e *Engine) Describe(ctx context.Context, k store.Key) (*Description, error) {
	records, err := e.store.Load(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("describe execution: %w", err)
	}
	x, err := fold(records)
	if err != nil {
		return nil, fmt.Errorf("describe execution: %w", err)
	}
	d := &Description{Start: *x.Start(), Status: status(x.Status()), Input: x.Input(), Output: x.Output(), Started: x.Started(), Stopped: x.Stopped(), x: x}
	d.Error, d.Cause = x.Failure()
	return d, nil
}

// History reads the events of an execution that AWS shows, in order;
// ErrNotFound if there is none.
func (e *Engine) History(ctx context.Context, k store.Key) ([]history.Event, error) {
	records, err := e.store.Load(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	var all []history.Event
	for i := range records {
		events, err := history.Decode(records[i].Data)
		if err != nil {
			return nil, fmt.Errorf("read history: record %d of execution %s: %w", records[i].Seq, k, err)
		}
		for _, ev := range events {
			if ev.Type.Public() {
				all = append(all, ev)
			}
		}
	}
	return all, nil
}

// Stop aborts an execution and returns when it stopped, which is earlier if it
// had ended already. Both texts may be nil.
func (e *Engine) Stop(k store.Key, name, cause *string) (time.Time, error) {
	var stopped *machine.Execution
	err := e.apply(e.get(k), func(l *live) (machine.Input, error) {
		if stopped = l.x; l.x.Done() {
			return nil, nil
		}
		return machine.Stop{Error: name, Cause: cause}, nil
	})
	if err != nil {
		return time.Time{}, err
	}
	return stopped.Stopped(), nil // it has ended: nothing writes to it any more
}
