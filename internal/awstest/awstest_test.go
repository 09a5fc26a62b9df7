package awstest_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"go.uber.org/goleak"

	"callfleet/internal/awstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMotoAnswers(t *testing.T) {
	t.Parallel()
	cfg := awstest.Moto(t).Config()
	if out, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil); err != nil || aws.ToString(out.Account) != awstest.Account {
		t.Errorf("sts: got %+v, %v", out, err)
	}
	if _, err := dynamodb.NewFromConfig(cfg).ListTables(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := sfn.NewFromConfig(cfg).ListStateMachines(t.Context(), nil); err != nil {
		t.Error(err)
	}
	sendAndReceive(t, cfg)
}

func TestFauxqsAnswers(t *testing.T) {
	t.Parallel()
	sendAndReceive(t, awstest.Fauxqs(t).Config())
}

// sendAndReceive is a message's life.
func sendAndReceive(t *testing.T, cfg aws.Config) {
	t.Helper()
	client := sqs.NewFromConfig(cfg)
	name := awstest.Name("calls")
	made, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: made.QueueUrl, MessageBody: aws.String("hello")}); err != nil {
		t.Fatal(err)
	}
	got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: made.QueueUrl, WaitTimeSeconds: 5})
	if err != nil || len(got.Messages) != 1 || aws.ToString(got.Messages[0].Body) != "hello" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: made.QueueUrl, ReceiptHandle: got.Messages[0].ReceiptHandle}); err != nil {
		t.Error(err)
	}
}
