package sqsqueue_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"callfleet/internal/awstest"
	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	for name, start := range emulators {
		for _, fifo := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := newBroker(t, start(t).Config(), sqsqueue.Options{FIFO: fifo, MaxDeliver: 3})
				if _, err := b.Describe(t.Context(), "tasks"); !errors.Is(err, queue.ErrNotFound) {
					t.Errorf("describe before: %v: want ErrNotFound", err)
				}
				made, err := b.Create(t.Context(), "tasks", 45*time.Second)
				if !made || err != nil {
					t.Fatalf("create: made %t, %v", made, err)
				}
				made, err = b.Create(t.Context(), "tasks", time.Hour)
				if made || err != nil {
					t.Errorf("create again: made %t, %v: want false, nil", made, err)
				}
				q, err := b.Describe(t.Context(), "tasks")
				if err != nil {
					t.Fatal(err)
				}
				dead, err := b.Describe(t.Context(), "tasks-dlq")
				if err != nil {
					t.Fatal(err)
				}
				if q.Visibility != 45*time.Second || q.MaxBytes != 1<<20 || q.FIFO != fifo || q.DeadLetters != dead.ARN || q.MaxReceives != 8 {
					t.Errorf("queue %+v: want what was asked for, and dead letters at %s", q, dead.ARN)
				}
				if dead.Retention <= q.Retention || dead.FIFO != fifo || strings.HasSuffix(q.Name, ".fifo") != fifo {
					t.Errorf("dead-letter queue %+v: want it to keep longer than %s", dead, q.Retention)
				}
				if u, err := b.URL(t.Context(), "tasks"); err != nil || u != q.URL {
					t.Errorf("URL %s, %v: want %s", u, err, q.URL)
				}
			})
		}
	}
}

// TestCreateMendsRedrive gives a queue that somebody made a redrive policy, and
// leaves one that it has.
func TestCreateMendsRedrive(t *testing.T) {
	t.Parallel()
	cfg := awstest.Moto(t).Config()
	api := sqs.NewFromConfig(cfg)
	b := newBroker(t, cfg, sqsqueue.Options{Prefix: awstest.Name("calls")})
	if _, err := b.Create(t.Context(), "other", 0); err != nil {
		t.Fatal(err)
	}
	name := mustDescribe(t, b, "other").Name
	tasks := strings.TrimSuffix(name, "other") + "tasks"
	if _, err := api.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &tasks}); err != nil {
		t.Fatal(err)
	}
	if made, err := b.Create(t.Context(), "tasks", 0); made || err != nil {
		t.Errorf("create: made %t, %v: want false, nil", made, err)
	}
	q := mustDescribe(t, b, "tasks")
	if q.DeadLetters == "" || q.Visibility != 30*time.Second {
		t.Errorf("queue %+v: want a redrive policy, and all else as it was", q)
	}
	_, err := api.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &q.URL, Attributes: map[string]string{
		"RedrivePolicy": `{"deadLetterTargetArn":"` + mustDescribe(t, b, "other-dlq").ARN + `","maxReceiveCount":77}`,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(t.Context(), "tasks", 0); err != nil {
		t.Fatal(err)
	}
	if q := mustDescribe(t, b, "tasks"); q.MaxReceives != 77 {
		t.Errorf("receives %d: want the 77 that somebody chose", q.MaxReceives)
	}
	// And that is where rejected messages go.
	publish(t, openPublisher(t, b, "tasks"), queue.Message{ID: "a", Body: []byte("x")})
	if err := receive(t, openConsumer(t, b, "tasks", 0), 1)[0].Reject(t.Context(), "bad"); err != nil {
		t.Fatal(err)
	}
	if d := receive(t, openConsumer(t, b, "other-dlq", 0), 1)[0]; d.ID != "a" {
		t.Errorf("dead letter %q: want a", d.ID)
	}
}

