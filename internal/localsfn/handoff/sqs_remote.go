package handoff

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"callfleet/internal/localsfn/expr"
)

// sendRemote sends a message to a real SQS endpoint; the SDK retries.
func (h *Handoff) sendRemote(ctx context.Context, c *Call, m message) (expr.Value, error) {
	if h.o.SQS == nil {
		return expr.Value{}, &Failure{Name: "SQS.QueueDoesNotExistException", Cause: "queue " + m.queueURL +
			": no SQS endpoint is configured for queue URLs (set CALLFLEET_SQS_ENDPOINT, or name a queue of the broker instead of a URL)"}
	}
	in := &sqs.SendMessageInput{QueueUrl: aws.String(m.queueURL), MessageBody: aws.String(string(m.body)), MessageAttributes: map[string]types.MessageAttributeValue{}}
	if m.hasDelay {
		in.DelaySeconds = int32(m.delay.Seconds())
	}
	if m.group != "" {
		in.MessageGroupId = aws.String(m.group)
	}
	switch {
	case m.dedup != "":
		in.MessageDeduplicationId = aws.String(m.dedup)
	case strings.HasSuffix(m.queueURL, ".fifo"):
		in.MessageDeduplicationId = aws.String(dedupID(c.ID))
	}
	for _, a := range m.attributes {
		in.MessageAttributes[a.name] = types.MessageAttributeValue{DataType: aws.String(a.kind), StringValue: aws.String(a.text)}
	}
	for k, v := range c.Headers {
		if len(in.MessageAttributes) < 10 {
			in.MessageAttributes[k] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(v)}
		}
	}
	out, err := h.o.SQS.SendMessage(ctx, in)
	if err != nil {
		return expr.Value{}, sdkFailure(ctx, "SQS", "AmazonSQS", err)
	}
	members := make([]expr.Member, 0, 6)
	if len(m.attributes) > 0 {
		members = append(members, expr.Member{Key: "MD5OfMessageAttributes", Value: expr.String(aws.ToString(out.MD5OfMessageAttributes))})
	}
	members = append(members,
		expr.Member{Key: "MD5OfMessageBody", Value: expr.String(aws.ToString(out.MD5OfMessageBody))},
		expr.Member{Key: "MessageId", Value: expr.String(aws.ToString(out.MessageId))})
	if out.SequenceNumber != nil {
		members = append(members, expr.Member{Key: "SequenceNumber", Value: expr.String(*out.SequenceNumber)})
	}
	id := requestID()
	return withMetadata(members, id, jsonHeaders(id, 106)), nil
}

// dedupID makes a task's id fit for a MessageDeduplicationId: 128 characters of
// a small alphabet.
func dedupID(id string) string {
	if len(id) <= 128 {
		return id
	}
	return bodyMD5([]byte(id))
}

// sdkFailure is an error of the SDK as Step Functions words it: the error name
// of the service and a cause that ends in its tail. Trouble without an answer
// of the service is not the task's fault, so it keeps its own words.
func sdkFailure(ctx context.Context, prefix, service string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return &Failure{Name: prefix + ".SdkClientException", Cause: "Unable to execute HTTP request: " + err.Error()}
	}
	code := api.ErrorCode()
	if i := strings.LastIndexByte(code, '#'); i >= 0 {
		code = code[i+1:]
	}
	return serviceFailure(prefix, service, code, api.ErrorMessage(), 400)
}

// serviceFailure words an error of an optimised integration.
func serviceFailure(prefix, service, code, message string, status int) *Failure {
	name := code
	switch code {
	case "ValidationException", "SerializationException", "UnrecognizedClientException", "AccessDeniedException":
		name = service[:strings.IndexFunc(service+" ", notWord)] + "Exception"
		if prefix == "DynamoDB" {
			name = "AmazonDynamoDBException"
		}
	}
	return &Failure{Name: prefix + "." + name, Cause: message + " (Service: " + service + "; Status Code: " + itoa(status) +
		"; Error Code: " + code + "; Request ID: " + requestID() + "; Proxy: null)"}
}

func notWord(r rune) bool { return r == ' ' }
