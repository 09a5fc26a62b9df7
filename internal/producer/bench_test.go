package producer

import (
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"callfleet/internal/call"
	"callfleet/internal/evidence"
	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
)

// BenchmarkRun is a whole run against a fleet that answers at once: publish,
// track, write. The fleet shares the processor.
func BenchmarkRun(b *testing.B) {
	server, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Shutdown()
	nc, err := server.Connect()
	if err != nil {
		b.Fatal(err)
	}
	broker, err := natsqueue.New(b.Context(), nc, natsqueue.Options{})
	if err != nil {
		b.Fatal(err)
	}
	requests, err := broker.Publisher(b.Context(), "requests")
	if err != nil {
		b.Fatal(err)
	}
	in, err := broker.Consumer(b.Context(), "requests", natsqueue.ConsumerOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	feed, err := broker.FeedPublisher(b.Context(), "results")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- answerAll(b, in, feed) }()
	o := optionsIn(b, b.TempDir(), "calls.jsonl", jsonCalls(b.N))
	o.Run = "bench" + strconv.Itoa(b.N)
	p, err := New(Deps{Queue: requests, Encoder: Workflow{}, Feed: feedOf(broker)}, o)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	sum, err := p.Run(b.Context())
	b.StopTimer()
	if err != nil || sum.OK != int64(b.N) {
		b.Fatalf("%+v, %v", sum, err)
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

func answerAll(b *testing.B, in queue.Consumer, feed queue.Publisher) error {
	for left := b.N; left > 0; {
		ds, err := in.Receive(b.Context(), 256)
		if err != nil {
			return err
		}
		msgs := make([]queue.Message, 0, len(ds))
		for _, d := range ds {
			r, err := call.DecodeRequest(d.Body)
			if err != nil {
				return err
			}
			o := succeed(r)
			o.Started = time.Now()
			body, err := call.EncodeOutcome(o)
			if err != nil {
				return err
			}
			msgs = append(msgs, queue.Message{ID: r.ID, Group: r.ID, Body: body})
		}
		if err := feed.Publish(b.Context(), msgs...); err != nil {
			return err
		}
		var g errgroup.Group
		g.SetLimit(32)
		for _, d := range ds {
			g.Go(func() error { return d.Ack(b.Context()) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		left -= len(ds)
	}
	return nil
}
