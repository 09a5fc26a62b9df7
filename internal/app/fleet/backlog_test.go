package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"callfleet/internal/app/backend"
	"callfleet/internal/awstest"
	"callfleet/internal/evidence"
	"callfleet/internal/queue"
)

// collect is the metric as a line: "tasks in_flight 2, …".
func collect(t *testing.T, reader sdkmetric.Reader) string {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	lines := map[string]bool{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			gauge, ok := m.Data.(metricdata.Gauge[int64]) // the same from every starter: no sum
			if !ok || m.Name != "callfleet.queue.messages" {
				t.Fatalf("metric %s is a %T", m.Name, m.Data)
			}
			for _, p := range gauge.DataPoints {
				queue, _ := p.Attributes.Value("messaging.destination.name")
				state, _ := p.Attributes.Value("state")
				lines[fmt.Sprintf("%s %s %d", queue.AsString(), state.AsString(), p.Value)] = true
			}
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(lines)), ", ")
}

// The broker is asked at its own pace, however often the metric is collected,
// and what it said is not told for ever.
func TestBacklogIsCountedInTheBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked, broken atomic.Int32
		reader := sdkmetric.NewManualReader()
		b := &backlog{
			queues: []string{backend.Requests, backend.Tasks}, meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), log: evidence.Logger(t),
			count: func(_ context.Context, queue string) (counts, error) {
				n := int(asked.Add(1))
				if broken.Load() > 0 {
					return counts{}, errors.New("the broker is away")
				}
				if queue == backend.Requests {
					return counts{}, nil
				}
				return counts{visible: n, inFlight: 10 * n, delayed: 100 * n}, nil
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		synctest.Wait()
		const empty = "requests delayed 0, requests in_flight 0, requests visible 0, "
		for range 3 {
			if got, want := collect(t, reader), empty+"tasks delayed 200, tasks in_flight 20, tasks visible 2"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		time.Sleep(countEvery)
		synctest.Wait()
		broken.Store(1)
		time.Sleep(countsLast)
		synctest.Wait()
		if got, want := collect(t, reader), empty+"tasks delayed 400, tasks in_flight 40, tasks visible 4"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		time.Sleep(time.Second)
		if got := collect(t, reader); got != "" {
			t.Errorf("got %s of a broker that has been away for a minute", got)
		}
		if n := asked.Load(); n != 12 {
			t.Errorf("asked %d times, want 6 for each queue", n)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// NATS counts otherwise: there is nothing to observe, and nothing fails.
func TestBacklogOfABrokerThatDoesNotCount(t *testing.T) {
	t.Parallel()
	m, err := New(opener(backend.Options{Embedded: broker(t)}), Options{Start: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Caller().Close()
	m.backend = open(t, backend.Options{Embedded: broker(t)})
	r, end, err := m.newBacklog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(r.Run(ctx), end()); err != nil {
		t.Error(err)
	}
}

func TestBacklogOnSQS(t *testing.T) {
	t.Parallel()
	aws := awstest.Fauxqs(t).Config()
	b := open(t, backend.Options{Queue: "sqs://" + awstest.Name("calls"), Templates: "file://" + t.TempDir(), AWS: &aws})
	if _, err := b.SQS().Create(t.Context(), backend.Tasks, time.Minute); err != nil {
		t.Fatal(err)
	}
	tasks, err := b.Publisher(t.Context(), backend.Tasks)
	if err != nil {
		t.Fatal(err)
	}
	for id, delay := range map[string]time.Duration{"a": 0, "b": 0, "c": time.Minute} {
		if err := tasks.Publish(t.Context(), queue.Message{ID: id, Body: []byte("task"), Delay: delay}); err != nil {
			t.Fatal(err)
		}
	}
	consumer, err := b.Consumer(t.Context(), backend.Tasks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { consumer.Close() })
	if got, err := consumer.Receive(t.Context(), 1); err != nil || len(got) != 1 {
		t.Fatalf("received %v, %v", got, err)
	}
	count := counting(b)
	if got, err := count(t.Context(), backend.Tasks); err != nil || got != (counts{visible: 1, inFlight: 1, delayed: 1}) {
		t.Errorf("got %+v, %v; want one of each", got, err)
	}
	if _, err := count(t.Context(), backend.Requests); err == nil || !strings.Contains(err.Error(), backend.Requests) {
		t.Errorf("error of a missing queue = %v", err)
	}
}
