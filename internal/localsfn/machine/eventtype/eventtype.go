// Package eventtype says which events a state makes, by its kind and by how its
// task is called.
package eventtype

import (
	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/history"
)

// Entered is the event of entering a state.
func Entered(kind asl.Kind) history.Type {
	return [...]history.Type{
		asl.Pass: history.PassStateEntered, asl.Task: history.TaskStateEntered, asl.Choice: history.ChoiceStateEntered,
		asl.Wait: history.WaitStateEntered, asl.Succeed: history.SucceedStateEntered, asl.Fail: history.FailStateEntered,
		asl.Parallel: history.ParallelStateEntered, asl.Map: history.MapStateEntered,
	}[kind]
}

// Exited is the event of exiting a state. A Fail state is never exited.
func Exited(kind asl.Kind) history.Type {
	return [...]history.Type{
		asl.Pass: history.PassStateExited, asl.Task: history.TaskStateExited, asl.Choice: history.ChoiceStateExited,
		asl.Wait: history.WaitStateExited, asl.Succeed: history.SucceedStateExited,
		asl.Parallel: history.ParallelStateExited, asl.Map: history.MapStateExited,
	}[kind]
}

// Task is the events of a task.
type Task struct{ Scheduled, Started, Succeeded, Failed, TimedOut history.Type }

// OfTask is the events of a task that is called in the given way.
func OfTask(integration asl.Integration) Task {
	switch integration {
	case asl.LambdaARN:
		return Task{history.LambdaFunctionScheduled, history.LambdaFunctionStarted, history.LambdaFunctionSucceeded, history.LambdaFunctionFailed, history.LambdaFunctionTimedOut}
	case asl.Activity:
		return Task{history.ActivityScheduled, history.ActivityStarted, history.ActivitySucceeded, history.ActivityFailed, history.ActivityTimedOut}
	}
	return Task{history.TaskScheduled, history.TaskStarted, history.TaskSucceeded, history.TaskFailed, history.TaskTimedOut}
}

// Aborted is the event of a state that is stopped from outside, 0 if it has
// none.
func Aborted(kind asl.Kind) history.Type {
	switch kind {
	case asl.Task:
		return history.TaskStateAborted
	case asl.Wait:
		return history.WaitStateAborted
	case asl.Parallel:
		return history.ParallelStateAborted
	case asl.Map:
		return history.MapStateAborted
	}
	return 0
}

// Failed is the event of a Map or Parallel state whose last attempt failed.
func Failed(kind asl.Kind) history.Type {
	if kind == asl.Map {
		return history.MapStateFailed
	}
	return history.ParallelStateFailed
}
