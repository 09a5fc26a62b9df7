package sqsqueue_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue"
)

// TestFIFO keeps the order of a group, and drops a second message with an id,
// also of another process.
func TestFIFO(t *testing.T) {
	t.Parallel()
	for name, start := range emulators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := sqsqueue.Options{FIFO: true, MaxDeliver: 3}
			b := createTasks(t, start(t).Config(), o)
			o.Prefix = strings.TrimSuffix(mustDescribe(t, b, "tasks").Name, "-tasks.fifo")
			p, other := openPublisher(t, b, "tasks"), openPublisher(t, newBroker(t, start(t).Config(), o), "tasks")
			if l := p.Limits(); l.MaxDelay != 0 {
				t.Errorf("limits %+v: SQS knows no delay of one message on a FIFO queue", l)
			}
			if err := p.Publish(t.Context(), queue.Message{Delay: time.Second}); !errors.Is(err, queue.ErrTooLarge) {
				t.Errorf("publish with a delay: %v: want ErrTooLarge", err)
			}
			const n = 35
			var msgs []queue.Message
			for i := range n {
				msgs = append(msgs, queue.Message{ID: fmt.Sprintf("m %d", i), Group: "tenant ä", Body: []byte{byte(i)}, Headers: map[string]string{"h": "v"}})
			}
			publish(t, p, msgs...)
			publish(t, other, msgs...)
			c := openConsumer(t, b, "tasks", 0)
			for i := 0; i < n; {
				for _, d := range receive(t, c, 1) {
					if d.ID != msgs[i].ID || d.Group != "tenant ä" || d.Body[0] != byte(i) || d.Headers["h"] != "v" {
						t.Errorf("received %q, group %q as number %d", d.ID, d.Group, i)
					}
					if err := d.Ack(t.Context()); err != nil {
						t.Fatal(err)
					}
					i++
				}
			}
			publish(t, p, queue.Message{Body: []byte("none")}, queue.Message{Body: []byte("none")}) // no id, no dedup, no order
			for _, d := range receive(t, c, 2) {
				if d.ID != "" || d.Group != "" {
					t.Errorf("received id %q, group %q: want neither", d.ID, d.Group)
				}
				if err := d.Reject(t.Context(), "none is wanted"); err != nil {
					t.Errorf("reject: %v", err)
				}
			}
			for _, d := range receive(t, openConsumer(t, b, "tasks-dlq", 0), 2) {
				if d.Headers[queue.DeadLetterReason] != "none is wanted" || string(d.Body) != "none" {
					t.Errorf("dead letter %s, %v", d.Body, d.Headers)
				}
			}
			if n, err := b.Counts(t.Context(), "tasks"); err != nil || n.Backlog() != 0 {
				t.Errorf("left %+v, %v: want nothing", n, err)
			}
		})
	}
}
