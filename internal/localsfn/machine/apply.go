package machine

import (
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
)

// Apply folds one event, made by Decide or read from the log. Events must come
// in the order in which they were made.
func (x *Execution) Apply(e history.Event) { x.apply(&e) }

func (x *Execution) apply(e *history.Event) {
	if e.ID > x.lastID {
		x.lastID = e.ID
	}
	if e.Type == history.ExecutionStarted {
		x.begin(e)
		return
	}
	f := x.frame(e.Frame)
	if f == nil {
		return
	}
	switch {
	case e.Type.Entered():
		f.enter(e)
		return
	case e.Type.Exited():
		f.exit(e)
		return
	}
	switch e.Type {
	case history.ExecutionSucceeded, history.ExecutionFailed, history.ExecutionAborted, history.ExecutionTimedOut:
		x.end(e)
	case history.WaitScheduled:
		f.phase, f.deadline = phaseWaiting, e.Deadline
	case history.RetryScheduled:
		f.retry(e)
	case history.ParallelStateStarted, history.MapStateStarted, history.MapIterationStarted:
		x.startGroup(f, e)
	case history.MapIterationSucceeded, history.BranchFinished:
		x.endChild(f, e)
	case history.MapIterationFailed:
		f.parent.group.remove(f)
		delete(x.frames, f.number)
	case history.AttemptFailed:
		x.dropGroup(f)
		f.last = e.Prev
	case history.MapStateSucceeded, history.ParallelStateSucceeded:
		f.phase = phaseSettled
	case history.MapStateFailed, history.ParallelStateFailed:
		f.last = e.ID
	case history.TaskStateAborted, history.WaitStateAborted, history.MapIterationAborted,
		history.MapStateAborted, history.ParallelStateAborted:
		// The AttemptFailed that follows drops the frames.
	default:
		x.applyTask(f, e)
	}
}

func (x *Execution) begin(e *history.Event) {
	x.status = Running
	x.start, x.input = e.Start, e.Data
	x.startedAt, x.deadline = e.At, e.Deadline
	x.root = &frame{state: e.Next, input: e.Data}
	x.nextFrame = 1
}

func (x *Execution) end(e *history.Event) {
	x.stoppedAt = e.At
	x.errorName, x.cause = e.Error, e.Cause
	switch e.Type {
	case history.ExecutionSucceeded:
		x.status, x.output = Succeeded, e.Data
	case history.ExecutionFailed:
		x.status = Failed
	case history.ExecutionAborted:
		x.status = Aborted
	case history.ExecutionTimedOut:
		x.status = TimedOut
	}
	x.root.drop()
	x.root, x.frames, x.open = nil, nil, nil
}

func (x *Execution) frame(number int32) *frame {
	if number == 0 {
		return x.root
	}
	return x.frames[number]
}

func (f *frame) enter(e *history.Event) {
	f.phase = phaseEntered
	f.state, f.input = e.Name, e.Data
	f.enteredID, f.enteredAt, f.last = e.ID, e.At, e.ID
	f.retries, f.retryCount = nil, 0
}

func (f *frame) exit(e *history.Event) {
	f.input, f.last = e.Data, e.ID
	f.group, f.task = nil, nil
	for _, m := range e.Assigned.Members() {
		if f.vars == nil {
			f.vars = map[string]expr.Value{}
		}
		f.vars[m.Key] = m.Value
	}
	if e.Next == "" {
		f.phase = phaseEnded
		return
	}
	f.phase, f.state = phaseNext, e.Next
}

func (f *frame) retry(e *history.Event) {
	for int64(len(f.retries)) <= e.Index {
		f.retries = append(f.retries, 0)
	}
	f.retries[e.Index]++
	f.retryCount++
	f.phase, f.deadline = phaseRetrying, e.Deadline
	f.task, f.group = nil, nil
}

// startGroup starts a Parallel state with all its branches, a Map state, or
// one of a Map's iterations.
func (x *Execution) startGroup(f *frame, e *history.Event) {
	switch e.Type {
	case history.ParallelStateStarted:
		f.group = &group{startedID: e.ID, length: e.Index, next: e.Index, results: make([]expr.Value, e.Index)}
		for i := range e.Index {
			x.addChild(f, i, e)
		}
	case history.MapStateStarted:
		f.group = &group{isMap: true, startedID: e.ID, length: e.Index, results: make([]expr.Value, e.Index)}
	case history.MapIterationStarted:
		f.group.next = e.Index + 1
		x.addChild(f, e.Index, e)
		return
	}
	f.phase, f.last = phaseGroup, e.ID
}

func (x *Execution) addChild(f *frame, index int64, e *history.Event) {
	child := &frame{number: x.nextFrame, parent: f, index: index, input: e.Data, last: e.ID}
	x.nextFrame++
	if x.frames == nil {
		x.frames = map[int32]*frame{}
	}
	x.frames[child.number] = child
	f.group.children = append(f.group.children, child)
}

// endChild takes a branch or iteration that ended well out of its group.
func (x *Execution) endChild(child *frame, e *history.Event) {
	f := child.parent
	f.group.results[child.index] = child.input
	f.group.freed = child.last
	f.group.done++
	f.group.remove(child)
	delete(x.frames, child.number)
	f.last = child.last
	if e.Type == history.MapIterationSucceeded {
		f.last = e.ID
	}
}

// dropGroup ends the attempt of a Parallel or Map state and all that runs in it.
func (x *Execution) dropGroup(f *frame) {
	f.phase = phaseSettled
	if f.group == nil {
		return
	}
	for _, c := range f.group.children {
		c.each(func(below *frame) {
			delete(x.frames, below.number)
			if below.task != nil {
				delete(x.open, below.task.Scheduled)
			}
		})
		c.drop()
	}
	f.group = nil
}

// applyTask folds what happens to a task.
func (x *Execution) applyTask(f *frame, e *history.Event) {
	switch e.Type {
	case history.TaskScheduled, history.LambdaFunctionScheduled, history.ActivityScheduled:
		x.schedule(f, e)
		return
	}
	if f.task == nil {
		return
	}
	switch e.Type {
	case history.HeartbeatReceived:
		f.task.beat(e.At)
		return
	case history.TaskStarted, history.LambdaFunctionStarted, history.ActivityStarted:
		f.task.started = true
		f.task.beat(e.At)
	case history.TaskSubmitted:
		f.task.submitted, f.task.submission = true, e.Data
		f.task.beat(e.At)
	default: // succeeded, failed, timed out
		delete(x.open, f.task.Scheduled)
		f.phase, f.task = phaseSettled, nil
	}
	f.last = e.ID
}

func (x *Execution) schedule(f *frame, e *history.Event) {
	t := &task{Task: e.Task, state: f.state, parameters: e.Data, scheduledAt: e.At}
	if e.Task.TimeoutSeconds > 0 {
		t.timeout = e.At + e.Task.TimeoutSeconds*1000
	}
	f.phase, f.task, f.last = phaseTask, t, e.ID
	if x.open == nil {
		x.open = map[int64]*frame{}
	}
	x.open[e.ID], x.scheduled = f, e.ID
}

// beat moves the heartbeat deadline. Only who has a token can send heartbeats.
func (t *task) beat(at int64) {
	if t.HeartbeatSeconds > 0 && t.Secret != [16]byte{} {
		t.heartbeat = at + t.HeartbeatSeconds*1000
	}
}
