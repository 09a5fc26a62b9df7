package machine

import (
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
)

// Env is what a decision may take from the world.
type Env struct {
	Now  time.Time
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
	return nil, false
}
