package history

// Type says what happened. The numbers are part of the stored form: types are
// only ever added, at the end of their block.
type Type uint8

// The events AWS shows.
const (
	ExecutionStarted Type = iota + 1
	ExecutionSucceeded
	ExecutionFailed
	ExecutionAborted
	ExecutionTimedOut

	PassStateEntered
	PassStateExited
	ChoiceStateEntered
	ChoiceStateExited
	WaitStateEntered
	WaitStateExited
	SucceedStateEntered
	SucceedStateExited
	FailStateEntered
	TaskStateEntered
	TaskStateExited
	TaskStateAborted
	ParallelStateEntered
	ParallelStateExited
	ParallelStateStarted
	ParallelStateSucceeded
	ParallelStateFailed
	ParallelStateAborted
	MapStateEntered
	MapStateExited
	MapStateStarted
	MapStateSucceeded
	MapStateFailed
	MapStateAborted
	MapIterationStarted
	MapIterationSucceeded
	MapIterationFailed
	MapIterationAborted
	WaitStateAborted

	TaskScheduled
	TaskStarted
	TaskStartFailed
	TaskSubmitted
	TaskSubmitFailed
	TaskSucceeded
	TaskFailed
	TaskTimedOut
	LambdaFunctionScheduled
	LambdaFunctionScheduleFailed
	LambdaFunctionStarted
	LambdaFunctionStartFailed
	LambdaFunctionSucceeded
	LambdaFunctionFailed
	LambdaFunctionTimedOut
	ActivityScheduled
	ActivityScheduleFailed
	ActivityStarted
	ActivitySucceeded
	ActivityFailed
	ActivityTimedOut

	lastPublic = ActivityTimedOut
)

// The internal events, which have no number and no projection.
const (
	// WaitScheduled sets the time at which a Wait state ends.
	WaitScheduled Type = iota + 200
	// RetryScheduled sets the time of a state's next attempt; Index is the retrier.
	RetryScheduled
	// HeartbeatReceived moves a task's heartbeat deadline.
	HeartbeatReceived
	// BranchFinished ends one branch of a Parallel state; Data is its output.
	BranchFinished
	// AttemptFailed ends the running attempt of a Parallel or Map state with
	// an error that is to be retried.
	AttemptFailed

	lastInternal = AttemptFailed
)

// Public reports whether AWS's history shows events of this type.
func (t Type) Public() bool { return t >= ExecutionStarted && t <= lastPublic }

// names are the types as AWS spells them.
var names = [...]string{
	ExecutionStarted:             "ExecutionStarted",
	ExecutionSucceeded:           "ExecutionSucceeded",
	ExecutionFailed:              "ExecutionFailed",
	ExecutionAborted:             "ExecutionAborted",
	ExecutionTimedOut:            "ExecutionTimedOut",
	PassStateEntered:             "PassStateEntered",
	PassStateExited:              "PassStateExited",
	ChoiceStateEntered:           "ChoiceStateEntered",
	ChoiceStateExited:            "ChoiceStateExited",
	WaitStateEntered:             "WaitStateEntered",
	WaitStateExited:              "WaitStateExited",
	SucceedStateEntered:          "SucceedStateEntered",
	SucceedStateExited:           "SucceedStateExited",
	FailStateEntered:             "FailStateEntered",
	TaskStateEntered:             "TaskStateEntered",
	TaskStateExited:              "TaskStateExited",
	TaskStateAborted:             "TaskStateAborted",
	ParallelStateEntered:         "ParallelStateEntered",
	ParallelStateExited:          "ParallelStateExited",
	ParallelStateStarted:         "ParallelStateStarted",
	ParallelStateSucceeded:       "ParallelStateSucceeded",
	ParallelStateFailed:          "ParallelStateFailed",
	ParallelStateAborted:         "ParallelStateAborted",
	MapStateEntered:              "MapStateEntered",
	MapStateExited:               "MapStateExited",
	MapStateStarted:              "MapStateStarted",
	MapStateSucceeded:            "MapStateSucceeded",
	MapStateFailed:               "MapStateFailed",
	MapStateAborted:              "MapStateAborted",
	MapIterationStarted:          "MapIterationStarted",
	MapIterationSucceeded:        "MapIterationSucceeded",
	MapIterationFailed:           "MapIterationFailed",
	MapIterationAborted:          "MapIterationAborted",
	WaitStateAborted:             "WaitStateAborted",
	TaskScheduled:                "TaskScheduled",
	TaskStarted:                  "TaskStarted",
	TaskStartFailed:              "TaskStartFailed",
	TaskSubmitted:                "TaskSubmitted",
	TaskSubmitFailed:             "TaskSubmitFailed",
	TaskSucceeded:                "TaskSucceeded",
	TaskFailed:                   "TaskFailed",
	TaskTimedOut:                 "TaskTimedOut",
	LambdaFunctionScheduled:      "LambdaFunctionScheduled",
	LambdaFunctionScheduleFailed: "LambdaFunctionScheduleFailed",
	LambdaFunctionStarted:        "LambdaFunctionStarted",
	LambdaFunctionStartFailed:    "LambdaFunctionStartFailed",
	LambdaFunctionSucceeded:      "LambdaFunctionSucceeded",
	LambdaFunctionFailed:         "LambdaFunctionFailed",
	LambdaFunctionTimedOut:       "LambdaFunctionTimedOut",
	ActivityScheduled:            "ActivityScheduled",
	ActivityScheduleFailed:       "ActivityScheduleFailed",
	ActivityStarted:              "ActivityStarted",
	ActivitySucceeded:            "ActivitySucceeded",
	ActivityFailed:               "ActivityFailed",
	ActivityTimedOut:             "ActivityTimedOut",
	WaitScheduled:                "WaitScheduled",
	RetryScheduled:               "RetryScheduled",
	HeartbeatReceived:            "HeartbeatReceived",
	BranchFinished:               "BranchFinished",
	AttemptFailed:                "AttemptFailed",
}

// String is the type as AWS spells it.
func (t Type) String() string {
	if int(t) < len(names) {
		return names[t]
	}
	return ""
}

// Entered reports whether a state was entered.
func (t Type) Entered() bool {
	switch t {
	case PassStateEntered, ChoiceStateEntered, WaitStateEntered, SucceedStateEntered,
		FailStateEntered, TaskStateEntered, ParallelStateEntered, MapStateEntered:
		return true
	}
	return false
}

// Exited reports whether a state was exited.
func (t Type) Exited() bool {
	switch t {
	case PassStateExited, ChoiceStateExited, WaitStateExited, SucceedStateExited,
		TaskStateExited, ParallelStateExited, MapStateExited:
		return true
	}
	return false
}
