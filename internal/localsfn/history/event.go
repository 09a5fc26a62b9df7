package history

import (
	"time"

	"callfleet/internal/localsfn/expr"
)

// Event is one thing that happened to an execution. Which fields are set
// depends on the type; the zero value of a field means it has none.
type Event struct {
	// ID numbers the public events of an execution 1, 2, 3 …; 0 if internal.
	ID int64
	// Prev is the ID of the event this one follows, 0 if none.
	Prev int64
	// At is the time in Unix milliseconds.
	At int64
	// Index is the iteration of a MapIteration event, the length of a
	// MapStateStarted, the number of branches of a ParallelStateStarted, the
	// retrier of a RetryScheduled.
	Index int64
	// Deadline in Unix milliseconds: of a wait, of a retry, or, on an
	// ExecutionStarted, of the execution as a whole.
	Deadline int64
	// Frame is the line of execution it happened in: 0 is the execution
	// itself, each branch and each iteration has a number of its own.
	Frame int32
	Type  Type

	// Name is the state the event belongs to.
	Name string
	// Next is the state that follows a state that was exited, "" at an end.
	Next string
	// Data is the input, output or parameters. On a MapIterationStarted and a
	// ParallelStateStarted it is the input of what starts, which AWS does not
	// show there.
	Data expr.Value
	// Assigned is an object of the variables a state assigned, or absent.
	Assigned expr.Value
	// Error and Cause are absent (nil) when the failure names none.
	Error, Cause *string

	// Start is set on an ExecutionStarted.
	Start *Start
	// Task is set on a scheduled task and on what follows of it.
	Task *Task
}

// Start identifies an execution.
type Start struct {
	// Key is the execution's name in the event log; task tokens carry it.
	Key string `json:"key"`
	// ARN and Name are the execution's.
	ARN  string `json:"arn"`
	Name string `json:"name"`
	// RoleARN is the role that AWS shows in the history.
	RoleARN string `json:"role"`
	// MachineARN, MachineName and Revision say what is executed. Revision is
	// the caller's own mark and is only handed back.
	MachineARN  string `json:"machineArn"`
	MachineName string `json:"machineName"`
	Revision    string `json:"revision,omitempty"`
	// Region is shown on scheduled tasks.
	Region string `json:"region"`
	// Traceparent and Tracestate are the trace the execution belongs to.
	Traceparent string `json:"traceparent,omitempty"`
	Tracestate  string `json:"tracestate,omitempty"`
	// TraceStart is when the execution of a trace began, in nanoseconds since
	// 1970; an event's own time has milliseconds, with which a span would begin
	// before its parent.
	TraceStart int64 `json:"traceStart,omitempty"`
}

// Task describes one attempt of a Task state.
type Task struct {
	// Scheduled is the ID of the event that scheduled it: the task's number.
	Scheduled int64
	// Resource and ResourceType are as AWS shows them: "sendMessage.waitForTaskToken"
	// and "sqs", or an ARN and "".
	Resource, ResourceType string
	Region                 string
	// TimeoutSeconds and HeartbeatSeconds are 0 when the state has none.
	TimeoutSeconds, HeartbeatSeconds int64
	// Secret is the random part of the task's token; zero when it has none.
	Secret [16]byte
	// Worker is the name of an activity's worker, if it gave one.
	Worker string
	// Credentials is the taskCredentials member as AWS shows it, or absent.
	Credentials expr.Value
}

// Time is when it happened.
func (e *Event) Time() time.Time { return time.UnixMilli(e.At).UTC() }
