package config

import (
	"log/slog"
	"strings"

	"github.com/alecthomas/kong"

	"callfleet/internal/config/target"
	"callfleet/internal/secret"
)

// Where the parts of a Step Functions server listen, and the fleet looks for
// them; and where it looks when its queue is SQS.
const (
	DefaultQueue         = "nats://127.0.0.1:4222"
	DefaultStepFunctions = "http://127.0.0.1:8083"

	DefaultAWSStepFunctions = "aws:"
	DefaultAWSTemplates     = "dynamodb://API_Template_Table"
)

// Where the producer keeps its data and its results.
const (
	DefaultData    = ".callfleet"
	DefaultResults = "results.jsonl"
)

// vars are what the tags of Backends and StepFunctions refer to: the backends
// that the program has, and the default URLs, which a program that embeds what
// it lacks does not have.
func (s Schemes) vars(embeds bool) kong.Vars {
	v := kong.Vars{
		"secrets_allow": strings.Join(secret.DefaultAllow(), ","),
		"log_level":     "info", "data": DefaultData, "results": DefaultResults,
		"queue_hint": DefaultQueue, "queue_forms": examples(queueForms, s.Queue),
		"stepfunctions_hint": DefaultStepFunctions, "stepfunctions_forms": examples(stepFunctionsForms, s.StepFunctions),
		"templates_forms": examples(templatesForms, s.Templates), "blobs_forms": examples(blobsForms, s.Blobs),
	}
	if embeds {
		v["queue_hint"], v["stepfunctions_hint"] = "URL", "URL"
	}
	return v
}

// Backends are the dependencies that fleet programs share.
type Backends struct {
	Queue         target.Target `help:"Message broker: ${queue_forms}, where calls begins the names of the queues." env:"CALLFLEET_QUEUE" placeholder:"${queue_hint}" group:"Backends:"`
	StepFunctions target.Target `name:"stepfunctions" help:"Step Functions API: ${stepfunctions_forms}. Unset, with an sqs:// queue it is aws:." env:"CALLFLEET_STEPFUNCTIONS" placeholder:"${stepfunctions_hint}" group:"Backends:"`
	Templates     target.Target `help:"Template store: ${templates_forms}. Unset, it is that of the queue's broker, or with an sqs:// queue dynamodb://API_Template_Table." env:"CALLFLEET_TEMPLATES" placeholder:"URL" group:"Backends:"`
	StateMachine  string        `help:"State machine that makes the calls: its name, or its ARN." env:"CALLFLEET_STATE_MACHINE" default:"call-api" group:"Backends:"`
	BatchMachine  string        `name:"batch-state-machine" help:"State machine that makes batches of calls: its name, or its ARN." env:"CALLFLEET_BATCH_STATE_MACHINE" default:"call-batch" group:"Backends:"`
}

// Log is how a program logs.
type Log struct {
	Level  slog.Level `name:"log-level" help:"Least level that is logged: debug, info, warn or error." env:"CALLFLEET_LOG_LEVEL" default:"${log_level}" group:"Logging:"`
	Format string     `name:"log-format" help:"Form of a log line: text or json." env:"CALLFLEET_LOG_FORMAT" default:"text" group:"Logging:"`
}

func (l Log) check(p *problems) { p.oneOf("log-format", l.Format, "text", "json") }

// check refuses pairs that cannot work together, with the reason.
func (b Backends) check(p *problems, s Schemes) {
	p.checkTarget("queue", b.Queue, queueForms, s.Queue)
	p.checkTarget("stepfunctions", b.StepFunctions, stepFunctionsForms, s.StepFunctions)
	p.checkTarget("templates", b.Templates, templatesForms, s.Templates)
	if b.StateMachine == "" {
		p.add("state-machine", "want a name or an ARN")
	}
	if b.BatchMachine == "" {
		p.add("batch-state-machine", "want a name or an ARN")
	}
	if b.complete().StepFunctions.Scheme() != "aws" || p.bad("stepfunctions") {
		return
	}
	if !b.Queue.IsZero() && b.Queue.Scheme() != "sqs" {
		p.add("queue", "want an sqs:// URL with %s aws:, because AWS Step Functions cannot publish to %s",
			p.setting("stepfunctions"), b.Queue.Scheme())
	}
	if !b.Templates.IsZero() && b.Templates.Scheme() != "dynamodb" {
		p.add("templates", "want a dynamodb:// URL with %s aws:, because AWS Step Functions cannot read templates from %s",
			p.setting("stepfunctions"), b.Templates.Scheme())
	}
}

// complete fills in what an sqs:// queue means for the settings beside it.
func (b Backends) complete() Backends {
	if b.Queue.Scheme() != "sqs" {
		return b
	}
	b.StepFunctions = b.StepFunctions.Or(DefaultAWSStepFunctions)
	b.Templates = b.Templates.Or(DefaultAWSTemplates)
	return b
}

// RateLimit is a number per second, or what fits the backend.
type RateLimit struct {
	Auto      bool
	PerSecond float64 // 0 is no limit
}

// Fixed is the number, nil for what fits the backend.
func (r RateLimit) Fixed() *float64 {
	if r.Auto {
		return nil
	}
	return &r.PerSecond
}

// Embeddable are the settings of parts that run inside the program.
type Embeddable struct {
	Data       string `help:"Directory of the embedded broker: queues, templates, histories." env:"CALLFLEET_DATA" default:"${data}" group:"Embedded:"`
	Durability string `help:"What an acknowledged message survives: process (kill -9 of every process) or power (loss of power too, slower)." env:"CALLFLEET_DURABILITY" default:"process" group:"Embedded:"`
}

func (e Embeddable) check(p *problems) {
	if e.Data == "" {
		p.add("data", "want a directory")
	}
	p.oneOf("durability", e.Durability, "process", "power")
}
