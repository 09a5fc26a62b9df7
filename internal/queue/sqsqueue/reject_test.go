package sqsqueue_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"callfleet/internal/awstest"
	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue"
)

// sendForeign sends a message as somebody without this package does.
func sendForeign(t *testing.T, b *sqsqueue.Broker, cfg aws.Config, body string, attributes map[string]types.MessageAttributeValue) (id string) {
	t.Helper()
	u, err := b.URL(t.Context(), "tasks")
	if err != nil {
		t.Fatal(err)
	}
	out, err := sqs.NewFromConfig(cfg).SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &u, MessageBody: &body, MessageAttributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.MessageId)
}

// TestRejectForeign rejects messages of others: with their attributes, also
// when these are as many as SQS takes, and with a body as long as SQS takes.
func TestRejectForeign(t *testing.T) {
	t.Parallel()
	some := map[string]types.MessageAttributeValue{
		"n": {DataType: aws.String("Number"), StringValue: aws.String("12")},
		"b": {DataType: aws.String("Binary"), BinaryValue: []byte{1}},
	}
	ten := map[string]types.MessageAttributeValue{}
	for i := range 10 {
		ten[fmt.Sprintf("a%d", i)] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String("v")}
	}
	for name, row := range map[string]struct {
		attributes map[string]types.MessageAttributeValue
		body       string
		headers    int
		reason     string
	}{
		"attributes":     {some, "not json", 2, "it is no task"},
		"ten attributes": {ten, "not json", 10, "it is no task"},
		"full":           {nil, strings.Repeat("x", 1<<20), 0, ""},
		"almost full":    {nil, strings.Repeat("x", 1<<20-40), 0, "it is "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := awstest.Moto(t).Config()
			b := createTasks(t, cfg, sqsqueue.Options{})
			id := sendForeign(t, b, cfg, row.body, row.attributes)
			d := receive(t, openConsumer(t, b, "tasks", 0), 1)[0]
			if d.ID != id || string(d.Body) != row.body || len(d.Headers) != row.headers || d.Attempt != 1 || d.Sent.IsZero() {
				t.Errorf("received %q, %d headers, attempt %d: want SQS's id %q, %d", d.ID, len(d.Headers), d.Attempt, id, row.headers)
			}
			for range 2 { // the second one does nothing
				if err := d.Reject(t.Context(), "it is no task"); err != nil {
					t.Fatal(err)
				}
			}
			dead := receive(t, openConsumer(t, b, "tasks-dlq", 0), 1)[0]
			if got := dead.Headers[queue.DeadLetterReason]; !strings.HasPrefix("it is no task", row.reason) || len(got) < len(row.reason)-1 {
				t.Errorf("reason %q: want %q", got, row.reason)
			}
			delete(dead.Headers, queue.DeadLetterReason)
			if string(dead.Body) != row.body || len(dead.Headers) != row.headers || dead.Headers["n"] != d.Headers["n"] {
				t.Errorf("dead letter with %d headers: want it unchanged", len(dead.Headers))
			}
			if err := dead.Reject(t.Context(), "again"); err == nil || !strings.Contains(err.Error(), "dead-letter queue itself") {
				t.Errorf("reject a dead letter: %v: want an error", err)
			}
			if n, err := b.Counts(t.Context(), "tasks-dlq"); err != nil || n.Backlog() != 1 {
				t.Errorf("%+v dead letters, %v: want one", n, err)
			}
		})
	}
}

// TestUndecodable is a message of ours from a version that wrote something
// else: it goes to the dead letters, as it came.
func TestUndecodable(t *testing.T) {
	t.Parallel()
	cfg := awstest.Moto(t).Config()
	b := createTasks(t, cfg, sqsqueue.Options{})
	sendForeign(t, b, cfg, "zipped", map[string]types.MessageAttributeValue{
		"callfleet": {DataType: aws.String("String"), StringValue: aws.String("v=1&id=a&body=gzip")},
	})
	publish(t, openPublisher(t, b, "tasks"), queue.Message{ID: "good"})
	c := openConsumer(t, b, "tasks", 0)
	if d := receive(t, c, 1)[0]; d.ID != "good" {
		t.Errorf("received %q: want good", d.ID)
	}
	d := receive(t, openConsumer(t, b, "tasks-dlq", 0), 1)[0]
	if reason := d.Headers[queue.DeadLetterReason]; string(d.Body) != "zipped" || !strings.Contains(reason, "gzip") {
		t.Errorf("dead letter %s, reason %q: want it as it came, and why", d.Body, reason)
	}
	if err := d.Ack(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestNoDeadLetterQueue keeps the message: it is never on neither queue.
func TestNoDeadLetterQueue(t *testing.T) {
	t.Parallel()
	cfg := awstest.Moto(t).Config()
	api := sqs.NewFromConfig(cfg)
	b := newBroker(t, cfg, sqsqueue.Options{})
	if _, err := b.Create(t.Context(), "other", 0); err != nil {
		t.Fatal(err)
	}
	tasks := strings.TrimSuffix(mustDescribe(t, b, "other").Name, "other") + "tasks"
	if _, err := api.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &tasks}); err != nil {
		t.Fatal(err)
	}
	publish(t, openPublisher(t, b, "tasks"), queue.Message{ID: "a"})
	d := receive(t, openConsumer(t, b, "tasks", 0), 1)[0]
	err := d.Reject(t.Context(), "bad")
	if !errors.Is(err, queue.ErrNotFound) || !strings.Contains(err.Error(), tasks+"-dlq") {
		t.Errorf("reject: %v: want the queue that is missing", err)
	}
	if _, err := b.Create(t.Context(), "tasks", 0); err != nil {
		t.Fatal(err)
	}
	if err := d.Reject(t.Context(), "bad"); err != nil {
		t.Errorf("reject when there is one: %v", err)
	}
}

// TestRedrivenBySQS reads a message that SQS itself has moved. AWS tells where
// it came from; the emulators don't.
func TestRedrivenBySQS(t *testing.T) {
	t.Parallel()
	_, cfg := scripted(func(c call) *http.Response {
		if res := openAnswers(c); res != nil {
			return res
		}
		return reply(http.StatusOK, `{"Messages":[{"MessageId":"m","ReceiptHandle":"r","Body":"b","Attributes":{
			"ApproximateReceiveCount":"7","DeadLetterQueueSourceArn":"arn:aws:sqs:us-east-1:1:calls-tasks"}}]}`)
	})
	c := openConsumer(t, newBroker(t, cfg, sqsqueue.Options{}), "tasks-dlq", 0)
	d := receive(t, c, 1)[0]
	if reason := d.Headers[queue.DeadLetterReason]; !strings.Contains(reason, "redrive policy of arn:aws:sqs:us-east-1:1:calls-tasks") {
		t.Errorf("reason %q: want that SQS moved it, and from where", reason)
	}
}
