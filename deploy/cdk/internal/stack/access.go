package stack

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// grant is one permission: what for, which actions, on which resources.
type grant struct {
	reason    string // for the reader; CloudFormation has no place for it
	actions   []string
	resources []*string
}

func arns(list ...*string) []*string { return list }

// The actions on a queue, by what is done with it.
var (
	look    = []string{"sqs:GetQueueUrl", "sqs:GetQueueAttributes"}
	send    = append([]string{"sqs:SendMessage"}, look...)
	consume = append([]string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}, look...)
)

func statement(g grant) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: jsii.Strings(g.actions...), Resources: &g.resources,
	})
}

func (p *parts) allow(to awsiam.IRole, grants ...grant) {
	for _, g := range grants {
		to.AddToPrincipalPolicy(statement(g))
	}
}

// runQueues are the queues that carry the outcomes of one run each: they come
// and go with the runs, so only the beginning of their names is known.
func (p *parts) runQueues() *string { return p.arn("sqs", p.knobs.Prefix+"-results-*") }

// executions are those of the fleet's state machines.
func (p *parts) executions() (all []*string) {
	for _, m := range p.callers() {
		all = append(all, p.arn("states", "execution:"+*m.StateMachineName()+":*"))
	}
	return all
}

// callerARNs are the fleet's state machines.
func (p *parts) callerARNs() (all []*string) {
	for _, m := range p.callers() {
		all = append(all, m.StateMachineArn())
	}
	return all
}

// starterGrants are what requests, executions and outcomes need.
func (p *parts) starterGrants() []grant {
	q := p.queues
	return []grant{
		{"take requests", consume, arns(q.requests.live.QueueArn())},
		{"reject what Step Functions refuses for good", send, arns(q.requests.dead.QueueArn(), q.results.dead.QueueArn())},
		{"see the backlog before starting more", look, arns(q.tasks.live.QueueArn())},
		{"take outcomes", consume, arns(q.results.live.QueueArn())},
		{"hand each outcome to its run", send, arns(p.runQueues())},
		{"start executions", []string{"states:StartExecution"}, p.callerARNs()},
		{"tell a second request from a redelivered one", []string{"states:DescribeExecution"}, p.executions()},
	}
}

// workerGrants are what tasks need.
func (p *parts) workerGrants() []grant {
	q := p.queues
	return append([]grant{
		{"take tasks, and put those back that wait for their turn", append([]string{"sqs:SendMessage"}, consume...), arns(q.tasks.live.QueueArn())},
		{"share limits", flowActions, arns(p.flows.TableArn())},
		{"reject what no worker can make", send, arns(q.tasks.dead.QueueArn())},
		{"tell outcomes of calls without an execution", send, arns(p.runQueues())},
		// AWS lists no resource type for these three: a token says by itself which
		// task it stands for, and nobody can guess one.
		{"report on tasks", reportActions, arns(jsii.String("*"))},
		{"keep and fetch progress and results of batches", slices.Concat(fetch, keep), p.bodies(batches)},
	}, p.bodyGrants()...)
}

var flowActions = []string{"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Scan"}

var reportActions = []string{"states:SendTaskSuccess", "states:SendTaskFailure", "states:SendTaskHeartbeat"}

// protectGrant lets a task keep itself from being ended while it is busy.
func (p *parts) protectGrant() grant {
	return grant{
		"scale-in protection", []string{"ecs:GetTaskProtection", "ecs:UpdateTaskProtection"},
		arns(p.arn("ecs", "task/"+*p.cluster.ClusterName()+"/*")),
	}
}

// producerGrants are what a person or a task that runs the producer needs:
// calls, templates, outcomes, bodies, executions, and what "producer doctor" looks at.
func (p *parts) producerGrants() []grant {
	q := p.queues
	run := append([]string{"sqs:CreateQueue", "sqs:DeleteQueue", "sqs:TagQueue"}, consume...)
	return []grant{
		{"publish requests, and tasks without an execution", send, arns(q.requests.live.QueueArn(), q.tasks.live.QueueArn())},
		{"make, read and remove the queue of a run", run, arns(p.runQueues())},
		{"look at the other queues", look, arns(q.results.live.QueueArn(), q.requests.dead.QueueArn(), q.tasks.dead.QueueArn(), q.results.dead.QueueArn())},
		// AWS lists no resource type for it.
		{"find queues that runs have left behind", []string{"sqs:ListQueues"}, arns(jsii.String("*"))},
		{"templates", []string{
			"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:DescribeTable",
		}, arns(p.table.TableArn())},
		{"limits", flowActions, arns(p.flows.TableArn())},
		{"keep params that are too large to travel", keep, p.bodies(params)},
		{"keep the calls of large batches", keep, p.bodies(batches)},
		// All of them: "producer doctor" asks for one that is not there.
		{"fetch bodies", fetch, p.bodies("*")},
		{"tell what has expired, and when bodies do", append([]string{"s3:GetLifecycleConfiguration"}, found...), arns(p.bucket.BucketArn())},
		{"list executions", []string{"states:ListExecutions", "states:DescribeStateMachine"}, p.callerARNs()},
		{"show and stop executions", []string{
			"states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution",
		}, p.executions()},
	}
}

// traceGrant is for the collector.
func traceGrant() grant {
	// AWS lists no resource type for these.
	return grant{"traces", traceActions, arns(jsii.String("*"))}
}

var traceActions = []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
