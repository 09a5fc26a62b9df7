package request

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"callfleet/internal/lifecycle"
	"callfleet/internal/queue/sqsqueue/batch"
	"callfleet/internal/queue/sqsqueue/message"
)

const (
	// MaxEntries is how many messages one request sends, receives or settles.
	MaxEntries = 10
	// requestsInFlight bounds the requests of one kind on one queue.
	requestsInFlight = 32
	requestTimeout   = 30 * time.Second
	// entryTries bounds how often an entry is sent that SQS had trouble with
	// while it took others of the same request.
	entryTries = 3
	entryPause = 100 * time.Millisecond
)

// Visibility is one change of a message's visibility.
type Visibility struct {
	Handle  string
	Seconds int32
}

func (c *Client) bounds() batch.Options {
	return batch.Options{
		Entries: MaxEntries, Bytes: message.MaxBytes, InFlight: requestsInFlight,
		Linger: c.linger, Timeout: requestTimeout, Go: c.Go,
	}
}

// Sends makes a batcher of messages for a queue.
func (c *Client) Sends(full, url string, fifo bool) *batch.Batcher[*message.Outgoing] {
	o := c.bounds()
	if fifo {
		o.InFlight = 1 // two requests at a time may change places
	}
	return batch.New(o, func(ctx context.Context, msgs []*message.Outgoing) []error {
		return c.each(ctx, "sqs:SendMessage", full, len(msgs), func(todo []int) (answer, error) {
			in := &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: make([]types.SendMessageBatchRequestEntry, len(todo))}
			for i, n := range todo {
				in.Entries[i] = entryOf(msgs[n], n)
			}
			out, err := c.API.SendMessageBatch(ctx, in)
			if err != nil {
				return answer{}, err
			}
			a := answer{failed: out.Failed}
			for i := range out.Successful {
				a.ok(out.Successful[i].Id)
			}
			return a, nil
		})
	})
}

func entryOf(m *message.Outgoing, n int) types.SendMessageBatchRequestEntry {
	e := types.SendMessageBatchRequestEntry{
		Id: entryID(n), MessageBody: &m.Body, MessageAttributes: m.Attributes, DelaySeconds: m.Delay,
	}
	if m.Group != "" {
		e.MessageGroupId = &m.Group
	}
	if m.Dedup != "" {
		e.MessageDeduplicationId = &m.Dedup
	}
	return e
}

// Deletes makes a batcher of receipt handles for a queue.
func (c *Client) Deletes(full, url string) *batch.Batcher[string] {
	return batch.New(c.bounds(), func(ctx context.Context, handles []string) []error {
		return c.each(ctx, "sqs:DeleteMessage", full, len(handles), func(todo []int) (answer, error) {
			in := &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: make([]types.DeleteMessageBatchRequestEntry, len(todo))}
			for i, n := range todo {
				in.Entries[i] = types.DeleteMessageBatchRequestEntry{Id: entryID(n), ReceiptHandle: &handles[n]}
			}
			out, err := c.API.DeleteMessageBatch(ctx, in)
			if err != nil {
				return answer{}, err
			}
			a := answer{failed: out.Failed}
			for i := range out.Successful {
				a.ok(out.Successful[i].Id)
			}
			return a, nil
		})
	})
}

// Changes makes a batcher of visibilities for a queue.
func (c *Client) Changes(full, url string) *batch.Batcher[Visibility] {
	return batch.New(c.bounds(), func(ctx context.Context, to []Visibility) []error {
		return c.each(ctx, "sqs:ChangeMessageVisibility", full, len(to), func(todo []int) (answer, error) {
			in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &url, Entries: make([]types.ChangeMessageVisibilityBatchRequestEntry, len(todo))}
			for i, n := range todo {
				in.Entries[i] = types.ChangeMessageVisibilityBatchRequestEntry{
					Id: entryID(n), ReceiptHandle: &to[n].Handle, VisibilityTimeout: to[n].Seconds,
				}
			}
			out, err := c.API.ChangeMessageVisibilityBatch(ctx, in)
			if err != nil {
				return answer{}, err
			}
			a := answer{failed: out.Failed}
			for i := range out.Successful {
				a.ok(out.Successful[i].Id)
			}
			return a, nil
		})
	})
}

// answer is what SQS says about the entries of a request.
type answer struct {
	failed []types.BatchResultErrorEntry
	taken  [MaxEntries]bool // by the entry's number
}

func (a *answer) ok(id *string) {
	if n, found := entryNumber(id); found {
		a.taken[n] = true
	}
}

func entryID(n int) *string { return aws.String(strconv.Itoa(n)) }

func entryNumber(id *string) (n int, ok bool) {
	n, err := strconv.Atoi(aws.ToString(id))
	return n, err == nil && n >= 0 && n < MaxEntries
}

// each sends n entries and returns the result of each. An entry that SQS had
// trouble with is sent again by itself; what fails as a whole was sent again by
// the SDK already.
func (c *Client) each(ctx context.Context, action, full string, n int, send func(todo []int) (answer, error)) []error {
	results := make([]error, n)
	todo := make([]int, n)
	for i := range todo {
		todo[i] = i
	}
	for try, pause := 1, entryPause; len(todo) > 0; try, pause = try+1, 2*pause {
		a, err := send(todo)
		if err != nil {
			err = c.Explain(action, full, err)
			for _, i := range todo {
				results[i] = err
			}
			return results
		}
		again := c.sort(action, full, a, todo, results)
		if try == entryTries || len(again) == 0 || lifecycle.Sleep(ctx, pause) != nil {
			return results
		}
		todo = again
	}
	return results
}

// errNoWord is about an entry that SQS says nothing about.
var errNoWord = errors.New("SQS gave no result for it")

// sort writes the results of the entries that were sent, and returns those that
// may succeed when they are sent again.
func (c *Client) sort(action, full string, a answer, todo []int, results []error) (again []int) {
	for _, i := range todo {
		results[i] = nil
		if !a.taken[i] {
			results[i] = c.Explain(action, full, errNoWord)
		}
	}
	for _, f := range a.failed {
		if i, ok := entryNumber(f.Id); ok && i < len(results) {
			results[i] = c.refusal(action, full, f)
		}
	}
	for _, i := range todo {
		if TroubleOf(results[i]).Temporary() {
			again = append(again, i)
		}
	}
	return again
}

// refusal is what SQS says about one entry.
func (c *Client) refusal(action, full string, f types.BatchResultErrorEntry) error {
	fault := smithy.FaultServer
	if f.SenderFault {
		fault = smithy.FaultClient
	}
	return c.Explain(action, full, &smithy.GenericAPIError{
		Code: aws.ToString(f.Code), Message: aws.ToString(f.Message), Fault: fault,
	})
}
