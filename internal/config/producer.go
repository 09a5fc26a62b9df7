package config

import (
	"regexp"
	"time"

	"github.com/alecthomas/kong"

	"callfleet/internal/call"
)

// Producer is the command line of cmd/producer.
type Producer struct {
	// Command is the one that was chosen: "run", "call", "template put",
	// "execution ls", …; its settings are in the field of that name.
	Command string `kong:"-"`

	Run       Run       `cmd:"" help:"Make every call of a file and write the results."`
	Call      Call      `cmd:"" help:"Make one call."`
	Template  Template  `cmd:"" help:"Put, list, show, remove, try out and roll back API templates."`
	Execution Execution `cmd:"" help:"List, show and stop executions."`
	Flow      Flow      `cmd:"" help:"List, limit, pause and resume flow keys: what the fleet's calls share limits by."`
	Result    Result    `cmd:"" help:"Fetch what calls were answered."`
	Setup     Setup     `cmd:"" help:"Make what is missing on AWS, or on emulators of it: queues, table, state machine."`
	Doctor    Doctor    `cmd:"" help:"Check that queues, templates and state machine are there, may be used, and fit the settings."`
	Lint      Lint      `cmd:"" help:"Check state machines (*.asl.json) and templates."`
	Version   struct{}  `cmd:"" help:"Print the version."`

	Embeddable `embed:""`
	Secrets    `embed:""`
	Backends   `embed:""`
	Claims     `embed:""`
	Egress     `embed:""`
	Log        `embed:""`
}

// Run are the settings of "producer run".
type Run struct {
	File      string `arg:"" help:"Call file: JSONL, or CSV with a header row; - is standard input."`
	Results   string `help:"Where the results go, one JSON object per line." default:"${results}"`
	Resume    bool   `help:"Go on with a run that was interrupted: publish what it has not, collect what is missing."`
	Republish bool   `help:"With --resume, publish every call without a result again: for a broker that has lost its data."`
	ID        string `name:"run" help:"Name of the run: letters, digits and _. Unset, a new one, or with --resume the latest of the file." placeholder:"ID"`
	Strict    bool   `help:"Refuse the whole file if one line is bad. Otherwise a bad line is a failed result."`
	Format    string `help:"Form of the call file: auto (by its name), jsonl or csv." default:"auto"`
	Direct    bool   `help:"Hand calls to the workers directly, without an execution for each."`
	Batch     int    `help:"Calls of one template that share an execution, at most 1000; 1 is an execution for each. Needs a blob store." env:"CALLFLEET_BATCH" default:"1"`
	Window    int    `help:"Most calls without an outcome at one time." env:"CALLFLEET_WINDOW" default:"10000"`
	Rate      Rate   `embed:""`

	Embedded bool `help:"Run broker, Step Functions and worker in this process even if others are running." group:"Embedded:"`
	Slots    int  `help:"Calls at one time of the embedded worker." env:"CALLFLEET_SLOTS" default:"256" group:"Embedded:"`
}

// Rate bounds what is published.
type Rate struct {
	PerSecond float64 `name:"rate" help:"Most calls published per second; 0 is no limit." env:"CALLFLEET_RATE" default:"0"`
}

// Help is the examples of "producer run --help".
func (Run) Help() string {
	return `Examples:

  producer run calls.jsonl
  producer run orders.csv --results out.jsonl --rate 50
  producer run calls.jsonl --resume
  producer run calls.jsonl --batch 100
  generate-calls | producer run - --direct

A line of a call file is an object like
  {"templateName":"get-user","method":"GET","params":{"id":42}}

Exit code: 0 all calls succeeded, 1 some failed, 2 bad input, 130 interrupted.`
}

// Call are the settings of "producer call".
type Call struct {
	Name    string        `arg:"" help:"Name of the template."`
	Method  string        `arg:"" help:"HTTP method of the template."`
	Version int           `name:"template-version" help:"Make the call with this version of the template, instead of the current one." placeholder:"N"`
	Params  []string      `name:"param" short:"p" help:"Parameter: name=text, name:=JSON for numbers and objects, or name=@file. Repeatable." placeholder:"NAME=TEXT" sep:"none"`
	Wait    bool          `help:"Wait for the outcome and print it."`
	Timeout time.Duration `help:"Longest wait for the outcome." default:"5m"`
}

