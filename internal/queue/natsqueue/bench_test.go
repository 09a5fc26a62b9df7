package natsqueue_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
)

const benchBatch = 256

// BenchmarkPublish publishes batches of 1 KiB messages with ids, through this
// package and through the client library alone. ns/op is per message.
func BenchmarkPublish(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1024)
	b.Run("natsqueue", func(b *testing.B) {
		p, err := openBroker(b, startBroker(b, natsembed.Options{})).Publisher(b.Context(), "tasks")
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		b.ResetTimer()
		publishAll(b, p, b.N, body)
	})
	b.Run("raw", func(b *testing.B) {
		js := rawQueue(b)
		b.ReportAllocs()
		b.ResetTimer()
		rawPublishAll(b, js, b.N, body)
	})
}

// BenchmarkReceiveAck receives 64 messages at a time and acks them at once,
// waiting for the server to record it.
func BenchmarkReceiveAck(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1024)
	b.Run("natsqueue", func(b *testing.B) {
		broker := openBroker(b, startBroker(b, natsembed.Options{}))
		p, err := broker.Publisher(b.Context(), "tasks")
		if err != nil {
			b.Fatal(err)
		}
		c, err := broker.Consumer(b.Context(), "tasks", natsqueue.ConsumerOptions{})
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		publishAll(b, p, b.N, body)
		b.ReportAllocs()
		b.ResetTimer()
		var wg sync.WaitGroup
		for n := 0; n < b.N; {
			ds, err := c.Receive(b.Context(), 64)
			if err != nil {
				b.Fatal(err)
			}
			n += len(ds)
			wg.Wait() // the acks of the last round ran beside this receive
			for _, d := range ds {
				wg.Go(func() {
					if err := d.Ack(b.Context()); err != nil {
						b.Error(err)
					}
				})
			}
		}
		wg.Wait()
	})
	b.Run("raw", func(b *testing.B) { rawReceiveAck(b, body) })
}

func rawReceiveAck(b *testing.B, body []byte) {
	js := rawQueue(b)
	rawPublishAll(b, js, b.N, body)
	c, err := js.CreateConsumer(b.Context(), "raw", jetstream.ConsumerConfig{
		Durable: "raw", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 100_000,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for n := 0; n < b.N; {
		batch, err := c.FetchNoWait(64)
		if err != nil {
			b.Fatal(err)
		}
		wg.Wait()
		for m := range batch.Messages() {
			n++
			wg.Go(func() {
				if err := m.DoubleAck(b.Context()); err != nil {
					b.Error(err)
				}
			})
		}
	}
	wg.Wait()
}

func publishAll(b *testing.B, p queue.Publisher, n int, body []byte) {
	msgs := make([]queue.Message, 0, benchBatch)
	for i := 0; i < n; i += len(msgs) {
		msgs = msgs[:0]
		for j := i; j < min(i+benchBatch, n); j++ {
			msgs = append(msgs, queue.Message{ID: fmt.Sprint("m-", j), Body: body})
		}
		if err := p.Publish(b.Context(), msgs...); err != nil {
			b.Fatal(err)
		}
	}
}

// rawQueue makes the same kind of stream without this package.
func rawQueue(b *testing.B) jetstream.JetStream {
	nc, err := startBroker(b, natsembed.Options{}).Connect()
	if err != nil {
		b.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	_, err = js.CreateStream(b.Context(), jetstream.StreamConfig{
		Name: "raw", Subjects: []string{"raw"}, Retention: jetstream.WorkQueuePolicy,
	})
	if err != nil {
		b.Fatal(err)
	}
	return js
}

func rawPublishAll(b *testing.B, js jetstream.JetStream, n int, body []byte) {
	for i := 0; i < n; i += benchBatch {
		for j := i; j < min(i+benchBatch, n); j++ {
			msg := &nats.Msg{Subject: "raw", Data: body, Header: nats.Header{nats.MsgIdHdr: {fmt.Sprint("m-", j)}}}
			if _, err := js.PublishMsgAsync(msg); err != nil {
				b.Fatal(err)
			}
		}
		<-js.PublishAsyncComplete()
	}
}

// BenchmarkRoundTrip publishes, receives and acks one message at a time: the
// latency that a queue adds to an idle fleet.
func BenchmarkRoundTrip(b *testing.B) {
	broker := openBroker(b, startBroker(b, natsembed.Options{}))
	p, err := broker.Publisher(b.Context(), "tasks")
	if err != nil {
		b.Fatal(err)
	}
	c, err := broker.Consumer(b.Context(), "tasks", natsqueue.ConsumerOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Publish(b.Context(), queue.Message{Body: []byte("x")}); err != nil {
			b.Fatal(err)
		}
		ds, err := c.Receive(b.Context(), 1)
		if err != nil {
			b.Fatal(err)
		}
		if err := ds[0].Ack(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
