package machine

import (
	"time"

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
type Execution struct {
	status Status
	start  *history.Start
	input  expr.Value
	output expr.Value
	// errorName and cause are what it failed with or was stopped with.
	errorName, cause     *string
	startedAt, stoppedAt int64
	// deadline is the whole execution's, 0 for none.
	deadline  int64
	lastID    int64
	nextFrame int32
	// frames holds every live frame by number; root is frame 0.
	root   *frame
	frames map[int32]*frame
	// open are the frames whose task is out, by task number; scheduled is the
	// highest number there was.
	open      map[int64]*frame
	scheduled int64
}

// Status is "" before the first event.
func (x *Execution) Status() Status { return x.status }

// Done reports whether the execution has ended.
func (x *Execution) Done() bool { return x.status != "" && x.status != Running }

// Start identifies the execution; nil before the first event.
func (x *Execution) Start() *history.Start { return x.start }

// Input is the execution's input.
func (x *Execution) Input() expr.Value { return x.input }

// Output is absent unless the execution succeeded.
func (x *Execution) Output() expr.Value { return x.output }

// Failure is what the execution failed with, or was stopped with; nil where it
// names none.
func (x *Execution) Failure() (errorName, cause *string) { return x.errorName, x.cause }

// Started is when the execution started.
func (x *Execution) Started() time.Time { return clock(x.startedAt) }

// Stopped is when it ended; zero if it has not.
func (x *Execution) Stopped() time.Time { return clock(x.stoppedAt) }

// LastID is the number of the latest public event.
func (x *Execution) LastID() int64 { return x.lastID }

// NextDeadline is the earliest wait, retry, timeout or heartbeat that is due.
func (x *Execution) NextDeadline() (time.Time, bool) {
	if x.status != Running {
		return time.Time{}, false
	}
	next := x.deadline
	sooner := func(at int64) {
		if at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	x.root.each(func(f *frame) {
		switch f.phase {
		case phaseWaiting, phaseRetrying:
			sooner(f.deadline)
		case phaseTask:
			sooner(f.task.timeout)
			sooner(f.task.heartbeat)
		}
	})
	return clock(next), next != 0
}

// clock is a time of Unix milliseconds; 0 is the zero time.
func clock(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