// Help is the examples of "producer call --help".
func (Call) Help() string {
	return `Examples:

  producer call get-user GET -p id=42 --wait
  producer call create-order POST -p item=book -p count:=3`
}

// Execution are the commands below "producer execution".
type Execution struct {
	Ls   ExecutionList `cmd:"" help:"List executions, the latest first."`
	Show ExecutionID   `cmd:"" help:"Print status, input, output and history of an execution."`
	Stop ExecutionStop `cmd:"" help:"Stop an execution."`
}

// ExecutionList are the settings of "producer execution ls".
type ExecutionList struct {
	Status string `help:"Only those that are running, succeeded, failed, timed_out or aborted." placeholder:"STATUS"`
	Limit  int    `help:"Most executions listed." default:"50"`
}

// ExecutionID names one execution.
type ExecutionID struct {
	ID string `arg:"" help:"Request id (the execution's name), or the execution's ARN."`
}

// ExecutionStop are the settings of "producer execution stop".
type ExecutionStop struct {
	ExecutionID `embed:""`
	Reason      string `help:"Cause to record."`
}

// Result are the commands below "producer result".
type Result struct {
	Get ResultGet `cmd:"" help:"Fetch the body of an answer, from the blob store if it is there."`
}

// ResultGet are the settings of "producer result get".
type ResultGet struct {
	ID      string `arg:"" help:"Request id, or a reference as it stands in a result: {\"url\": …}."`
	Out     string `short:"o" help:"File to write. Unset, standard output." placeholder:"FILE"`
	Results string `help:"Where to look for calls that had no execution." default:"${results}"`
}

// Help is the examples of "producer result get --help".
func (ResultGet) Help() string {
	return `Examples:

  producer result get 1k2m3n4p5q6r-17 -o report.pdf
  producer result get "$(jq -c .output.bodyRef results.jsonl)" > report.pdf

A body from the blob store is written only if its size and digest are right.`
}

// Setup are the settings of "producer setup".
type Setup struct {
	Lease time.Duration `help:"Visibility timeout of the queues; the workers set their own on what they receive." env:"CALLFLEET_LEASE" default:"90s"`
	Role  string        `help:"ARN of the role that the state machine acts as on AWS. Without it no state machine is made there." placeholder:"ARN"`
}

// Help is the examples of "producer setup --help".
func (Setup) Help() string {
	return `Example:

  producer setup --queue sqs://calls --templates dynamodb://API_Template_Table

It changes nothing that exists. For production use deploy/cdk, which makes the rest too: roles, the fleet, the rule that
brings outcomes back, alarms.`
}

// Doctor are the settings of "producer doctor": those of the fleet's workers.
type Doctor struct {
	Paces  `embed:""`
	Clocks `embed:""`
}

// Help is the examples of "producer doctor --help".
func (Doctor) Help() string {
	return `Example:

  producer doctor --queue sqs://calls

It changes nothing. Give it the workers' settings to have them checked too. Exit code: 0 nothing is broken, 1 something is.`
}

// Lint are the settings of "producer lint".
type Lint struct {
	Files []string `arg:"" help:"State machines (*.asl.json) and templates (*.json)."`
}

const producerHelp = `Publish templated API calls and collect what came of them.

With no --queue and no --stepfunctions, it uses the servers that run on this machine (cmd/stepfunctions), and embeds them if there are none.

  producer run examples/quickstart/calls.jsonl
  producer call get-user GET -p id=42 --wait`

// ParseProducer returns the settings of cmd/producer; the error is ErrHelp or
// an *UsageError.
func ParseProducer(in Input) (*Producer, error) {
	c := &Producer{}
	vars := in.Schemes.vars(true)
	vars["log_level"] = "warn" // what it prints is for a person; the log is for what goes wrong
	command, err := in.parse(program{
		name: "producer", description: producerHelp, target: c, vars: vars,
		check: func(command string, p *problems) { c.check(command, p, in) },
	})
	if err != nil {
		return nil, err
	}
	c.Command = command
	c.Backends = c.complete()
	return c, nil
}

