package stack

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// addOutputs prints what a person needs next.
func (p *parts) addOutputs() {
	settings := p.settings()
	var line strings.Builder
	line.WriteString("export AWS_REGION=" + *p.stack.Region())
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		line.WriteString(" " + name + "=" + settings[name])
	}
	region := *p.stack.Region()
	console := "https://" + region + ".console.aws.amazon.com/"
	outputs := []struct{ id, value, text string }{
		{"Settings", line.String(), "Paste it into a shell: the producer then uses this deployment"},
		{"TableName", *p.table.TableName(), "Table of the templates"},
		{"BucketName", *p.bucket.BucketName(), "Bucket of bodies that are too large to travel"},
		{"StateMachineArn", *p.machines.callAPI.StateMachineArn(), "State machine that makes one call"},
		{"BatchStateMachineArn", *p.machines.callBatch.StateMachineArn(), "State machine that makes batches of calls"},
		{"RequestsQueueUrl", *p.queues.requests.live.QueueUrl(), "Queue of call requests"},
		{"TasksQueueUrl", *p.queues.tasks.live.QueueUrl(), "Queue that the workers take tasks from"},
		{"ResultsQueueUrl", *p.queues.results.live.QueueUrl(), "Queue of ended executions"},
		{"ProducerPolicyArn", *p.policy.ManagedPolicyArn(), "Attach it to whoever runs the producer"},
		{"ProducerTaskArn", *p.producer.TaskDefinitionArn(), "Task definition of the producer, for aws ecs run-task"},
		{"ClusterName", *p.cluster.ClusterName(), "ECS cluster of starter and workers"},
		{"DashboardLink", console + "cloudwatch/home?region=" + region + "#dashboards:name=" + p.dashboardName(), "Queues, executions, workers, errors"},
		{"ExecutionsLink", console + "states/home?region=" + region + "#/statemachines/view/" + *p.machines.callAPI.StateMachineArn(), "Executions"},
		{"ServicesLink", console + "ecs/v2/clusters/" + *p.cluster.ClusterName() + "/services?region=" + region, "Starter and workers"},
	}
	if p.machines.tutorial != nil {
		outputs = append(outputs, struct{ id, value, text string }{
			"TutorialArn", *p.machines.tutorial.StateMachineArn(), "State machine that calls through a function",
		})
	}
	for _, o := range outputs {
		awscdk.NewCfnOutput(p.stack, jsii.String(o.id), &awscdk.CfnOutputProps{
			Value: jsii.String(o.value), Description: jsii.String(o.text),
		})
	}
}

func (p *parts) dashboardName() string { return "callfleet-" + p.knobs.Prefix }
