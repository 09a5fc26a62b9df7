package awstest_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"callfleet/internal/awstest"
)

const definition = `{"StartAt": "Get", "States": {
  "Get": {"Type": "Task", "Resource": "arn:aws:states:::dynamodb:getItem", "ResultPath": "$.template", "Next": "Call",
    "Parameters": {"TableName": %[1]q, "Key": {"PK": {"S.$": "$.name"}}}},
  "Call": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "TimeoutSeconds": 60, "HeartbeatSeconds": 30, "End": true,
    "Parameters": {"QueueUrl": %[2]q, "MessageBody": {"taskToken.$": "$$.Task.Token", "url.$": "$.template.Item.url.S"}}}}}`

// A state machine is run more than once, which moto by itself does not, and uses
// the table and the queue that are beside it.
func TestMotoRunsStateMachines(t *testing.T) {
	t.Parallel()
	const executions = 50
	cfg := awstest.Moto(t).Config()
	table, queue := makeTable(t, cfg), makeQueue(t, cfg)
	states := sfn.NewFromConfig(cfg)
	machine, err := states.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name: aws.String(awstest.Name("machine")), RoleArn: aws.String("arn:aws:iam::" + awstest.Account + ":role/test"),
		Definition: aws.String(fmt.Sprintf(definition, table, queue)),
	})
	if err != nil {
		t.Fatal(err)
	}
	started := map[string]bool{}
	for i := range executions {
		out, err := states.StartExecution(t.Context(), &sfn.StartExecutionInput{
			StateMachineArn: machine.StateMachineArn, Name: aws.String(fmt.Sprint("run-", i)), Input: aws.String(`{"name": "a"}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		started[*out.ExecutionArn] = true
	}
	client := sqs.NewFromConfig(cfg)
	for answered := 0; answered < executions; {
		got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &queue, WaitTimeSeconds: 20, MaxNumberOfMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range got.Messages {
			var body struct{ TaskToken, URL string }
			if err := json.Unmarshal([]byte(*m.Body), &body); err != nil || body.URL != "https://example.com" {
				t.Fatalf("got %s, %v", *m.Body, err)
			}
			if _, err := states.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &body.TaskToken, Output: aws.String(`{"ok":true}`)}); err != nil {
				t.Fatal(err)
			}
			answered++
		}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for arn := range started {
		for status := ""; status != "SUCCEEDED"; <-tick.C {
			out, err := states.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
			if err != nil {
				t.Fatal(err)
			}
			if status = string(out.Status); status != "RUNNING" && status != "SUCCEEDED" {
				t.Fatalf("%s: %s: %s", arn, status, aws.ToString(out.Cause))
			}
		}
	}
}

func makeTable(t *testing.T, cfg aws.Config) string {
	t.Helper()
	client, name := dynamodb.NewFromConfig(cfg), awstest.Name("table")
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("PK"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("PK"), AttributeType: types.ScalarAttributeTypeS}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: map[string]types.AttributeValue{
		"PK": &types.AttributeValueMemberS{Value: "a"}, "url": &types.AttributeValueMemberS{Value: "https://example.com"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func makeQueue(t *testing.T, cfg aws.Config) string {
	t.Helper()
	out, err := sqs.NewFromConfig(cfg).CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(awstest.Name("queue"))})
	if err != nil {
		t.Fatal(err)
	}
	return *out.QueueUrl
}
