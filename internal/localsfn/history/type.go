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
)

// Public reports whether AWS's history shows events of this type.
func (t Type) Public() bool { return t >= ExecutionStarted && t <= lastPublic }
