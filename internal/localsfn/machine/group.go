package machine

import (
	"fmt"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
	"callfleet/internal/localsfn/machine/contextobject"
	"callfleet/internal/localsfn/machine/eventtype"
	"callfleet/internal/localsfn/machine/fault"
	"callfleet/internal/localsfn/machine/field"
)

func (d *decision) executeParallel(f *frame, s *asl.State, input expr.Value) {
	payload, err := d.payload(f, s.Parameters, input)
	if err != nil {
		d.fail(f, d.runtimeError(f, err))
		return
	}
	d.emit(f, history.Event{Type: history.ParallelStateStarted, Data: payload, Index: int64(len(s.Branches))})
	for i := len(f.group.children) - 1; i >= 0; i-- {
		d.push(f.group.children[i]) // the first branch runs first
	}
}

func (d *decision) executeMap(f *frame, s *asl.State, input expr.Value) {
	items, limit, err := field.Map(s, d.scope(f, input))
	if err != nil {
		d.fail(f, d.runtimeError(f, err))
		return
	}
	d.emit(f, history.Event{Type: history.MapStateStarted, Index: int64(len(items))})
	f.group.items, f.group.limit, f.group.resolved = items, limit, true
}

// stepGroup starts a Map's next iteration or, when everything below the frame
// has ended, ends the group. It returns false if it has to wait for a child.
func (d *decision) stepGroup(f *frame) bool {
	g := f.group
	if err := d.resolve(f); err != nil {
		d.abortGroup(f, nil, f.last)
		d.fail(f, d.runtimeError(f, err))
		return true
	}
	switch {
	case g.mayStart():
		d.startIteration(f)
	case g.done == g.length:
		d.finishGroup(f)
	default:
		return false
	}
	return true
}

// resolve fills in what a replay has not: items and concurrency.
func (d *decision) resolve(f *frame) error {
	g := f.group
	if !g.isMap || g.resolved {
		return nil
	}
	s := d.state(f)
	input, err := d.filter(f, s.Input, f.input)
	if err != nil {
		return err
	}
	g.items, g.limit, err = field.Map(s, d.scope(f, input))
	if err == nil && int64(len(g.items)) != g.length {
		err = fmt.Errorf("map state has %d items, had %d when it started", len(g.items), g.length)
	}
	g.resolved = err == nil
	return err
}

func (d *decision) startIteration(f *frame) {
	s, g := d.state(f), f.group
	index := g.next
	input, err := d.iterationInput(f, s, index)
	if err != nil {
		d.abortGroup(f, nil, f.last)
		d.fail(f, d.runtimeError(f, err))
		return
	}
	e := history.Event{Type: history.MapIterationStarted, Name: s.Name, Index: index, Data: input, Prev: g.startedID}
	if g.limit > 0 && index >= g.limit {
		e.Prev = g.freed // the iteration whose end made room
	}
	d.emit(f, e)
	d.push(g.children[len(g.children)-1])
}

func (d *decision) iterationInput(f *frame, s *asl.State, index int64) (expr.Value, error) {
	item := f.group.items[index].Compact()
	if s.Parameters == nil {
		return item, nil
	}
	input, err := d.filter(f, s.Input, f.input)
	if err != nil {
		return input, err
	}
	return s.Parameters.Eval(d.scope(f, input, contextobject.Item(index, item)))
}

func (d *decision) finishGroup(f *frame) {
	s, g := d.state(f), f.group
	succeeded := history.ParallelStateSucceeded
	if g.isMap {
		succeeded = history.MapStateSucceeded
	}
	result := expr.Array(g.results...)
	d.emit(f, history.Event{Type: succeeded, Name: s.Name})
	d.finish(f, s, result)
}

// failGroup ends the group that f is part of, because f failed.
func (d *decision) failGroup(f *frame, why fault.Fault) {
	parent, last := f.parent, f.last
	switch {
	case parent.group.isMap:
		d.emit(f, history.Event{Type: history.MapIterationFailed, Name: parent.state, Index: f.index})
	case d.state(f).Kind == asl.Task && f.phase == phaseSettled:
		d.emit(f, history.Event{Type: history.TaskStateAborted, Name: f.state})
	}
	d.abortGroup(parent, f, last)
	d.fail(parent, why)
	d.push(parent)
}

// abortGroup stops everything in a group but the child that failed, if one
// did; last is the event that what comes next follows.
func (d *decision) abortGroup(f, failed *frame, last int64) {
	for _, c := range f.group.children {
		if c != failed {
			d.abort(c)
		}
	}
	d.emit(f, history.Event{Type: history.AttemptFailed, Prev: last})
}

// abort records that a frame was stopped from outside.
func (d *decision) abort(f *frame) {
	if f.group != nil {
		for _, c := range f.group.children {
			d.abort(c)
		}
	}
	switch f.phase {
	case phaseNext, phaseEnded: // between two states
	default:
		if aborted := eventtype.Aborted(d.state(f).Kind); aborted != 0 {
			d.emit(f, history.Event{Type: aborted, Name: f.state})
		}
	}
	if f.parent.group.isMap {
		d.emit(f, history.Event{Type: history.MapIterationAborted, Name: f.parent.state, Index: f.index})
	}
}
