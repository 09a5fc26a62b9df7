package machine

import (
	"slices"
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
	"callfleet/internal/localsfn/machine/fault"
)

const (
	// maxEvents is AWS's quota of events in one execution.
	maxEvents = 25000
	// maxDecisionEvents and maxDecisionBytes end a decision that would not fit
	// into one record of the log.
	maxDecisionEvents = 1000
	maxDecisionBytes  = 512 << 10
)

// Env is what a decision may take from the world.
type Env struct {
	Now time.Time
	// Rand feeds task tokens, so it must not be foreseeable, and jitter.
	Rand interface{ Uint64() uint64 }
}

// Input is something that happened to an execution. The types below are all
// there are.
type Input interface{ input() }

type (
	// Start begins the execution.
	Start struct {
		history.Start
		Input expr.Value
	}
	// TaskStarted says that an activity's worker took the task. Other tasks
	// count as started when they are scheduled.
	TaskStarted struct {
		Task   int64
		Worker string
	}
	// TaskSubmitted says that the service took a .waitForTaskToken or .sync
	// request, and what it answered.
	TaskSubmitted struct {
		Task   int64
		Output expr.Value
	}
	// TaskSucceeded settles a task with its result.
	TaskSucceeded struct {
		Task   int64
		Output expr.Value
	}
	// TaskFailed settles a task with an error; Error and Cause may be nil.
	TaskFailed struct {
		Task         int64
		Error, Cause *string
	}
	// Heartbeat moves a task's heartbeat deadline.
	Heartbeat struct{ Task int64 }
	// Tick says that time has passed: whatever is due at Env.Now happens.
	Tick struct{}
	// Stop aborts the execution; Error and Cause may be nil.
	Stop struct{ Error, Cause *string }
	// Continue goes on after a decision that returned more.
	Continue struct{}
)

func (Start) input()         {}
func (TaskStarted) input()   {}
func (TaskSubmitted) input() {}
func (TaskSucceeded) input() {}
func (TaskFailed) input()    {}
func (Heartbeat) input()     {}
func (Tick) input()          {}
func (Stop) input()          {}
func (Continue) input()      {}

// Decide works out what follows from in and folds it into x. It is pure apart
// from that. It runs on through every state that needs nothing from outside.
// An input that no longer fits (an answer for a settled task, a Tick with
// nothing due, anything after the end) makes no events. more means it stopped
// at a cap on a decision's size: persist, then Decide again with Continue.
func Decide(p *asl.Program, x *Execution, in Input, env Env) (events []history.Event, more bool) {
	d := decision{program: p, x: x, env: env, now: env.Now.UnixMilli()}
	if _, starting := in.(Start); starting == (x.status == "") && !x.Done() {
		d.handle(in)
		more = d.run()
	}
	return d.events, more
}

// decision is one call of Decide.
type decision struct {
	program *asl.Program
	x       *Execution
	env     Env
	now     int64
	events  []history.Event
	// bytes estimates the size of the events' data.
	bytes int
	// work is a stack of frames that may be able to run.
	work []*frame
	// context caches the part of the context object that an execution's
	// states share.
	context []expr.Member
}

// emit numbers an event of a frame, folds it and keeps it. Prev defaults to
// the frame's latest event.
func (d *decision) emit(f *frame, e history.Event) {
	e.At = d.now
	if f != nil {
		e.Frame = f.number
		if e.Prev == 0 {
			e.Prev = f.last
		}
	}
	if e.Type.Public() {
		e.ID = d.x.lastID + 1
	}
	if d.events == nil {
		d.events = make([]history.Event, 0, 24)
	}
	d.events = append(d.events, e)
	d.bytes += e.Data.Size()
	d.x.apply(&d.events[len(d.events)-1])
}

