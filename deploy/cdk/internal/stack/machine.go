package stack

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	sfn "github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/jsii-runtime-go"
)

// What the tutorial's definition names, in the repository and in its account.
const (
	tutorialFunction    = "GenericApiCallLambda"
	tutorialFunctionARN = "arn:aws:lambda:us-east-1:123456789012:function:GenericApiCallLambda"
	tutorialTable       = `"API_Template_Table"`
)

// machines are the state machines; tutorial is nil without its function.
type machines struct {
	callAPI   sfn.StateMachine
	callBatch sfn.StateMachine
	tutorial  sfn.StateMachine
	function  awslambda.Function
}

func (p *parts) addMachines(d definitions) {
	p.machines.callAPI = p.newCaller("CallApi", p.knobs.StateMachine, d.callAPI)
	p.machines.callBatch = p.newCaller("CallBatch", p.knobs.Prefix+"-batch", d.callBatch)
	if p.knobs.LambdaZip == "" {
		return
	}
	p.addFunction()
	// The tutorial's file names an account and a table of its own; nothing else
	// in it is changed.
	text := strings.NewReplacer(tutorialFunctionARN, "${FunctionArn}", tutorialTable, `"${TemplatesTable}"`).Replace(d.tutorial)
	p.machines.tutorial = p.newMachine("Tutorial", p.knobs.Prefix+"-tutorial", text, map[string]*string{
		"TemplatesTable": p.table.TableName(),
		"FunctionArn":    p.machines.function.FunctionArn(),
	})
	p.allow(p.machines.tutorial.Role(),
		grant{"the template of the call", []string{"dynamodb:GetItem"}, arns(p.table.TableArn())},
		grant{"the function that makes the call", []string{"lambda:InvokeFunction"}, arns(p.machines.function.FunctionArn())},
	)
}

// callers are the state machines that hand tasks to the workers.
func (p *parts) callers() []sfn.StateMachine {
	return []sfn.StateMachine{p.machines.callAPI, p.machines.callBatch}
}

// newCaller is a state machine that hands tasks to the workers.
func (p *parts) newCaller(id, name, definition string) sfn.StateMachine {
	machine := p.newMachine(id, name, definition, map[string]*string{
		"TemplatesTable": p.table.TableName(),
		"TasksQueueUrl":  p.queues.tasks.live.QueueUrl(),
	})
	p.allow(machine.Role(),
		grant{"the template of the call", []string{"dynamodb:GetItem"}, arns(p.table.TableArn())},
		grant{"the hand-off to the workers", []string{"sqs:SendMessage"}, arns(p.queues.tasks.live.QueueArn())},
	)
	return machine
}

func (p *parts) newMachine(id, name, definition string, substitutions map[string]*string) sfn.StateMachine {
	machine := sfn.NewStateMachine(p.stack, jsii.String(id), &sfn.StateMachineProps{
		StateMachineName:        jsii.String(name),
		StateMachineType:        sfn.StateMachineType_STANDARD,
		DefinitionBody:          sfn.DefinitionBody_FromString(jsii.String(definition)),
		DefinitionSubstitutions: &substitutions,
		TracingEnabled:          jsii.Bool(true),
		Logs: &sfn.LogOptions{
			// Step Functions refuses a log group whose name is not below this one
			// once an account has many of them.
			Destination:          p.newLogGroup(id+"Log", "/aws/vendedlogs/states/"+p.knobs.Prefix+"/"+name),
			Level:                sfn.LogLevel(p.knobs.MachineLog),
			IncludeExecutionData: jsii.Bool(false), // params and answers may hold secrets
		},
	})
	// cfn-lint knows a Succeed state without OutputPath only. The definitions are
	// checked by "producer lint" and by our own engine.
	machine.Node().DefaultChild().(awscdk.CfnResource).AddMetadata(jsii.String("cfn-lint"), map[string]any{
		"config": map[string]any{"ignore_checks": []string{"E3601"}},
	})
	return machine
}

// addFunction is the tutorial's function, with cmd/lambda in it.
func (p *parts) addFunction() {
	role := awsiam.NewRole(p.stack, jsii.String("FunctionRole"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil),
	})
	logs := p.newLogGroup("FunctionLog", "/aws/lambda/"+tutorialFunction)
	p.allow(role, grant{"the function's own log", []string{"logs:CreateLogStream", "logs:PutLogEvents"}, arns(logs.LogGroupArn())})
	p.allow(role, p.bodyGrants()...)
	blobs, _ := p.blobs()
	architecture := awslambda.Architecture_X86_64()
	if p.isARM() {
		architecture = awslambda.Architecture_ARM_64()
	}
	p.machines.function = awslambda.NewFunction(p.stack, jsii.String("Function"), &awslambda.FunctionProps{
		FunctionName: jsii.String(tutorialFunction),
		Description:  jsii.String("Callfleet: one templated API call"),
		Runtime:      awslambda.Runtime_PROVIDED_AL2023(),
		Architecture: architecture,
		Handler:      jsii.String("bootstrap"),
		Code:         awslambda.Code_FromAsset(jsii.String(p.knobs.LambdaZip), nil),
		MemorySize:   jsii.Number(256),
		Timeout:      awscdk.Duration_Minutes(jsii.Number(2)),
		Role:         role,
		LogGroup:     logs,
		Tracing:      awslambda.Tracing_ACTIVE,
		Environment: &map[string]*string{
			"CALLFLEET_BLOBS":      jsii.String(blobs),
			"CALLFLEET_LOG_FORMAT": jsii.String("json"),
			"CALLFLEET_LOG_LEVEL":  jsii.String(p.knobs.LogLevel),
		},
	})
}

// newLogGroup is a log group that goes with the stack.
func (p *parts) newLogGroup(id, name string) awslogs.LogGroup {
	group := awslogs.NewLogGroup(p.stack, jsii.String(id), &awslogs.LogGroupProps{
		LogGroupName:  jsii.String(name),
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	// The construct takes names of periods, CloudFormation takes days.
	days := group.Node().DefaultChild().(awslogs.CfnLogGroup)
	days.SetRetentionInDays(jsii.Number(p.knobs.LogRetentionDays))
	return group
}
