package machine

import (
	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
	"callfleet/internal/localsfn/machine/eventtype"
	"callfleet/internal/localsfn/machine/fault"
	"callfleet/internal/localsfn/machine/field"
)

// maxData is AWS's quota of bytes for an input or output.
const maxData = 256 << 10

// machine is the set of states that a frame runs.
func (d *decision) machine(f *frame) *asl.Machine {
	if f.machine != nil {
		return f.machine
	}
	switch {
	case f.parent == nil:
		f.machine = d.program.Machine
	case f.parent.group.isMap:
		f.machine = d.state(f.parent).Branches[0]
	default:
		f.machine = d.state(f.parent).Branches[f.index]
	}
	return f.machine
}

// state is the definition of the frame's current state.
func (d *decision) state(f *frame) *asl.State {
	if f.def == nil || f.def.Name != f.state {
		if f.def = d.machine(f).States[f.state]; f.def == nil {
			panic("machine: the execution is in state " + f.state + ", which the program does not have")
		}
	}
	return f.def
}

func (d *decision) enter(f *frame) {
	name := f.state
	if name == "" {
		name = d.machine(f).StartAt
	}
	s := d.machine(f).States[name]
	f.def = s
	d.emit(f, history.Event{Type: eventtype.Entered(s.Kind), Name: s.Name, Data: f.input})
}

// execute runs the state that was entered, or runs it again.
func (d *decision) execute(f *frame) {
	s := d.state(f)
	if s.Kind == asl.Fail {
		d.executeFail(f, s)
		return
	}
	input, err := d.filter(f, s.Input, f.input)
	if err != nil {
		d.fail(f, d.runtimeError(f, err))
		return
	}
	switch s.Kind {
	case asl.Pass:
		d.executePass(f, s, input)
	case asl.Succeed:
		d.pass(f, s, input)
	case asl.Choice:
		d.executeChoice(f, s, input)
	case asl.Wait:
		d.executeWait(f, s, input)
	case asl.Task:
		d.executeTask(f, s, input)
	case asl.Parallel:
		d.executeParallel(f, s, input)
	case asl.Map:
		d.executeMap(f, s, input)
	}
}

// filter applies InputPath or OutputPath to v.
func (d *decision) filter(f *frame, p asl.Filter, v expr.Value) (expr.Value, error) {
	switch {
	case p.Discard:
		return expr.Object(), nil
	case p.Path == nil:
		return v, nil
	}
	return p.Path.Eval(d.scope(f, v))
}

// payload applies Parameters.
func (d *decision) payload(f *frame, t *expr.Template, input expr.Value) (expr.Value, error) {
	if t == nil {
		return input, nil
	}
	return t.Eval(d.scope(f, input))
}

func (d *decision) executePass(f *frame, s *asl.State, input expr.Value) {
	result := s.Result
	if result.IsAbsent() {
		var err error
		if result, err = d.payload(f, s.Parameters, input); err != nil {
			d.fail(f, d.runtimeError(f, err))
			return
		}
	}
	d.finish(f, s, result)
}

func (d *decision) executeFail(f *frame, s *asl.State) {
	scope := d.scope(f, f.input)
	name, err := field.Text("ErrorPath", s.Error, scope)
	if err == nil {
		var cause *string
		if cause, err = field.Text("CausePath", s.Cause, scope); err == nil {
			d.failFrame(f, fault.Fault{Name: name, Cause: cause})
			return
		}
	}
	d.fail(f, d.runtimeError(f, err))
}

func (d *decision) executeChoice(f *frame, s *asl.State, input expr.Value) {
	scope := d.scope(f, input)
	for i := range s.Rules {
		holds, err := s.Rules[i].Condition.Holds(scope)
		if err != nil {
			d.fail(f, d.runtimeError(f, err))
			return
		}
		if holds {
			d.leave(f, s, exit{value: input, assign: s.Rules[i].Assign, assignFrom: input, next: s.Rules[i].Next})
			return
		}
	}
	if s.Default == "" {
		d.fail(f, fault.InState(s.Name, f.enteredID, "States.NoChoiceMatched", "Failed to transition out of the state. The state does not point to a next state."))
		return
	}
	d.leave(f, s, exit{value: input, assign: s.Assign, assignFrom: input, next: s.Default})
}

// pass leaves a state that has no result of its own: its output is its input.
func (d *decision) pass(f *frame, s *asl.State, input expr.Value) {
	d.leave(f, s, exit{value: input, assign: s.Assign, assignFrom: input, next: s.Next})
}

// finish leaves a state with a result.
func (d *decision) finish(f *frame, s *asl.State, result expr.Value) {
	if s.ResultSelector != nil {
		selected, err := s.ResultSelector.Eval(d.scope(f, result))
		if err != nil {
			d.fail(f, d.runtimeError(f, err))
			return
		}
		result = selected
	}
	value := result
	switch {
	case s.DiscardResult:
		value = f.input
	case s.ResultPath != nil:
		var err error
		if value, err = s.ResultPath.Set(f.input, result); err != nil {
			d.fail(f, d.runtimeError(f, err))
			return
		}
	}
	d.leave(f, s, exit{value: value, assign: s.Assign, assignFrom: result, next: s.Next})
}

// exit is how a state is left.
type exit struct {
	value expr.Value
	// assign is evaluated with assignFrom as its "$".
	assign     *expr.Template
	assignFrom expr.Value
	next       string
}

// executeWait sets the deadline of a Wait state, or leaves it when that has
// passed.
func (d *decision) executeWait(f *frame, s *asl.State, input expr.Value) {
	if f.phase == phaseWaiting {
		d.pass(f, s, input)
		return
	}
	until, err := field.WaitUntil(s.Delay, d.scope(f, input), d.env.Now)
	switch {
	case err != nil:
		d.fail(f, d.runtimeError(f, err))
	case until <= d.now:
		d.pass(f, s, input)
	default:
		d.emit(f, history.Event{Type: history.WaitScheduled, Deadline: until})
	}
}

// leave leaves a state, or fails it if its output cannot be made.
func (d *decision) leave(f *frame, s *asl.State, out exit) {
	value, err := d.filter(f, s.Output, out.value)
	if err != nil {
		d.fail(f, d.runtimeError(f, err))
		return
	}
	out.value = value
	if why := d.exit(f, s, out); why != nil {
		d.fail(f, *why)
	}
}

// exit assigns variables and makes the event; a failure has made none.
func (d *decision) exit(f *frame, s *asl.State, out exit) *fault.Fault {
	var assigned expr.Value
	if out.assign != nil {
		var err error
		if assigned, err = out.assign.Eval(d.scope(f, out.assignFrom)); err != nil {
			why := d.runtimeError(f, err)
			return &why
		}
	}
	if out.value.Size() > maxData {
		why := fault.TooLarge(s.Name)
		why.Final = true
		return &why
	}
	d.emit(f, history.Event{Type: eventtype.Exited(s.Kind), Name: s.Name, Data: out.value, Assigned: assigned, Next: out.next})
	return nil
}

// endFrame tells what started the frame that it ended well.
func (d *decision) endFrame(f *frame) {
	parent := f.parent
	switch {
	case parent == nil:
		d.emit(f, history.Event{Type: history.ExecutionSucceeded, Data: f.input})
		return
	case parent.group.isMap:
		d.emit(f, history.Event{Type: history.MapIterationSucceeded, Name: parent.state, Index: f.index})
	default:
		d.emit(f, history.Event{Type: history.BranchFinished, Data: f.input})
	}
	d.push(parent)
}
