package sqsqueue_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"callfleet/internal/queue"
	"callfleet/internal/queue/queuetest"
	"callfleet/internal/queue/sqsqueue"
)

// TestConformance holds the backend to the promises of every queue, on each
// emulator.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, start := range emulators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if cfg, ok := faulty(); ok { // see TestBrokenQueuesFail
				b := backend(cfg)
				b.Patience = 10 * time.Second // some faults show as a wait without end
				queuetest.Run(t, b)
				return
			}
			queuetest.Run(t, backend(start(t).Config()))
		})
	}
}

// backend makes queues for the suite. Leases and delays are whole seconds.
func backend(cfg aws.Config) queuetest.Backend {
	return queuetest.Backend{
		Open:          func(tb testing.TB, o queuetest.Options) *queuetest.Queue { return open(tb, cfg, o) },
		ShortestLease: 2 * time.Second,
		DelayStep:     time.Second,
		// An emulator gives messages to a receipt that was cut off, too: they come
		// again when its lease of a minute ends.
		Patience: 90 * time.Second,
		Batch:    205, // moto takes 136 a second
	}
}

func open(tb testing.TB, cfg aws.Config, o queuetest.Options) *queuetest.Queue {
	b := createTasks(tb, cfg, sqsqueue.Options{MaxDeliver: o.MaxDeliver})
	return &queuetest.Queue{
		Publisher: openPublisher(tb, b, "tasks"),
		Consumer: func(tb testing.TB) queue.Consumer {
			return openConsumer(tb, b, "tasks", o.Lease)
		},
		DeadLetters: func(tb testing.TB) queue.Consumer {
			return openConsumer(tb, b, "tasks-dlq", 0)
		},
	}
}
