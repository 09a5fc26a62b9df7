package awstest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"callfleet/internal/awstest"
)

// once makes clients that do not retry.
func once(cfg aws.Config) aws.Config {
	cfg.RetryMaxAttempts = 1
	return cfg
}

func code(err error) string {
	if api := smithy.APIError(nil); errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// Each fault is, to each client, the error that AWS would give.
func TestFaults(t *testing.T) {
	t.Parallel()
	p := awstest.FaultProxy(t, awstest.Moto(t).URL)
	cfg := once(p.Config())
	calls := map[string]func(context.Context) error{
		"sqs": func(ctx context.Context) error { _, err := sqs.NewFromConfig(cfg).ListQueues(ctx, nil); return err },
		"dynamodb": func(ctx context.Context) error {
			_, err := dynamodb.NewFromConfig(cfg).ListTables(ctx, nil)
			return err
		},
		"sfn": func(ctx context.Context) error {
			_, err := sfn.NewFromConfig(cfg).ListStateMachines(ctx, nil)
			return err
		},
		"sts": func(ctx context.Context) error {
			_, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
			return err
		},
	}
	for _, row := range []struct {
		service, want string
		fault         awstest.Fault
	}{
		{"sqs", "RequestThrottled", awstest.Throttled},
		{"dynamodb", "ProvisionedThroughputExceededException", awstest.Throttled},
		{"sfn", "ThrottlingException", awstest.Throttled},
		{"sts", "Throttling", awstest.Throttled},
		{"sqs", "ExpiredToken", awstest.Expired},
		{"dynamodb", "ExpiredTokenException", awstest.Expired},
		{"sfn", "ExpiredTokenException", awstest.Expired},
		{"sts", "ExpiredToken", awstest.Expired},
		{"sqs", "AccessDenied", awstest.Denied},
		{"dynamodb", "AccessDeniedException", awstest.Denied},
		{"sfn", "AccessDeniedException", awstest.Denied},
		{"sts", "AccessDenied", awstest.Denied},
	} {
		p.Times(1, row.fault)
		if err := calls[row.service](t.Context()); code(err) != row.want {
			t.Errorf("%s: got %v, want code %s", row.service, err, row.want)
		}
	}
	for name, fault := range map[string]awstest.Fault{"down": awstest.Down, "lost": awstest.Lost, "status": awstest.Status(503)} {
		p.Times(1, fault)
		if err := calls["sqs"](t.Context()); err == nil || code(err) != "" && name != "status" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for service, call := range calls {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s without a fault: %v", service, err)
		}
	}
}

// What was lost was done, what was down was not; and only the operations that
// were named are touched.
func TestFaultsAreCounted(t *testing.T) {
	t.Parallel()
	p := awstest.FaultProxy(t, awstest.Moto(t).URL)
	client := sqs.NewFromConfig(once(p.Config()))
	queue := makeQueue(t, p.Config())
	send := func() error {
		_, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: aws.String("x")})
		return err
	}
	p.Set(awstest.Down, "SendMessage", "ReceiveMessage")
	p.Times(2, awstest.Lost, "SendMessage")
	for i := range 3 {
		if err := send(); err == nil {
			t.Errorf("send %d is no error", i)
		}
	}
	if seen, passed := p.Seen("SendMessage"), p.Passed("SendMessage"); seen != 3 || passed != 2 {
		t.Errorf("saw %d and passed %d, want 3 and 2", seen, passed)
	}
	out, err := client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &queue, AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil || out.Attributes["ApproximateNumberOfMessages"] != "2" {
		t.Errorf("got %v, %v, want 2 messages", out, err)
	}
	p.Clear()
	if err := send(); err != nil {
		t.Error(err)
	}
	if got := p.Seen(); got != 6 { // with CreateQueue
		t.Errorf("saw %d requests, want 6", got)
	}
}

// The client learns of its wrong clock from the answer, and signs again.
func TestSkew(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{time.Hour, -time.Hour} {
		p := awstest.FaultProxy(t, awstest.Moto(t).URL)
		p.Skew(skew)
		client := dynamodb.NewFromConfig(once(p.Config()))
		if _, err := client.ListTables(t.Context(), nil); code(err) != "InvalidSignatureException" {
			t.Errorf("%s: got %v", skew, err)
		}
		if _, err := client.ListTables(t.Context(), nil); err != nil {
			t.Errorf("%s: with the clock known: %v", skew, err)
		}
		if _, err := sqs.NewFromConfig(p.Config()).ListQueues(t.Context(), nil); err != nil {
			t.Errorf("%s: with retries: %v", skew, err)
		}
	}
}

// A delay ends with the client's patience, and Await sees the request come.
func TestDelayAndAwait(t *testing.T) {
	t.Parallel()
	p := awstest.FaultProxy(t, awstest.Moto(t).URL)
	p.Set(awstest.Delay(time.Hour), "ListQueues")
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := sqs.NewFromConfig(p.Config()).ListQueues(ctx, nil)
		result <- err
	}()
	if err := p.Await(t.Context(), 1, "ListQueues"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := p.Await(ctx, 99); !errors.Is(err, context.Canceled) {
		t.Errorf("await: got %v", err)
	}
	if p.Passed() != 0 {
		t.Error("the request was passed")
	}
	p.Set(awstest.Delay(time.Millisecond), "ListQueues")
	if _, err := sqs.NewFromConfig(p.Config()).ListQueues(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestStatusIsRetried(t *testing.T) {
	t.Parallel()
	p := awstest.FaultProxy(t, awstest.Moto(t).URL)
	p.Times(2, awstest.Status(http.StatusInternalServerError))
	if _, err := sqs.NewFromConfig(p.Config()).ListQueues(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if seen, passed := p.Seen("ListQueues"), p.Passed(); seen != 3 || passed != 1 {
		t.Errorf("saw %d and passed %d, want 3 and 1", seen, passed)
	}
}
