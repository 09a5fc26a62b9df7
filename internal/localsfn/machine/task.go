package machine

import (
	"encoding/binary"
	"fmt"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
)

// taskTypes are the events of a task, by how it is called.
type taskTypes struct{ scheduled, started, succeeded, failed, timedOut history.Type }

func typesOf(integration asl.Integration) taskTypes {
	switch integration {
	case asl.LambdaARN:
		return taskTypes{history.LambdaFunctionScheduled, history.LambdaFunctionStarted, history.LambdaFunctionSucceeded, history.LambdaFunctionFailed, history.LambdaFunctionTimedOut}
	case asl.Activity:
		return taskTypes{history.ActivityScheduled, history.ActivityStarted, history.ActivitySucceeded, history.ActivityFailed, history.ActivityTimedOut}
	}
	return taskTypes{history.TaskScheduled, history.TaskStarted, history.TaskSucceeded, history.TaskFailed, history.TaskTimedOut}
}

// executeTask schedules a task. All but an activity's count as started at
// once: the request is sent as soon as the decision is persisted.
func (d *decision) executeTask(f *frame, s *asl.State, input expr.Value) {
	t := &history.Task{
		Scheduled: d.x.lastID + 1, Region: d.x.start.Region,
		Resource: s.Resource.Shown, ResourceType: s.Resource.ShownType,
	}
	if s.Resource.HasToken() {
		binary.BigEndian.PutUint64(t.Secret[:8], d.env.Rand.Uint64())
		binary.BigEndian.PutUint64(t.Secret[8:], d.env.Rand.Uint64())
	}
	scope := d.scope(f, input)
	if s.Resource.HasToken() {
		scope = d.taskScope(f, input, makeToken(d.x.start.Key, t.Scheduled, t.Secret))
	}
	parameters, err := evalTask(s, scope, t)
	if err != nil {
		d.fail(f, d.runtimeError(f, err))
		return
	}
	types := typesOf(s.Resource.Integration)
	d.emit(f, history.Event{Type: types.scheduled, Data: parameters, Task: t})
	if s.Resource.Integration != asl.Activity {
		d.emit(f, d.taskEvent(f, history.Event{Type: types.started}))
	}
}

// evalTask works out what a task is asked to do: its parameters and, into t,
// its bounds.
func evalTask(s *asl.State, scope *expr.Scope, t *history.Task) (parameters expr.Value, err error) {
	parameters = scope.Input
	if s.Parameters != nil {
		if parameters, err = s.Parameters.Eval(scope); err != nil {
			return parameters, err
		}
	}
	if t.TimeoutSeconds, err = evalAmount("TimeoutSecondsPath", s.Timeout, scope, 1); err != nil {
		return parameters, err
	}
	if t.HeartbeatSeconds, err = evalAmount("HeartbeatSecondsPath", s.Heartbeat, scope, 1); err != nil {
		return parameters, err
	}
	if s.Credentials != nil {
		t.Credentials, err = s.Credentials.Eval(scope)
	}
	return parameters, err
}

// evalAmount is an amount's value, 0 if the state does not give it.
func evalAmount(field string, a asl.Amount, scope *expr.Scope, least int64) (int64, error) {
	if a.Path == nil {
		return a.Value, nil
	}
	v, err := a.Path.Eval(scope)
	if err != nil {
		return 0, err
	}
	n, ok := v.Int()
	if v.Kind() != expr.KindNumber || !ok {
		return 0, notA("integer", field, v, a.Path)
	}
	if n < least {
		return 0, &expr.Error{Name: expr.Runtime, Message: fmt.Sprintf("The %s field refers to value %d which is less than %d: %s", field, n, least, a.Path)}
	}
	return n, nil
}

// notA is the error of a path that leads to something other than a number.
func notA(what, field string, v expr.Value, path *expr.Path) error {
	shown := string(v.JSON())
	if v.Kind() == expr.KindString {
		shown = v.Text()
	}
	return &expr.Error{Name: expr.Runtime, Message: fmt.Sprintf("The %s field refers to value \"%s\" which is not a valid %s: %s", field, shown, what, path)}
}

// taskEvent completes an event about the frame's task.
func (d *decision) taskEvent(f *frame, e history.Event) history.Event {
	e.Task = f.task.Task
	return e
}

func (d *decision) taskStarted(in TaskStarted) {
	f := d.x.open[in.Task]
	if f == nil || f.task.started {
		return
	}
	e := d.taskEvent(f, history.Event{Type: history.ActivityStarted})
	started := *f.task.Task
	started.Worker = in.Worker
	e.Task = &started
	d.emit(f, e)
}

func (d *decision) taskSucceeded(f *frame, output expr.Value) {
	s := d.state(f)
	if output.Size() > maxData {
		what := f.task.ResourceType
		if what == "" {
			what = f.task.Resource
		}
		d.taskFailed(f, tooLarge(what))
		return
	}
	d.emit(f, d.taskEvent(f, history.Event{Type: typesOf(s.Resource.Integration).succeeded, Data: output}))
	d.finish(f, s, output)
	d.push(f)
}

func (d *decision) taskFailed(f *frame, why failure) {
	s := d.state(f)
	d.emit(f, d.taskEvent(f, history.Event{Type: typesOf(s.Resource.Integration).failed, Error: why.name, Cause: why.cause}))
	d.fail(f, why)
	d.push(f)
}

func (d *decision) taskTimedOut(f *frame) {
	s := d.state(f)
	t := f.task
	why := failure{name: text(errTimeout), heartbeat: t.timeout == 0 || t.timeout > d.now}
	d.emit(f, d.taskEvent(f, history.Event{Type: typesOf(s.Resource.Integration).timedOut, Error: why.name}))
	d.fail(f, why)
	d.push(f)
}
