package natsqueue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
)

// The end of one run takes nothing from others: each gets its event, however
// many runs begin and end beside it.
func TestEndOfOneFeedKeepsTheEventsOfOthers(t *testing.T) {
	t.Parallel()
	b := openBroker(t, startBroker(t, natsembed.Options{}))
	p, err := b.FeedPublisher(t.Context(), "results")
	if err != nil {
		t.Fatal(err)
	}
	const writers, runs = 12, 60
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := range runs {
				run := fmt.Sprintf("run%dx%d", w, n)
				feed, err := b.FeedConsumer(t.Context(), "results", run)
				if err != nil {
					t.Error(err)
					return
				}
				if err := p.Publish(t.Context(), queue.Message{ID: run, Group: run + "-1", Body: []byte("{}")}); err != nil {
					t.Error(err)
					return
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				ds, err := feed.Receive(ctx, 10)
				cancel()
				if err != nil || len(ds) != 1 {
					t.Errorf("%s: %d events, %v", run, len(ds), err)
					return
				}
				if err := ds[0].Ack(t.Context()); err != nil {
					t.Error(err)
				}
				if err := feed.End(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
