package sqsqueue_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"callfleet/internal/awstest"
	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue"
)

const (
	benchRound   = 8000 // messages of one round
	benchWorkers = 4    // requests at a time, of the bare loop and of ours
)

// BenchmarkSQSReceiveAck takes messages off a queue through this package, each
// acked by a goroutine of its own, and through a bare SDK loop that receives
// ten and deletes ten with as many requests at a time, in turns. The ratio of
// the two is what this package costs.
func BenchmarkSQSReceiveAck(b *testing.B) {
	broker, api := benchBroker(b)
	compare(b, func(name string) time.Duration {
		fill(b, broker, name)
		return drain(b, broker, name)
	}, func(name string) time.Duration {
		fill(b, broker, name)
		return bareDrain(b, api, url(b, broker, name))
	})
}

// BenchmarkSQSPublish publishes messages with ids through this package, 250 at a
// time, and through a bare SDK loop that sends ten to a request, with as many
// requests at a time.
func BenchmarkSQSPublish(b *testing.B) {
	broker, api := benchBroker(b)
	compare(b, func(name string) time.Duration {
		if _, err := broker.Create(b.Context(), name, 0); err != nil {
			b.Fatal(err)
		}
		return publishAll(b, openPublisher(b, broker, name))
	}, func(name string) time.Duration {
		if _, err := broker.Create(b.Context(), name, 0); err != nil {
			b.Fatal(err)
		}
		return barePublish(b, api, url(b, broker, name))
	})
}

// compare runs both in turns, each on queues of its own, and reports the ratio.
func compare(b *testing.B, ours, bare func(queue string) time.Duration) {
	var ourTime, bareTime time.Duration
	for round := range b.N + 1 {
		o, r := ours(fmt.Sprintf("ours%d", round)), bare(fmt.Sprintf("bare%d", round))
		if round > 0 { // the first one warms both up
			ourTime, bareTime = ourTime+o, bareTime+r
		}
	}
	total := float64(benchRound * b.N)
	b.ReportMetric(0, "ns/op") // of both together it says nothing
	b.ReportMetric(total/ourTime.Seconds(), "msgs/s")
	b.ReportMetric(total/bareTime.Seconds(), "bare-msgs/s")
	b.ReportMetric(100*bareTime.Seconds()/ourTime.Seconds(), "%-of-bare")
}

func benchBroker(b *testing.B) (*sqsqueue.Broker, *sqs.Client) {
	cfg := awstest.Fauxqs(b).Config()
	return newBroker(b, cfg, sqsqueue.Options{}), sqs.NewFromConfig(cfg)
}

func url(b *testing.B, broker *sqsqueue.Broker, name string) string {
	u, err := broker.URL(b.Context(), name)
	if err != nil {
		b.Fatal(err)
	}
	return u
}

func fill(b *testing.B, broker *sqsqueue.Broker, name string) {
	if _, err := broker.Create(b.Context(), name, 0); err != nil {
		b.Fatal(err)
	}
	publishAll(b, openPublisher(b, broker, name))
}

func publishAll(b *testing.B, p queue.Publisher) time.Duration {
	body := bytes.Repeat([]byte("x"), 1024)
	start := time.Now()
	var wg sync.WaitGroup
	for w := range benchWorkers {
		wg.Go(func() {
			const batch = 250
			for i := 0; i < benchRound/benchWorkers; i += batch {
				msgs := make([]queue.Message, batch)
				for j := range msgs {
					msgs[j] = queue.Message{ID: fmt.Sprintf("m-%d-%d", w, i+j), Body: body}
				}
				if err := p.Publish(b.Context(), msgs...); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

func drain(b *testing.B, broker *sqsqueue.Broker, name string) time.Duration {
	c, err := broker.Consumer(b.Context(), name, sqsqueue.ConsumerOptions{})
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	var acks sync.WaitGroup
	for n := 0; n < benchRound; {
		ds, err := c.Receive(b.Context(), 10*benchWorkers)
		if err != nil {
			b.Fatal(err)
		}
		n += len(ds)
		for _, d := range ds {
			acks.Go(func() {
				if err := d.Ack(b.Context()); err != nil {
					b.Error(err)
				}
			})
		}
	}
	acks.Wait()
	took := time.Since(start)
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	return took
}

func bareDrain(b *testing.B, api *sqs.Client, url string) time.Duration {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	start := time.Now()
	var deleted atomic.Int64
	var wg sync.WaitGroup
	for range benchWorkers {
		wg.Go(func() {
			for ctx.Err() == nil {
				out, err := api.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
					QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: 20,
					MessageAttributeNames:       []string{"All"},
					MessageSystemAttributeNames: []types.MessageSystemAttributeName{"ApproximateReceiveCount", "SentTimestamp"},
				})
				if err != nil {
					if ctx.Err() == nil {
						b.Error(err)
					}
					return
				}
				entries := make([]types.DeleteMessageBatchRequestEntry, len(out.Messages))
				for i, m := range out.Messages {
					entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: m.ReceiptHandle}
				}
				if len(entries) == 0 {
					continue
				}
				if _, err := api.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: entries}); err != nil {
					b.Error(err)
					return
				}
				if deleted.Add(int64(len(entries))) >= benchRound {
					cancel() // the others wait for nothing
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

func barePublish(b *testing.B, api *sqs.Client, url string) time.Duration {
	body := string(bytes.Repeat([]byte("x"), 1024))
	start := time.Now()
	var wg sync.WaitGroup
	for w := range benchWorkers {
		wg.Go(func() {
			for i := 0; i < benchRound/benchWorkers; i += 10 {
				entries := make([]types.SendMessageBatchRequestEntry, 10)
				for j := range entries {
					id := aws.String(fmt.Sprintf("m-%d-%d", w, i+j))
					entries[j] = types.SendMessageBatchRequestEntry{
						Id: aws.String(fmt.Sprint(j)), MessageBody: &body,
						MessageAttributes: map[string]types.MessageAttributeValue{"id": {DataType: aws.String("String"), StringValue: id}},
					}
				}
				if _, err := api.SendMessageBatch(b.Context(), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: entries}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}
