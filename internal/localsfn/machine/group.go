package machine

import (
	"fmt"
	"math"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
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
	items, limit, err := d.resolveMap(f, s, input)
	if err != nil {
		d.fail(f, d.runtimeError(f, err))
		return
	}
	d.emit(f, history.Event{Type: history.MapStateStarted, Index: int64(len(items))})
	f.group.items, f.group.limit, f.group.resolved = items, limit, true
}

// resolveMap works out a Map's items and concurrency from its input. It gives
// the same answer each time it is asked during an attempt.
func (d *decision) resolveMap(f *frame, s *asl.State, input expr.Value) (items []expr.Value, limit int64, err error) {
	scope := d.scope(f, input)
	list := input
	if s.Items != nil {
		if list, err = s.Items.Items(scope); err != nil {
			return nil, 0, err
		}
	}
	if list.Kind() != expr.KindArray {
		return nil, 0, &expr.Error{Name: expr.Runtime, Message: "Reference path \"$\" must point to array."}
	}
	if limit, err = evalAmount("MaxConcurrencyPath", s.MaxConcurrency, scope, 0); err != nil {
		return nil, 0, err
	}
	if err := checkTolerance(s.Tolerated, scope); err != nil {
		return nil, 0, err
	}
	return list.Elements(), limit, nil
}

// checkTolerance evaluates what an inline Map accepts but does not act on.
func checkTolerance(t asl.Tolerance, scope *expr.Scope) error {
	if t.Count.Path != nil {
		const field = "ToleratedFailureCount"
		n, err := evalAmount(field+"Path", t.Count, scope, math.MinInt64)
		if err != nil {
			return err
		}
		if n < 0 {
			return &expr.Error{Name: expr.Runtime, Message: field + " cannot be negative."}
		}
	}
	if t.Percentage.Path != nil {
		const field = "ToleratedFailurePercentage"
		v, err := t.Percentage.Path.Eval(scope)
		if err != nil {
			return err
		}
		if v.Kind() != expr.KindNumber {
			return notA("float", field+"Path", v, t.Percentage.Path)
		}
		if v.Float() < 0 || v.Float() > 100 {
			return &expr.Error{Name: expr.Runtime, Message: field + " must be between 0 and 100."}
		}
	}
	return nil
}

// stepGroup starts a Map's next iteration or, when everything below the frame
// has ended, ends the group. It returns false if it has to wait for a child.
func (d *decision) stepGroup(f *frame) bool {
	g := f.group
	if err := d.resolve(f); err != nil {
		d.abortGroup(f, f.last)
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
	g.items, g.limit, err = d.resolveMap(f, s, input)
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
		d.abortGroup(f, f.last)
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
	return s.Parameters.Eval(d.itemScope(f, input, mapItem(index, item)))
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
func (d *decision) failGroup(f *frame, why failure) {
	parent, last := f.parent, f.last
	s := d.state(f)
	if parent.group.isMap {
		d.emit(f, history.Event{Type: history.MapIterationFailed, Name: parent.state, Index: f.index})
	} else if s.Kind == asl.Task && f.phase == phaseSettled {
		d.emit(f, history.Event{Type: history.TaskStateAborted, Name: s.Name})
		f.removed = true
	} else {
		f.removed = true
	}
	d.abortGroup(parent, last)
	d.fail(parent, why)
	d.push(parent)
}

// abortGroup stops everything in a group; last is the event that what comes
// next follows.
func (d *decision) abortGroup(f *frame, last int64) {
	for _, c := range f.group.children {
		if !c.removed {
			d.abort(c)
		}
	}
	d.emit(f, history.Event{Type: history.AttemptFailed, Prev: last})
}

// abort records that a frame was stopped from outside.
func (d *decision) abort(f *frame) {
	switch f.phase {
	case phaseTask, phaseRetrying:
		if f.phase == phaseTask || d.state(f).Kind == asl.Task {
			d.emit(f, history.Event{Type: history.TaskStateAborted, Name: f.state})
		}
	case phaseWaiting:
		d.emit(f, history.Event{Type: history.WaitStateAborted, Name: f.state})
	case phaseGroup:
		for _, c := range f.group.children {
			d.abort(c)
		}
		aborted := history.ParallelStateAborted
		if f.group.isMap {
			aborted = history.MapStateAborted
		}
		d.emit(f, history.Event{Type: aborted, Name: f.state})
	}
	if f.parent.group.isMap {
		d.emit(f, history.Event{Type: history.MapIterationAborted, Name: f.parent.state, Index: f.index})
	}
}