var (
	runID      = regexp.MustCompile(`^[A-Za-z0-9_]{1,40}$`)
	callMethod = regexp.MustCompile(`^[A-Z]{1,16}$`)
)

func (c *Producer) check(command string, p *problems, in Input) {
	c.Log.check(p)
	c.Secrets.check(p)
	c.Embeddable.check(p)
	c.Backends.check(p, in.Schemes)
	c.Claims.check(p, in.Schemes)
	c.Egress.check(p, in.Getenv)
	c.Template.check(command, p)
	switch command {
	case "run":
		c.Run.check(p)
		c.Run.checkExpiry(p, c.BlobExpiry)
		c.checkEmbedded(p)
	case "call":
		checkMethod(p, c.Call.Method)
		p.positive("timeout", c.Call.Timeout)
		checkVersion(p, "--template-version", c.Call.Version)
	case "flow ls", "flow set", "flow pause", "flow resume":
		c.Flow.check(command, p)
	case "doctor":
		c.Doctor.Clocks.check(p)
	case "setup":
		p.positive("lease", c.Setup.Lease)
	case "execution ls":
		p.atLeast("limit", c.Execution.Ls.Limit, 1)
		if c.Execution.Ls.Status != "" {
			p.oneOf("status", c.Execution.Ls.Status, "running", "succeeded", "failed", "timed_out", "aborted")
		}
	}
	if c.StepFunctions.Scheme() == "aws" && c.Queue.IsZero() && (command == "run" || command == "call") {
		p.add("queue", "want an sqs:// URL with %s aws:, because AWS Step Functions cannot publish to an embedded broker",
			p.setting("stepfunctions"))
	}
}

// checkExpiry keeps the journal of a batch for as long as the batch may take:
// without it the worker that takes a batch up makes all calls again.
func (r Run) checkExpiry(p *problems, kept time.Duration) {
	if takes := time.Duration(call.BatchTimeout(r.Batch)) * time.Second; r.Batch > 1 && kept >= time.Second && kept < takes {
		p.add("blob-expiry", "want the %s or more that a batch of %d calls may take, not %s: what is done of a batch is kept there", takes, r.Batch, kept)
	}
}

func (r Run) check(p *problems) {
	p.oneOf("format", r.Format, "auto", "jsonl", "csv")
	p.atLeast("window", r.Window, 1)
	switch {
	case r.Batch < 1 || r.Batch > call.MaxBatch:
		p.add("batch", "want 1 to %d, not %d", call.MaxBatch, r.Batch)
	case r.Batch > 1 && r.Direct:
		p.add("batch", "not with --direct, which has no executions to share")
	case r.Batch > r.Window:
		p.add("batch", "want at most as many as --window, %d", r.Window)
	}
	p.atLeast("slots", r.Slots, 1)
	p.notNegative("rate", r.Rate.PerSecond)
	if r.Results == "" {
		p.add("results", "want a file")
	}
	if r.ID != "" && !runID.MatchString(r.ID) {
		p.add("run", "want 1 to 40 letters, digits and _, not %q", r.ID)
	}
	if r.Republish && !r.Resume {
		p.add("republish", "only with --resume")
	}
}

// checkEmbedded refuses --embedded beside a backend elsewhere.
func (c *Producer) checkEmbedded(p *problems) {
	if !c.Run.Embedded {
		return
	}
	const reason = "not with --embedded, which brings its own"
	if !c.Queue.IsZero() {
		p.add("queue", reason)
	}
	if !c.StepFunctions.IsZero() {
		p.add("stepfunctions", reason)
	}
}

func checkMethod(p *problems, method string) {
	if !callMethod.MatchString(method) {
		p.list = append(p.list, Problem{"<method>", "want an HTTP method in capitals, such as GET, not " + method})
	}
}

var (
	_ kong.HelpProvider = Run{}
	_ kong.HelpProvider = Call{}
	_ kong.HelpProvider = TemplatePut{}
	_ kong.HelpProvider = TemplateDiff{}
	_ kong.HelpProvider = TemplateRender{}
	_ kong.HelpProvider = ResultGet{}
	_ kong.HelpProvider = Setup{}
	_ kong.HelpProvider = Doctor{}
)
