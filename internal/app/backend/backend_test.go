package backend

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"callfleet/internal/evidence"
	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/secret/secrettest"
	"callfleet/internal/stepfn"
	"callfleet/internal/template/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func broker(t *testing.T) *natsembed.Server {
	t.Helper()
	server, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(t), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	return server
}

func connect(t *testing.T, server *natsembed.Server) *nats.Conn {
	t.Helper()
	conn, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func open(t *testing.T, o Options) *Backend {
	t.Helper()
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

var item = store.Item{Key: store.Key{Name: "a", Method: "GET"}, Attributes: []byte(`{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"https://api.example/"}}`)}

func TestQueueAndFeed(t *testing.T) {
	t.Parallel()
	server := broker(t)
	for name, o := range map[string]Options{
		"by URL": {Queue: server.URL()}, "embedded": {Embedded: connect(t, broker(t))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, o)
			consumer, err := b.Consumer(t.Context(), Requests)
			if err != nil {
				t.Fatal(err)
			}
			defer consumer.Close()
			feed, err := b.ConsumeResults(t.Context(), "run")
			if err != nil {
				t.Fatal(err)
			}
			defer feed.Close()
			publisher, err := b.Publisher(t.Context(), Requests)
			if err != nil {
				t.Fatal(err)
			}
			results, err := b.PublishResults(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := publisher.Publish(t.Context(), queue.Message{ID: "1", Body: []byte("request")}); err != nil {
				t.Fatal(err)
			}
			if err := results.Publish(t.Context(), queue.Message{ID: "2", Group: "run-1", Body: []byte("outcome")}); err != nil {
				t.Fatal(err)
			}
			if n, err := consumer.Depth(t.Context()); n != 1 || err != nil {
				t.Errorf("depth = %d, %v, want 1", n, err)
			}
			receive(t, consumer, "request")
			receive(t, feed, "outcome")
		})
	}
}

func receive(t *testing.T, c queue.Consumer, want string) {
	t.Helper()
	got, err := c.Receive(t.Context(), 1)
	if err != nil || len(got) != 1 || string(got[0].Body) != want {
		t.Fatalf("received %v, %v, want %s", got, err, want)
	}
	if err := got[0].Ack(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	server, other := broker(t), broker(t)
	for name, templates := range map[string]string{
		"the queue's": "", "the queue's by name": server.URL(), "another broker": other.URL(), "a directory": "file://" + t.TempDir(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, Options{Queue: server.URL(), Templates: templates})
			if _, err := b.Templates.Put(t.Context(), item, store.Always()); err != nil {
				t.Fatal(err)
			}
			got, err := b.Templates.Get(t.Context(), item.Key)
			if err != nil || got.Key != item.Key {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// The state machine's ARN is what the API gets; from a name it is made.
func TestStateMachineARN(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		"arn:aws:states:us-east-1:000000000000:execution:call-api:r-1": {},
		"arn:aws:states:us-east-1:000000000000:execution:mine:r-1":     {StateMachine: "mine"},
		"arn:aws:states:eu-west-3:123456789012:execution:mine:r-1":     {StateMachine: "mine", Region: "eu-west-3", AccountID: "123456789012"},
		"arn:aws:states:ap-south-1:111122223333:execution:theirs:r-1": {
			StateMachine: "arn:aws:states:ap-south-1:111122223333:stateMachine:theirs", Region: "eu-west-3"},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			asked := make(chan string, 1)
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				asked <- string(body)
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(`{"__type":"ExecutionDoesNotExist","message":"no"}`))
			}))
			defer api.Close()
			o.Embedded, o.StepFunctions = connect(t, broker(t)), api.URL
			b := open(t, o)
			if _, err := b.Executions.Describe(t.Context(), "r-1"); err == nil || !strings.Contains(err.Error(), stepfn.ErrNotFound.Error()) {
				t.Errorf("error = %v, want not found", err)
			}
			if got := <-asked; !strings.Contains(got, `"`+want+`"`) {
				t.Errorf("asked for %s, want %s", got, want)
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	password := secrettest.Value(t, "password of the broker")
	server := broker(t)
	for name, row := range map[string]struct {
		options Options
		want    string
	}{
		"no broker":      {Options{Queue: "nats://me:" + password + "@127.0.0.1:1"}, `connect to the broker nats://me:xxxxx@127.0.0.1:1: nats: no servers available for connection: start one with "stepfunctions", or say with CALLFLEET_QUEUE where it is`},
		"unknown scheme": {Options{Queue: server.URL(), Templates: "ftp://templates"}, `open templates: unknown scheme "ftp"`},
		"broken URL":     {Options{Queue: server.URL(), Templates: "nats://me:" + password + "@[::1"}, "open templates: the URL is not valid"},
		"no second one":  {Options{Queue: server.URL(), Templates: "nats://127.0.0.1:1"}, "open templates: connect to the broker nats://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := Open(t.Context(), row.options)
			evidence.Write(t, evidence.Output, fmt.Sprint(err))
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), password) {
				t.Errorf("error = %v, want %s", err, row.want)
			}
			if b != nil {
				t.Error("a backend came with the error")
			}
		})
	}
}

// An interface that holds a nil pointer is not nil: whoever compares would
// call it.
func TestNothingComesWithAnError(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Embedded: connect(t, broker(t))})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	publisher, err := b.Publisher(ctx, "odd name!")
	if err == nil || publisher != nil {
		t.Errorf("publisher = %v, %v", publisher, err)
	}
	consumer, err := b.Consumer(ctx, "odd name!")
	if err == nil || consumer != nil {
		t.Errorf("consumer = %v, %v", consumer, err)
	}
	feed, err := b.ConsumeResults(ctx, "odd name!")
	if err == nil || feed != nil {
		t.Errorf("feed = %v, %v", feed, err)
	}
	results, err := b.PublishResults(ctx)
	if (err == nil) == (results == nil) {
		t.Errorf("results = %v, %v", results, err)
	}
}

func TestCloseLeavesTheEmbeddedConnection(t *testing.T) {
	t.Parallel()
	conn := connect(t, broker(t))
	b := open(t, Options{Embedded: conn})
	b.Close()
	b.Close()
	if conn.IsClosed() {
		t.Error("the embedded connection is its owner's to close")
	}
}
