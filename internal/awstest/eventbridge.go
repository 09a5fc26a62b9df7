package awstest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// EventBridge stands in for the rule that AWS has and no emulator carries out:
// it sends a "Step Functions Execution Status Change" event of each execution
// of a state machine that has ended to a queue.
type EventBridge struct {
	executions *sfn.Client
	queues     *sqs.Client
	machine    string // ARN
	queueURL   string
	sent       map[string]bool // by ARN of the execution
}

// NewEventBridge makes the rule; Run carries it out.
func NewEventBridge(cfg aws.Config, machineARN, queueURL string) *EventBridge {
	return &EventBridge{
		executions: sfn.NewFromConfig(cfg), queues: sqs.NewFromConfig(cfg),
		machine: machineARN, queueURL: queueURL, sent: map[string]bool{},
	}
}

// lookEvery is the time between two looks at the executions.
const lookEvery = 200 * time.Millisecond

// Run sends events until ctx ends. Trouble of the emulator is passed over: what
// was not sent is sent with the next look.
func (e *EventBridge) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = e.look(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (e *EventBridge) look(ctx context.Context) error {
	pages := sfn.NewListExecutionsPaginator(e.executions, &sfn.ListExecutionsInput{StateMachineArn: &e.machine, MaxResults: 1000})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, x := range page.Executions {
			arn := aws.ToString(x.ExecutionArn)
			if x.Status == types.ExecutionStatusRunning || e.sent[arn] {
				continue
			}
			if err := e.send(ctx, arn); err != nil {
				return err
			}
			e.sent[arn] = true
		}
	}
	return nil
}

func (e *EventBridge) send(ctx context.Context, arn string) error {
	x, err := e.executions.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	if err != nil {
		return fmt.Errorf("describe %s: %w", arn, err)
	}
	body, err := json.Marshal(event(x))
	if err != nil {
		return err
	}
	_, err = e.queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &e.queueURL, MessageBody: aws.String(string(body))})
	return err
}

// event is the shape that AWS documents (EventBridge events of Step Functions,
// "Execution status change").
func event(x *sfn.DescribeExecutionOutput) map[string]any {
	return map[string]any{
		"version": "0", "id": rand.Text(), "source": "aws.states",
		"detail-type": "Step Functions Execution Status Change",
		"account":     Account, "region": Region, "time": aws.ToTime(x.StopDate).UTC().Format(time.RFC3339),
		"resources": []string{aws.ToString(x.ExecutionArn)},
		"detail": map[string]any{
			"executionArn": x.ExecutionArn, "stateMachineArn": x.StateMachineArn, "name": x.Name, "status": x.Status,
			"startDate": aws.ToTime(x.StartDate).UnixMilli(), "stopDate": aws.ToTime(x.StopDate).UnixMilli(),
			"input": x.Input, "output": x.Output, "error": x.Error, "cause": x.Cause,
			"inputDetails": map[string]any{"included": true}, "outputDetails": map[string]any{"included": true},
		},
	}
}
