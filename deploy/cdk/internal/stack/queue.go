package stack

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
)

// Times and counts of the queues.
const (
	// leaseSeconds is how long a received message is out of sight. The programs
	// extend it while they work; it is the lease of their own clocks.
	leaseSeconds = 90

	// maxReceive is above the consumers' own limit of 10 deliveries, as in
	// "producer setup": they move a poison message themselves, with the reason.
	// The redrive policy is for messages that no consumer lives long enough to
	// settle.
	maxReceive = 15

	// A dead letter keeps the time it was first sent at, so its queue must keep
	// messages longer than the queue they come from.
	retentionDays     = 4
	deadRetentionDays = 14
)

// queue is a queue with its dead letters.
type queue struct{ live, dead awssqs.Queue }

// queues are the fleet's three, in the order of the flow.
type queues struct{ requests, tasks, results queue }

func (p *parts) addQueues() {
	p.queues = queues{
		requests: p.newQueue("Requests", "requests"),
		tasks:    p.newQueue("Tasks", "tasks"),
		results:  p.newQueue("Results", "results"),
	}
}

func (p *parts) newQueue(id, part string) queue {
	dead := awssqs.NewQueue(p.stack, jsii.String(id+"DeadLetters"), &awssqs.QueueProps{
		QueueName:              p.name(part + "-dlq"),
		RetentionPeriod:        awscdk.Duration_Days(jsii.Number(deadRetentionDays)),
		VisibilityTimeout:      awscdk.Duration_Seconds(jsii.Number(leaseSeconds)),
		ReceiveMessageWaitTime: awscdk.Duration_Seconds(jsii.Number(20)),
		Encryption:             awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:             jsii.Bool(true),
	})
	live := awssqs.NewQueue(p.stack, jsii.String(id), &awssqs.QueueProps{
		QueueName:              p.name(part),
		RetentionPeriod:        awscdk.Duration_Days(jsii.Number(retentionDays)),
		VisibilityTimeout:      awscdk.Duration_Seconds(jsii.Number(leaseSeconds)),
		ReceiveMessageWaitTime: awscdk.Duration_Seconds(jsii.Number(20)),
		Encryption:             awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:             jsii.Bool(true),
		DeadLetterQueue:        &awssqs.DeadLetterQueue{Queue: dead, MaxReceiveCount: jsii.Number(maxReceive)},
	})
	return queue{live, dead}
}
