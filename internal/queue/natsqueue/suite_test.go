package natsqueue_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
	"callfleet/internal/queue/queuetest"
)

// TestConformance holds the backend to the promises of the seam.
func TestConformance(t *testing.T) {
	t.Parallel()
	broker := startBroker(t, natsembed.Options{})
	var count atomic.Int64
	queuetest.Run(t, queuetest.Backend{
		ShortestLease: time.Second,
		Batch:         3 * 512,
		Open: func(t testing.TB, o queuetest.Options) *queuetest.Queue {
			name := fmt.Sprintf("suite-%d", count.Add(1))
			consumer := func(t testing.TB, name string, o natsqueue.ConsumerOptions) queue.Consumer {
				c, err := openBroker(t, broker).Consumer(t.Context(), name, o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close() })
				return c
			}
			p, err := openBroker(t, broker).Publisher(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			return &queuetest.Queue{
				Publisher: p,
				Consumer: func(t testing.TB) queue.Consumer {
					return consumer(t, name, natsqueue.ConsumerOptions{Lease: o.Lease, MaxDeliver: o.MaxDeliver})
				},
				DeadLetters: func(t testing.TB) queue.Consumer {
					return consumer(t, name+natsqueue.DeadLetterSuffix, natsqueue.ConsumerOptions{})
				},
			}
		},
	})
}
