package sqsqueue

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"callfleet/internal/queue/sqsqueue/request"
)

// ErrDenied says that the credentials lack a permission; the text before it
// names the action and the queue.
var ErrDenied = request.ErrDenied

// Name is the queue's name on SQS: that of "tasks" is "calls-tasks".
func (b *Broker) Name(name string) string {
	full, err := b.names.queue(name)
	if err != nil {
		return name
	}
	return full
}

// ProbeSend finds out whether messages may be sent to a queue, and sends none:
// it asks for a batch without entries, which SQS refuses after it has looked at
// the permissions. It returns nil, ErrDenied, or what else kept it from finding
// out.
func (b *Broker) ProbeSend(ctx context.Context, name string) error {
	url, err := b.URL(ctx, name)
	if err != nil {
		return err
	}
	_, err = b.sqs.API.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: []types.SendMessageBatchRequestEntry{}})
	err = b.sqs.Explain("sqs:SendMessage", b.Name(name), err)
	if request.TroubleOf(err) == request.Refused {
		return nil
	}
	return err
}
