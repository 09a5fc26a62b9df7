package config

import (
	"slices"
	"time"

	"github.com/alecthomas/kong"
)

// Roles of a worker.
const (
	RoleStart = "start" // turn requests into executions
	RoleCall  = "call"  // make calls
)

// Worker is the command line of cmd/worker.
type Worker struct {
	Roles      []string `help:"What this worker does: start (turn requests into executions), call (make calls)." env:"CALLFLEET_ROLES" default:"start,call"`
	Slots      int      `help:"Calls at one time." env:"CALLFLEET_SLOTS" default:"256"`
	Waiting    int      `help:"Calls that wait for their turn in this worker beside its slots, half of them of one flow key; others wait on the queue." env:"CALLFLEET_WAITING" default:"20000"`
	MaxBacklog int      `help:"Tasks waiting for workers above which no execution is started." env:"CALLFLEET_MAX_BACKLOG" default:"2000"`
	Listen     Address  `help:"Address of /livez, /readyz and /metrics." env:"CALLFLEET_WORKER_LISTEN" default:"127.0.0.1:8084"`

	Paces    `embed:""`
	Clocks   `embed:""`
	Egress   `embed:""`
	Secrets  `embed:""`
	Backends `embed:""`
	Claims   `embed:""`
	Probe    `embed:""`
	Log      `embed:""`

	Version kong.VersionFlag `help:"Print the version."`
}

// Paces bound the requests to Step Functions, whose quotas a whole account
// shares.
type Paces struct {
	StartRate  RateLimit `help:"Most executions started per second: auto (on AWS the region's default quota, else no limit) or a number; 0 is no limit." env:"CALLFLEET_START_RATE" default:"auto"`
	ReportRate RateLimit `help:"Most SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat requests per second, of each: auto (on AWS the region's default quota, else no limit) or a number; 0 is no limit." env:"CALLFLEET_REPORT_RATE" default:"auto"`
}

// Clocks are the times that bound a call. Each must be longer than the one
// before it, or a call is given to a second worker while the first one still
// makes it.
type Clocks struct {
	HTTPTimeout    time.Duration `name:"http-timeout" help:"One attempt of a call; less than the heartbeat timeout." env:"CALLFLEET_HTTP_TIMEOUT" default:"30s" group:"Clocks, in this order:"`
	HeartbeatEvery time.Duration `help:"Time between heartbeats; at most half of the heartbeat timeout." env:"CALLFLEET_HEARTBEAT_EVERY" default:"20s" group:"Clocks, in this order:"`
	Heartbeat      time.Duration `name:"heartbeat-timeout" help:"HeartbeatSeconds of the state machine's task; less than the lease." env:"CALLFLEET_HEARTBEAT_TIMEOUT" default:"60s" group:"Clocks, in this order:"`
	Lease          time.Duration `help:"How long a received message stays with its worker without a sign of life; less than the task timeout." env:"CALLFLEET_LEASE" default:"90s" group:"Clocks, in this order:"`
	TaskTimeout    time.Duration `help:"TimeoutSeconds of the state machine's task." env:"CALLFLEET_TASK_TIMEOUT" default:"15m" group:"Clocks, in this order:"`
	Drain          time.Duration `help:"Time for calls in flight when the worker is told to stop; less than ECS's stopTimeout (30s)." env:"CALLFLEET_DRAIN" default:"25s" group:"Clocks, in this order:"`
}

// check holds the clocks to their order.
func (c Clocks) check(p *problems) {
	order := []struct {
		flag string
		d    time.Duration
	}{
		{"http-timeout", c.HTTPTimeout}, {"heartbeat-timeout", c.Heartbeat}, {"lease", c.Lease}, {"task-timeout", c.TaskTimeout},
	}
	for i, clock := range order {
		p.positive(clock.flag, clock.d)
		if i+1 < len(order) && clock.d >= order[i+1].d && !p.bad(order[i+1].flag) {
			p.add(clock.flag, "want less than %s, which is %s, not %s", p.setting(order[i+1].flag), order[i+1].d, clock.d)
		}
	}
	p.positive("heartbeat-every", c.HeartbeatEvery)
	if 2*c.HeartbeatEvery > c.Heartbeat && !p.bad("heartbeat-timeout") {
		p.add("heartbeat-every", "want at most half of %s, which is %s, so that one lost heartbeat is no lost task; not %s",
			p.setting("heartbeat-timeout"), c.Heartbeat, c.HeartbeatEvery)
	}
	p.positive("drain", c.Drain)
}

const workerHelp = `Take tasks off the queue, make their calls, and report to Step Functions. Run as many as you like.

  worker
  worker --roles call --slots 2000 --queue nats://broker:4222 --stepfunctions http://stepfunctions:8083
  worker --queue sqs://calls     (on AWS: Step Functions and DynamoDB of the same account and region)`

// ParseWorker returns the settings of cmd/worker; the error is ErrHelp or an
// *UsageError.
func ParseWorker(in Input) (*Worker, error) {
	c := &Worker{}
	_, err := in.parse(program{
		name: "worker", description: workerHelp, target: c, vars: in.Schemes.vars(false),
		check: func(_ string, p *problems) { c.check(p, in) },
	})
	if err != nil {
		return nil, err
	}
	c.Backends = c.complete()
	if c.Queue.Scheme() != "sqs" { // an embedding program would make them itself
		c.Queue, c.StepFunctions = c.Queue.Or(DefaultQueue), c.StepFunctions.Or(DefaultStepFunctions)
	}
	return c, nil
}

// Has reports whether the worker has the role.
func (c *Worker) Has(role string) bool { return slices.Contains(c.Roles, role) }

func (c *Worker) check(p *problems, in Input) {
	c.Log.check(p)
	c.Backends.check(p, in.Schemes)
	c.Claims.check(p, in.Schemes)
	c.Egress.check(p, in.Getenv)
	if c.StepFunctions.Scheme() == "aws" && c.Queue.IsZero() && !p.bad("stepfunctions") {
		p.add("queue", "want an sqs:// URL with %s aws:, because AWS Step Functions cannot publish to nats", p.setting("stepfunctions"))
	}
	c.Clocks.check(p)
	c.Secrets.check(p)
	for _, r := range c.Roles {
		p.oneOf("roles", r, RoleStart, RoleCall)
	}
	if len(c.Roles) == 0 {
		p.add("roles", "want %s, %s or both", RoleStart, RoleCall)
	}
	p.atLeast("slots", c.Slots, 1)
	p.atLeast("waiting", c.Waiting, 1)
	p.atLeast("max-backlog", c.MaxBacklog, 1)
}
