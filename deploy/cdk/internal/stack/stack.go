// Package stack is the CloudFormation stack of a Callfleet deployment: queues,
// table, state machines, the ECS services with their scaling, permissions,
// alarms and the dashboard.
package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"callfleet/deploy/cdk/internal/knob"
)

// Name is the name of the stack with the prefix of the queues. Two fleets of
// one account and region differ in both.
func Name(prefix string) string {
	if prefix == knob.Defaults().Prefix {
		return "Callfleet"
	}
	return "Callfleet-" + strings.ReplaceAll(prefix, "_", "-")
}

// Options is where an app is made.
type Options struct {
	Root    string         // directory of the repository: definitions and Dockerfile are read from it
	Out     string         // directory of the cloud assembly; empty: the CDK's choice
	Context map[string]any // knobs, for an app that is not run by the CDK's command line
}

// NewApp returns an app with the stack in it, which is checked by cdk-nag when
// it is synthesised. The error names every knob that is wrong.
func NewApp(o Options) (awscdk.App, awscdk.Stack, error) {
	context := make(map[string]any)
	for flag, on := range flags {
		context[flag] = on
	}
	for name, value := range o.Context {
		context[name] = value
	}
	props := &awscdk.AppProps{Context: &context, AnalyticsReporting: jsii.Bool(false)}
	if o.Out != "" {
		props.Outdir = jsii.String(o.Out)
	}
	app := awscdk.NewApp(props)
	all, _ := app.Node().GetAllContext(nil).(map[string]any)
	knobs, err := knob.Read(all)
	if err != nil {
		return nil, nil, err
	}
	definitions, err := readDefinitions(o.Root)
	if err != nil {
		return nil, nil, err
	}
	stack := build(app, knobs, o.Root, definitions)
	awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{Verbose: jsii.Bool(true)}), nil)
	return app, stack, nil
}

// flags are the CDK's own switches, set to what it recommends for new apps
// where it matters to this stack.
var flags = map[string]bool{
	"@aws-cdk/core:enablePartitionLiterals":                                          true,
	"@aws-cdk/core:checkSecretUsage":                                                 true,
	"@aws-cdk/aws-iam:minimizePolicies":                                              true,
	"@aws-cdk/aws-ecs:arnFormatIncludesClusterName":                                  true,
	"@aws-cdk/aws-ecs:disableExplicitDeploymentControllerForCircuitBreaker":          true,
	"@aws-cdk/aws-ecs:removeDefaultDeploymentAlarm":                                  true,
	"@aws-cdk/aws-ecs:reduceEc2FargateCloudWatchPermissions":                         true,
	"@aws-cdk/aws-ecs-patterns:removeDefaultDesiredCount":                            true,
	"@aws-cdk/aws-events:eventsTargetQueueSameAccount":                               true,
	"@aws-cdk/aws-cloudwatch-actions:changeLambdaPermissionLogicalIdForLambdaAction": true,
	"@aws-cdk/core:stackRelativeExports":                                             true,
}

// definitions are the state machines, as they are in the repository.
type definitions struct{ callAPI, callBatch, tutorial string }

func readDefinitions(root string) (definitions, error) {
	var d definitions
	for name, into := range map[string]*string{"call-api": &d.callAPI, "call-batch": &d.callBatch, "tutorial": &d.tutorial} {
		text, err := os.ReadFile(filepath.Join(root, "statemachine", name+".asl.json"))
		if err != nil {
			return d, fmt.Errorf("read state machine (run cdk in deploy/cdk of the repository): %w", err)
		}
		*into = string(text)
	}
	return d, nil
}

// parts is the stack under construction: each part is filled by the method of
// its name, in build's order, and used by those after it.
type parts struct {
	stack awscdk.Stack
	knobs knob.Knobs
	root  string

	queues    queues
	table     table
	flows     table
	bucket    bucket
	machines  machines
	network   network
	cluster   cluster
	providers awsecs.CfnClusterCapacityProviderAssociations
	starter   service
	worker    service
	producer  task
	policy    awsiam.ManagedPolicy // of the producer
	alarms    []awscloudwatch.IAlarm
}

func build(app awscdk.App, k knob.Knobs, root string, d definitions) awscdk.Stack {
	p := &parts{knobs: k, root: root}
	p.stack = awscdk.NewStack(app, jsii.String(Name(k.Prefix)), &awscdk.StackProps{
		Description: jsii.String("Callfleet: templated API calls as steps of Step Functions workflows"),
	})
	p.addQueues()
	p.addTable()
	p.addFlows()
	p.addBucket()
	p.addMachines(d)
	p.addResults()
	p.addNetwork()
	p.addCluster()
	p.addStarter()
	p.addWorker()
	p.addProducer()
	p.addScaling()
	p.addAlarms()
	p.addDashboard()
	p.addOutputs()
	p.explain()
	return p.stack
}

// name is a physical name: "calls-tasks".
func (p *parts) name(part string) *string { return jsii.String(p.knobs.Prefix + "-" + part) }

// arn is an ARN in the stack's account and region.
func (p *parts) arn(service, resource string) *string {
	return jsii.String(fmt.Sprintf("arn:%s:%s:%s:%s:%s", *p.stack.Partition(), service, *p.stack.Region(), *p.stack.Account(), resource))
}

func (p *parts) isARM() bool { return p.knobs.Architecture == "arm64" }
