package stack

import (
	"regexp"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"
)

// Resources that end in a wildcard, as cdk-nag names them.
const anywhere = "Resource::*"

func findingOf(service, resource string) string {
	return "Resource::arn:<AWS::Partition>:" + service + ":<AWS::Region>:<AWS::AccountId>:" + resource
}

// Why a permission is wider than one resource.
const (
	whyRunQueues   = "A run has a queue of its own, PREFIX-results-RUN, made and removed by the producer: only the beginning of the name is known."
	whyTasks       = "A task learns its id when it starts: it may protect tasks of this cluster alone."
	whyExecutions  = "Executions are named by the requests: those of these state machines alone."
	whyReport      = "AWS lists no resource type for SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat; the token stands for its task."
	whyTraces      = "AWS lists no resource type for xray:PutTraceSegments and xray:PutTelemetryRecords."
	whyLogDelivery = "AWS lists no resource type for the delivery of Step Functions logs (logs:CreateLogDelivery and its kin) and for X-Ray."
	whyListQueues  = "AWS lists no resource type for sqs:ListQueues."
	whyBodies      = "Every body has a key of its own, which begins with what it is of: only that beginning is known."
	whyNoAccessLog = "A log of every access needs a second bucket that is kept longer than the bodies; calls and executions are logged, and CloudTrail's data events are there for accounts that must have it."
	whyPull        = "AWS lists no resource type for ecr:GetAuthorizationToken; pulling is allowed from the program's repository alone."
	whyMachineLog  = "The machineLog knob asks for less than ALL: a line for every state of every call costs as much as the workers."
	whyEnvironment = "The variables are addresses and numbers. Secrets of APIs are no settings of the fleet."
)

// explain gives cdk-nag, and whoever reads the template, the reason of
// everything that it objects to.
func (p *parts) explain() {
	runQueues := findingOf("sqs", p.knobs.Prefix+"-results-*")
	tasks := pattern(findingOf("ecs", "task/<Cluster"), ">/*")
	executions := pattern(findingOf("states", "execution:<CallApi"), ".Name>:*")
	batchExecutions := pattern(findingOf("states", "execution:<CallBatch"), ".Name>:*")

	starter, worker := p.starter.TaskDefinition().TaskRole(), p.worker.TaskDefinition().TaskRole()
	suppress(starter, "IAM5", whyRunQueues, runQueues)
	suppress(starter, "IAM5", whyExecutions, executions)
	suppress(starter, "IAM5", whyExecutions, batchExecutions)
	suppress(starter, "IAM5", whyTasks, tasks)
	suppress(worker, "IAM5", whyRunQueues, runQueues)
	suppress(worker, "IAM5", whyTasks, tasks)
	suppress(worker, "IAM5", whyReport+" "+whyTraces, anywhere)
	if p.knobs.Traces == "xray" {
		suppress(starter, "IAM5", whyTraces, anywhere)
		suppress(p.producer.TaskRole(), "IAM5", whyTraces, anywhere)
	}
	suppress(p.policy, "IAM5", whyRunQueues, runQueues)
	suppress(p.policy, "IAM5", whyExecutions, executions)
	suppress(p.policy, "IAM5", whyExecutions, batchExecutions)
	suppress(p.policy, "IAM5", whyListQueues, anywhere)
	p.explainBodies(worker, answers, params, batches)
	p.explainBodies(p.policy, params, batches, "*")
	suppress(p.bucket, "S1", whyNoAccessLog, nil)
	for _, m := range p.callers() {
		p.explainMachine(m)
	}
	if p.machines.tutorial != nil {
		p.explainMachine(p.machines.tutorial)
		suppress(p.machines.function.Role(), "IAM5", whyTraces, anywhere)
		p.explainBodies(p.machines.function.Role(), answers, params)
	}
	for _, definition := range []awsecs.TaskDefinition{p.starter.TaskDefinition(), p.worker.TaskDefinition(), p.producer} {
		suppress(definition, "ECS2", whyEnvironment, nil)
		suppress(definition.ExecutionRole(), "IAM5", whyPull, anywhere)
	}
}

func (p *parts) explainBodies(holder constructs.IConstruct, keys ...string) {
	for _, k := range keys {
		suppress(holder, "IAM5", whyBodies, pattern("Resource::<Bodies", ".Arn>/"+k))
	}
}

func (p *parts) explainMachine(m awsstepfunctions.StateMachine) {
	suppress(m, "IAM5", whyLogDelivery, anywhere)
	if p.knobs.MachineLog != "ALL" {
		suppress(m, "SF1", whyMachineLog, nil)
	}
}

// pattern is a finding with a logical id in it.
func pattern(before, after string) *cdknag.RegexAppliesTo {
	return &cdknag.RegexAppliesTo{Regex: jsii.String("/^" + escape(before) + "[A-Za-z0-9]*" + escape(after) + "$/")}
}

var slashes = regexp.MustCompile(`/`)

func escape(text string) string { return slashes.ReplaceAllString(regexp.QuoteMeta(text), `\/`) }

func suppress(c constructs.IConstruct, rule, reason string, finding any) {
	s := &cdknag.NagPackSuppression{Id: jsii.String("AwsSolutions-" + rule), Reason: jsii.String(reason)}
	if finding != nil {
		s.AppliesTo = &[]any{finding}
	}
	cdknag.NagSuppressions_AddResourceSuppressions(c, &[]*cdknag.NagPackSuppression{s}, jsii.Bool(true))
}
