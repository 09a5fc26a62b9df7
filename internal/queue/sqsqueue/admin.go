package sqsqueue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"callfleet/internal/lifecycle"
	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue/message"
)

const (
	queueRetention      = 4 * 24 * time.Hour
	deadLetterRetention = 14 * 24 * time.Hour // the most that SQS keeps
	// sparedReceives is by how much the redrive policy's limit is above
	// MaxDeliver, see Create.
	sparedReceives = 5
	maxReceives    = 1000 // the most that a redrive policy takes
	// leftoverPage is how many names SQS lists at once.
	leftoverPage = 1000
)

// Counts are the messages of a queue, as SQS counts them: approximately, and
// about a minute late after they stop coming.
type Counts struct {
	Visible  int // wait to be received
	InFlight int // leased, or handed back with a delay
	Delayed  int // sent with a delay that is not over
}

// Backlog is all there is.
func (c Counts) Backlog() int { return c.Visible + c.InFlight + c.Delayed }

// Info is what SQS says about a queue.
type Info struct {
	Name       string // calls-tasks
	URL        string
	ARN        string
	FIFO       bool
	Visibility time.Duration // the queue's own; a Consumer asks for its lease
	Retention  time.Duration
	MaxBytes   int
	// DeadLetters is the ARN of the dead-letter queue in the redrive policy,
	// "" without one.
	DeadLetters string
	MaxReceives int // of the redrive policy
	Counts
}

// URL is the queue's address. ErrNotFound if there is none.
func (b *Broker) URL(ctx context.Context, name string) (string, error) {
	full, err := b.names.queue(name)
	if err != nil {
		return "", fmt.Errorf("find queue %s: %w", name, err)
	}
	url, err := b.url(ctx, full, "")
	if err != nil {
		return "", fmt.Errorf("find queue %s: %w", name, err)
	}
	return url, nil
}

// url looks up the address of a queue by its full name. account is "" for the
// credentials' own.
func (b *Broker) url(ctx context.Context, full, account string) (string, error) {
	in := &sqs.GetQueueUrlInput{QueueName: &full}
	if account != "" {
		in.QueueOwnerAWSAccountId = &account
	}
	out, err := b.sqs.API.GetQueueUrl(ctx, in)
	if err != nil {
		return "", b.sqs.Explain("sqs:GetQueueUrl", full, err)
	}
	return aws.ToString(out.QueueUrl), nil
}

// Describe tells what a queue is like and what it holds. ErrNotFound if there
// is none.
func (b *Broker) Describe(ctx context.Context, name string) (Info, error) {
	q, err := b.open(ctx, name)
	if err != nil {
		return Info{}, fmt.Errorf("describe queue %s: %w", name, err)
	}
	return q, nil
}

func (b *Broker) describe(ctx context.Context, full string) (Info, error) {
	url, err := b.url(ctx, full, "")
	if err != nil {
		return Info{}, err
	}
	a, err := b.attributes(ctx, full, url, types.QueueAttributeNameAll)
	if err != nil {
		return Info{}, err
	}
	q := Info{
		Name: full, URL: url, ARN: a["QueueArn"], FIFO: a["FifoQueue"] == "true",
		Visibility: seconds(a["VisibilityTimeout"]), Retention: seconds(a["MessageRetentionPeriod"]),
		MaxBytes: number(a["MaximumMessageSize"]), Counts: counts(a),
	}
	q.DeadLetters, q.MaxReceives, err = redrive(a["RedrivePolicy"])
	if err != nil {
		return Info{}, fmt.Errorf("redrive policy of %s: %w", full, err)
	}
	return q, nil
}

// Counts tells how many messages a queue holds: the backlog of the fleet.
func (b *Broker) Counts(ctx context.Context, name string) (Counts, error) {
	url, err := b.URL(ctx, name)
	if err != nil {
		return Counts{}, err
	}
	full, _ := b.names.queue(name) // URL has seen that it is right
	c, err := b.counts(ctx, full, url)
	if err != nil {
		return Counts{}, fmt.Errorf("count queue %s: %w", name, err)
	}
	return c, nil
}

func (b *Broker) counts(ctx context.Context, full, url string) (Counts, error) {
	a, err := b.attributes(ctx, full, url,
		types.QueueAttributeNameApproximateNumberOfMessages,
		types.QueueAttributeNameApproximateNumberOfMessagesNotVisible,
		types.QueueAttributeNameApproximateNumberOfMessagesDelayed)
	if err != nil {
		return Counts{}, err
	}
	return counts(a), nil
}

func counts(a map[string]string) Counts {
	return Counts{
		Visible:  number(a["ApproximateNumberOfMessages"]),
		InFlight: number(a["ApproximateNumberOfMessagesNotVisible"]),
		Delayed:  number(a["ApproximateNumberOfMessagesDelayed"]),
	}
}

func (b *Broker) attributes(ctx context.Context, full, url string, which ...types.QueueAttributeName) (map[string]string, error) {
	out, err := b.sqs.API.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: which})
	if err != nil {
		return nil, b.sqs.Explain("sqs:GetQueueAttributes", full, err)
	}
	return out.Attributes, nil
}

// number reads an attribute that SQS wrote as a number; 0 if it is missing.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

func seconds(s string) time.Duration { return time.Duration(number(s)) * time.Second }

// redrive reads a redrive policy. SQS writes the number as a number or as a
// string, as it was given.
func redrive(policy string) (arn string, receives int, err error) {
	if policy == "" {
		return "", 0, nil
	}
	var p struct {
		Target   string `json:"deadLetterTargetArn"`
		Receives any    `json:"maxReceiveCount"`
	}
	if err := json.Unmarshal([]byte(policy), &p); err != nil {
		return "", 0, err
	}
	return p.Target, number(fmt.Sprint(p.Receives)), nil
}