func mustDescribe(t *testing.T, b *sqsqueue.Broker, name string) sqsqueue.Info {
	t.Helper()
	q, err := b.Describe(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestCounts(t *testing.T) {
	t.Parallel()
	for name, start := range emulators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := createTasks(t, start(t).Config(), sqsqueue.Options{})
			p := openPublisher(t, b, "tasks")
			publish(t, p, numbered(5)...)
			publish(t, p, queue.Message{ID: "later", Delay: time.Minute})
			held := receive(t, openConsumer(t, b, "tasks", 0), 2)
			want := sqsqueue.Counts{Visible: 3, InFlight: 2, Delayed: 1}
			if got, err := b.Counts(t.Context(), "tasks"); err != nil || got != want || got.Backlog() != 6 {
				t.Errorf("counts %+v, %v: want %+v", got, err, want)
			}
			if got := mustDescribe(t, b, "tasks").Counts; got != want {
				t.Errorf("described counts %+v: want %+v", got, want)
			}
			if err := held[0].Ack(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMissingQueue names the queue and the way out, whoever opens it.
func TestMissingQueue(t *testing.T) {
	t.Parallel()
	for name, start := range emulators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, start(t).Config(), sqsqueue.Options{Prefix: "nobodys"})
			_, publisher := b.Publisher(t.Context(), "tasks")
			_, consumer := b.Consumer(t.Context(), "tasks", sqsqueue.ConsumerOptions{})
			_, url := b.URL(t.Context(), "tasks")
			_, counts := b.Counts(t.Context(), "tasks")
			for what, err := range map[string]error{"publisher": publisher, "consumer": consumer, "URL": url, "counts": counts} {
				if !errors.Is(err, queue.ErrNotFound) {
					t.Errorf("%s: %v: want ErrNotFound", what, err)
					continue
				}
				for _, want := range []string{"nobodys-tasks", "us-east-1", `"producer setup"`, "deploy/cdk"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s: %v: want %q in it", what, err, want)
					}
				}
			}
		})
	}
}

func TestDeniedAtOpen(t *testing.T) {
	t.Parallel()
	for denied, open := range map[string]bool{"GetQueueUrl": false, "GetQueueAttributes": true} {
		_, cfg := scripted(func(c call) *http.Response {
			if c.Action == "GetQueueUrl" && open {
				return openAnswers(c)
			}
			return refuse(403, "AccessDeniedException", "User is not authorized")
		})
		_, err := newBroker(t, cfg, sqsqueue.Options{Prefix: "calls"}).Publisher(t.Context(), "tasks")
		if err == nil || !strings.Contains(err.Error(), "sqs:"+denied+" on calls-tasks in us-east-1 is denied") {
			t.Errorf("%s denied: %v: want the action and the queue", denied, err)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	good := awstest.Emulator{URL: "http://sqs.test"}.Config()
	for name, row := range map[string]struct {
		cfg  aws.Config
		o    sqsqueue.Options
		want string
	}{
		"no prefix":   {good, sqsqueue.Options{}, "prefix"},
		"odd prefix":  {good, sqsqueue.Options{Prefix: "a.b"}, "prefix"},
		"long wait":   {good, sqsqueue.Options{Prefix: "p", Wait: time.Minute}, "wait"},
		"feed lease":  {good, sqsqueue.Options{Prefix: "p", FeedLease: 13 * time.Hour}, "feed lease"},
		"no region":   {aws.Config{}, sqsqueue.Options{Prefix: "p"}, "AWS_REGION"},
		"long prefix": {good, sqsqueue.Options{Prefix: strings.Repeat("p", 80)}, "shorter prefix"},
		"odd lease":   {good, sqsqueue.Options{Prefix: "p"}, "lease"},
	} {
		b, err := sqsqueue.New(row.cfg, row.o)
		if err == nil {
			_, err = b.FeedPublisher(t.Context(), "results")
		}
		if err == nil {
			_, err = b.Consumer(t.Context(), "tasks", sqsqueue.ConsumerOptions{Lease: 13 * time.Hour})
		}
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v: want %q", name, err, row.want)
		}
	}
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	for name, start := range emulators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, start(t).Config(), sqsqueue.Options{})
			if _, err := b.Create(t.Context(), "results", 0); err != nil { // and its dead letters
				t.Fatal(err)
			}
			var want []string
			for _, run := range []string{"run1", "run2"} {
				f, err := b.FeedConsumer(t.Context(), "results", run)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = f.Close() })
				want = append(want, mustDescribe(t, b, "results-"+run).Name)
			}
			got, err := b.Leftovers(t.Context(), "results")
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("leftovers %v, %v: want %v", got, err, want)
			}
		})
	}
}
