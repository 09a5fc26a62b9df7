package machine

import (
	"slices"
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/machine/token"
)

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
	// Token is the task's token if it waits for one (or is an activity's),
	// else "".
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
func (x *Execution) CommandsSince(id int64) []Command {
	var numbers []int64
	if id >= x.scheduled {
		return nil
	}
	for n := range x.open {
		if n > id {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	commands := make([]Command, 0, len(numbers))
	for _, n := range numbers {
		commands = append(commands, x.command(x.open[n].task))
	}
	return commands
}

func (x *Execution) command(t *task) Command {
	arn := t.Resource
	if t.ResourceType != "" {
		arn = "arn:aws:states:::" + t.ResourceType + ":" + t.Resource
	}
	resource, _ := asl.ParseResource(arn)
	c := Command{
		Task: t.Scheduled, State: t.state, Resource: resource,
		Parameters: t.parameters, Region: t.Region,
		ScheduledAt: clock(t.scheduledAt), Deadline: clock(t.timeout), HeartbeatSeconds: t.HeartbeatSeconds,
		Submitted: t.submitted, Submission: t.submission,
	}
	if resource.HasToken() {
		c.Token = token.Make(x.start.Key, t.Scheduled, t.Secret)
	}
	return c
}