// Create makes a queue and its dead-letter queue, unless they are there, and
// gives a queue without redrive policy one. It tells whether it made the
// queue. What exists keeps its settings.
//
// The fleet rejects a message by itself when it was received more than
// MaxDeliver times, with the reason. The redrive policy's limit is a little
// above that: it catches what never gets so far, such as a message that kills
// each worker, or a rejection that is not permitted.
func (b *Broker) Create(ctx context.Context, name string, lease time.Duration) (made bool, err error) {
	full, err := b.names.queue(name)
	if err != nil {
		return false, fmt.Errorf("create queue %s: %w", name, err)
	}
	made, err = b.create(ctx, full, message.WholeSeconds(orDefault(lease, defaultLease)))
	if err != nil {
		return false, fmt.Errorf("create queue %s: %w", name, err)
	}
	return made, nil
}

func (b *Broker) create(ctx context.Context, full string, lease time.Duration) (made bool, err error) {
	if isDeadLetters(full) {
		_, made, err = b.ensure(ctx, full, map[string]string{"MessageRetentionPeriod": secondsOf(deadLetterRetention)})
		return made, err
	}
	dead, err := b.names.finish(strings.TrimSuffix(deadLetters(full), fifoSuffix))
	if err != nil {
		return false, err
	}
	deadLetters, _, err := b.ensure(ctx, dead, map[string]string{"MessageRetentionPeriod": secondsOf(deadLetterRetention)})
	if err != nil {
		return false, err
	}
	policy, err := json.Marshal(map[string]string{
		"deadLetterTargetArn": deadLetters.ARN,
		"maxReceiveCount":     strconv.Itoa(b.maxReceives()),
	})
	if err != nil {
		return false, err
	}
	q, made, err := b.ensure(ctx, full, map[string]string{
		"MessageRetentionPeriod": secondsOf(queueRetention), "VisibilityTimeout": secondsOf(lease), "RedrivePolicy": string(policy),
	})
	if err != nil || made || q.DeadLetters != "" {
		return made, err
	}
	_, err = b.sqs.API.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{
		QueueUrl: &q.URL, Attributes: map[string]string{"RedrivePolicy": string(policy)},
	})
	if err != nil {
		return false, b.sqs.Explain("sqs:SetQueueAttributes", full, err)
	}
	return false, nil
}

// maxReceives is the limit of the redrive policy.
func (b *Broker) maxReceives() int {
	if b.options.MaxDeliver < 0 {
		return maxReceives
	}
	return min(b.options.MaxDeliver+sparedReceives, maxReceives)
}

// ensure finds a queue or makes it.
func (b *Broker) ensure(ctx context.Context, full string, attributes map[string]string) (q Info, made bool, err error) {
	q, err = b.describe(ctx, full)
	if !errors.Is(err, queue.ErrNotFound) {
		return q, false, err
	}
	if err := b.make(ctx, full, attributes, nil); err != nil {
		return Info{}, false, err
	}
	q, err = b.awaitQueue(ctx, full)
	return q, err == nil, err
}

// make creates a queue with what all queues of the fleet have.
func (b *Broker) make(ctx context.Context, full string, attributes, tags map[string]string) error {
	attributes["ReceiveMessageWaitTimeSeconds"] = secondsOf(defaultWait)
	if b.names.fifo {
		attributes["FifoQueue"] = "true"
		// Dedup and throughput per group: without it 300 requests a second are the most.
		attributes["DeduplicationScope"] = "messageGroup"
		attributes["FifoThroughputLimit"] = "perMessageGroupId"
	}
	all := map[string]string{"application": "callfleet"}
	for k, v := range tags {
		all[k] = v
	}
	_, err := b.sqs.API.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &full, Attributes: attributes, Tags: all})
	if err != nil {
		return b.sqs.Explain("sqs:CreateQueue", full, err)
	}
	return nil
}

// awaitQueue waits until a queue that was just made can be used, which SQS
// says takes up to a second.
func (b *Broker) awaitQueue(ctx context.Context, full string) (Info, error) {
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		q, err := b.describe(ctx, full)
		if !errors.Is(err, queue.ErrNotFound) || pause > 5*time.Second {
			return q, err
		}
		if err := lifecycle.Sleep(ctx, pause); err != nil {
			return Info{}, err
		}
	}
}

func secondsOf(d time.Duration) string {
	return strconv.FormatInt(int64(d/time.Second), 10)
}

// Leftovers lists the full names of the queues that runs have made for a feed
// and not deleted: those of runs that go on, and of runs that ended badly.
func (b *Broker) Leftovers(ctx context.Context, feed string) ([]string, error) {
	full, err := b.names.queue(feed)
	if err != nil {
		return nil, fmt.Errorf("list queues of feed %s: %w", feed, err)
	}
	prefix := strings.TrimSuffix(full, fifoSuffix) + "-"
	pages := sqs.NewListQueuesPaginator(b.sqs.API, &sqs.ListQueuesInput{
		QueueNamePrefix: &prefix, MaxResults: aws.Int32(leftoverPage),
	})
	var found []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list queues of feed %s: %w", feed, b.sqs.Explain("sqs:ListQueues", prefix+"*", err))
		}
		for _, url := range page.QueueUrls {
			name := url[strings.LastIndexByte(url, '/')+1:]
			run, ok := strings.CutPrefix(name, prefix)
			if run, fifo := strings.CutSuffix(run, fifoSuffix); ok && fifo == b.names.fifo && isName(run) && !isDeadLetters(name) {
				found = append(found, name)
			}
		}
	}
	slices.Sort(found)
	return found, nil
}