func (d *decision) start(in Start) {
	start := in.Start
	e := history.Event{Type: history.ExecutionStarted, Data: in.Input, Start: &start, Next: d.program.StartAt}
	if d.program.Timeout > 0 {
		e.Deadline = d.env.Now.Add(d.program.Timeout).UnixMilli()
	}
	d.emit(nil, e)
	d.push(d.x.root)
}

func (d *decision) handle(in Input) {
	switch in := in.(type) {
	case Start:
		d.start(in)
	case TaskStarted:
		d.taskStarted(in)
	case TaskSubmitted:
		if f := d.x.open[in.Task]; f != nil && !f.task.submitted {
			d.emit(f, history.Event{Type: history.TaskSubmitted, Data: in.Output, Task: f.task.Task})
		}
	case TaskSucceeded:
		if f := d.x.open[in.Task]; f != nil {
			d.taskSucceeded(f, in.Output)
		}
	case TaskFailed:
		if f := d.x.open[in.Task]; f != nil {
			d.taskFailed(f, fault.Fault{Name: in.Error, Cause: in.Cause})
		}
	case Heartbeat:
		if f := d.x.open[in.Task]; f != nil && f.task.heartbeat != 0 {
			d.emit(f, history.Event{Type: history.HeartbeatReceived})
		}
	case Tick:
		d.tick()
	case Stop:
		// AWS's ExecutionAborted follows no event.
		d.emit(nil, history.Event{Type: history.ExecutionAborted, Error: in.Error, Cause: in.Cause})
	case Continue:
		d.pushAll(d.x.root)
	}
}

// pushAll pushes a frame and all below it, so that the first child runs first
// and before what started it.
func (d *decision) pushAll(f *frame) {
	d.push(f)
	if f.group != nil {
		for _, c := range slices.Backward(f.group.children) {
			d.pushAll(c)
		}
	}
}

// tick makes happen what is due.
func (d *decision) tick() {
	if d.x.deadline != 0 && d.x.deadline <= d.now {
		d.emit(nil, history.Event{Type: history.ExecutionTimedOut})
		return
	}
	var due []*frame
	d.x.root.each(func(f *frame) {
		if f.due(d.now) {
			due = append(due, f)
		}
	})
	for _, f := range due {
		switch {
		case f.removed || d.x.Done():
		case f.phase == phaseTask:
			d.taskTimedOut(f)
		default:
			d.push(f)
		}
	}
}

// due reports whether a deadline of the frame has passed.
func (f *frame) due(now int64) bool {
	switch f.phase {
	case phaseWaiting, phaseRetrying:
		return f.deadline <= now
	case phaseTask:
		t := f.task
		return t.timeout != 0 && t.timeout <= now || t.heartbeat != 0 && t.heartbeat <= now
	}
	return false
}

func (d *decision) push(f *frame) { d.work = append(d.work, f) }

// run steps through the frames until none can go on; more means a cap was
// reached first.
func (d *decision) run() (more bool) {
	for len(d.work) > 0 && d.x.status == Running {
		if len(d.events) >= maxDecisionEvents || d.bytes >= maxDecisionBytes {
			return true
		}
		f := d.work[len(d.work)-1]
		if f.removed || !d.step(f) {
			if n := len(d.work); d.work[n-1] == f {
				d.work = d.work[:n-1]
			}
		}
	}
	return false
}

// step takes a frame one step on. It returns false if the frame waits for
// something: another frame or the outside.
func (d *decision) step(f *frame) bool {
	if d.x.lastID >= maxEvents-1 {
		d.failExecution(f, fault.New(expr.Runtime, "The execution reached the maximum number of history events (25000)."))
		return false
	}
	switch f.phase {
	case phaseNext:
		d.enter(f)
	case phaseEntered:
		d.execute(f)
	case phaseWaiting, phaseRetrying:
		if f.deadline > d.now {
			return false
		}
		d.execute(f)
	case phaseGroup:
		return d.stepGroup(f)
	case phaseEnded:
		d.endFrame(f)
	default:
		return false
	}
	return true
}
