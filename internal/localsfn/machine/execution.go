package machine

import (
	"errors"
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
)

// Status is an execution's status, spelled as AWS spells it.
type Status string

// The statuses. An execution that has no event yet has none.
const (
	Running   Status = "RUNNING"
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
	TimedOut  Status = "TIMED_OUT"
	Aborted   Status = "ABORTED"
)

// Execution is the folded state of one execution. The zero value has not
// started. It belongs to one goroutine at a time.
type Execution struct{}

// Apply folds one event, made by Decide or read from the log.
func (x *Execution) Apply(e history.Event) {}

// Status is "" before the first event.
func (x *Execution) Status() Status { return "" }

// Done reports whether the execution has ended.
func (x *Execution) Done() bool { return false }

// Start identifies the execution; nil before the first event.
func (x *Execution) Start() *history.Start { return nil }

// Input is the execution's input.
func (x *Execution) Input() expr.Value { return expr.Value{} }

// Output is absent unless the execution succeeded.
func (x *Execution) Output() expr.Value { return expr.Value{} }

// Failure is what the execution failed with, or was stopped with; nil where it names none.
func (x *Execution) Failure() (errorName, cause *string) { return nil, nil }

// Started and Stopped are when it started and ended; zero if it did not.
func (x *Execution) Started() time.Time { return time.Time{} }
func (x *Execution) Stopped() time.Time { return time.Time{} }

// LastID is the number of the latest public event.
func (x *Execution) LastID() int64 { return 0 }

// NextDeadline is the earliest wait, retry, timeout or heartbeat that is due.
func (x *Execution) NextDeadline() (time.Time, bool) { return time.Time{}, false }

// Command is a task that was scheduled and is not settled: something the
// outside owes the execution.
type Command struct {
	// Task is the task's number, which an answer names.
	Task int64
	// State is the name of the state.
	State    string
	Resource asl.Resource
	// Parameters is the task's input, after Parameters.
	Parameters expr.Value
	// Token is the task's token if it waits for one (or is an activity's), else "".
	Token  string
	Region string
	// ScheduledAt is when it was scheduled; Deadline, when it times out, or zero.
	ScheduledAt, Deadline time.Time
	HeartbeatSeconds      int64
	// Submitted is true once TaskSubmitted was decided: a message with the
	// token is out, or the job of a .sync task was started, and only its end
	// is owed. Submission is then its output.
	Submitted  bool
	Submission expr.Value
}

// Commands is everything the outside owes, by task number.
func (x *Execution) Commands() []Command { return x.CommandsSince(0) }

// CommandsSince is what is owed of the tasks scheduled after event id: with
// the LastID from before a decision, the new ones.
func (x *Execution) CommandsSince(id int64) []Command { return nil }

// The answers of TaskByToken.
var (
	// ErrInvalidToken is a token that was never given out.
	ErrInvalidToken = errors.New("invalid token")
	// ErrTaskGone is a token whose task is settled: answered, timed out or
	// ended with its execution.
	ErrTaskGone = errors.New("task is no longer waiting")
)

// TaskByToken checks a token in full and returns the task it is for.
func (x *Execution) TaskByToken(token string) (task int64, err error) { return 0, ErrInvalidToken }

// ParseToken says which execution and task a token claims to be for.
func ParseToken(token string) (executionKey string, task int64, err error) {
	return "", 0, ErrInvalidToken
}
