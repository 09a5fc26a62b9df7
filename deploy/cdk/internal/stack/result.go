package stack

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awseventstargets"
	"github.com/aws/jsii-runtime-go"
)

// addResults carries the end of every execution to the results queue. What
// EventBridge cannot deliver within a day goes to the queue's dead letters, in
// the same form, so that it can be sent back like any other.
func (p *parts) addResults() {
	rule := awsevents.NewRule(p.stack, jsii.String("Ended"), &awsevents.RuleProps{
		RuleName:    p.name("ended"),
		Description: jsii.String("Ends of executions of " + p.knobs.StateMachine + " and " + p.knobs.Prefix + "-batch, to the results queue"),
		EventPattern: &awsevents.EventPattern{
			Source:     jsii.Strings("aws.states"),
			DetailType: jsii.Strings("Step Functions Execution Status Change"),
			Detail: &map[string]any{
				"status":          []string{"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"},
				"stateMachineArn": p.callerARNs(),
			},
		},
	})
	rule.AddTarget(awseventstargets.NewSqsQueue(p.queues.results.live, &awseventstargets.SqsQueueProps{
		DeadLetterQueue: p.queues.results.dead,
		MaxEventAge:     awscdk.Duration_Hours(jsii.Number(24)),
		RetryAttempts:   jsii.Number(185),
	}))
}
