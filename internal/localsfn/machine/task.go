package machine

import (
	"encoding/binary"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
	"callfleet/internal/localsfn/machine/contextobject"
	"callfleet/internal/localsfn/machine/eventtype"
	"callfleet/internal/localsfn/machine/fault"
	"callfleet/internal/localsfn/machine/field"
	"callfleet/internal/localsfn/machine/token"
)

// executeTask schedules a task. All but an activity's count as started at
// once: the request is sent as soon as the decision is persisted.
func (d *decision) executeTask(f *frame, s *asl.State, input expr.Value) {
	t := &history.Task{
		Scheduled: d.x.lastID + 1, Region: d.x.start.Region,
		Resource: s.Resource.Shown, ResourceType: s.Resource.ShownType,
	}
	var more []expr.Member
	if s.Resource.HasToken() {
		binary.BigEndian.PutUint64(t.Secret[:8], d.env.Rand.Uint64())
		binary.BigEndian.PutUint64(t.Secret[8:], d.env.Rand.Uint64())
		more = append(more, contextobject.Task(token.Make(d.x.start.Key, t.Scheduled, t.Secret)))
	}
	parameters, err := field.Task(s, d.scope(f, input, more...), t)
	if err != nil {
		d.fail(f, d.runtimeError(f, err))
		return
	}
	types := eventtype.OfTask(s.Resource.Integration)
	d.emit(f, history.Event{Type: types.Scheduled, Data: parameters, Task: t})
	if s.Resource.Integration != asl.Activity {
		d.emit(f, history.Event{Type: types.Started, Task: f.task.Task})
	}
}

func (d *decision) taskStarted(in TaskStarted) {
	f := d.x.open[in.Task]
	if f == nil || f.task.started {
		return
	}
	started := *f.task.Task
	started.Worker = in.Worker
	d.emit(f, history.Event{Type: history.ActivityStarted, Task: &started})
}

func (d *decision) taskSucceeded(f *frame, output expr.Value) {
	s := d.state(f)
	if output.Size() > maxData {
		what := f.task.ResourceType
		if what == "" {
			what = f.task.Resource
		}
		d.taskFailed(f, fault.TooLarge(what))
		return
	}
	d.emit(f, history.Event{Type: eventtype.OfTask(s.Resource.Integration).Succeeded, Data: output, Task: f.task.Task})
	d.finish(f, s, output)
	d.push(f)
}

func (d *decision) taskFailed(f *frame, why fault.Fault) {
	s := d.state(f)
	d.emit(f, history.Event{Type: eventtype.OfTask(s.Resource.Integration).Failed, Error: why.Name, Cause: why.Cause, Task: f.task.Task})
	d.fail(f, why)
	d.push(f)
}

func (d *decision) taskTimedOut(f *frame) {
	s := d.state(f)
	t := f.task
	why := fault.Timeout(t.timeout == 0 || t.timeout > d.now)
	d.emit(f, history.Event{Type: eventtype.OfTask(s.Resource.Integration).TimedOut, Error: why.Name, Task: f.task.Task})
	d.fail(f, why)
	d.push(f)
}
