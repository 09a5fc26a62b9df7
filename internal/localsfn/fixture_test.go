package localsfn_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"callfleet/internal/localsfn"
	"callfleet/internal/localsfn/handoff"
	"callfleet/internal/queue"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*Server).Start"),
		goleak.IgnoreAnyFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// options are what a fixture's server gets.
type options struct {
	tasks, results queue.Publisher
	lambda         string
	server         func(*localsfn.Options)
}

// fixture is a broker with one server on it, and the real SDK client.
type fixture struct {
	o      options
	broker *server.Server
	server *localsfn.Server
	http   *http.Client
	url    string
	client *sfn.Client
	stop   func()
}

func newFixture(tb testing.TB, configure func(*options)) *fixture {
	tb.Helper()
	f := &fixture{broker: newBroker(tb, tb.TempDir())}
	if configure != nil {
		configure(&f.o)
	}
	f.start(tb)
	tb.Cleanup(func() { f.stop() })
	return f
}

// newBroker is an in-process JetStream that nobody can dial.
func newBroker(tb testing.TB, dir string) *server.Server {
	tb.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		tb.Fatal("broker is not ready")
	}
	tb.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// start runs a server on the broker; stop ends it, as abruptly as a process
// can from the inside: nothing is flushed but what was appended.
func (f *fixture) start(tb testing.TB) {
	tb.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(f.broker))
	if err != nil {
		tb.Fatal(err)
	}
	o := localsfn.Options{
		NATS: nc, Results: f.o.results, Table: &memoryTable{}, LambdaEndpoint: f.o.lambda,
		Queues: func(name string) (queue.Publisher, error) {
			if name == "tasks" && f.o.tasks != nil {
				return f.o.tasks, nil
			}
			return nil, queue.ErrNotFound
		},
	}
	if f.o.server != nil {
		f.o.server(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if f.server, err = localsfn.New(ctx, o); err != nil {
		tb.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.server.Run(ctx); err != nil {
			tb.Errorf("server: %v", err)
		}
	})
	web := httptest.NewServer(f.server.Handler())
	transport := &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 512}
	f.url, f.http = web.URL, &http.Client{Transport: transport}
	f.client = sfn.New(sfn.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(web.URL), HTTPClient: f.http,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), RetryMaxAttempts: 1,
	})
	f.stop = sync.OnceFunc(func() {
		transport.CloseIdleConnections()
		web.Close()
		cancel()
		running.Wait()
		nc.Close()
	})
}

// restart stops the server and runs a new one on the same log.
func (f *fixture) restart(tb testing.TB) {
	tb.Helper()
	f.stop()
	f.start(tb)
	<-f.server.Ready()
}

const role = "arn:aws:iam::000000000000:role/test"

func (f *fixture) create(tb testing.TB, name, definition string) string {
	tb.Helper()
	out, err := f.client.CreateStateMachine(tb.Context(), &sfn.CreateStateMachineInput{Name: &name, Definition: &definition, RoleArn: aws.String(role)})
	if err != nil {
		tb.Fatal(err)
	}
	return *out.StateMachineArn
}

// publisherFunc is a queue that a test looks at.
type publisherFunc func(ctx context.Context, msgs ...queue.Message) error

var _ queue.Publisher = publisherFunc(nil)

func (p publisherFunc) Publish(ctx context.Context, msgs ...queue.Message) error {
	return p(ctx, msgs...)
}

func (p publisherFunc) Limits() queue.Limits {
	return queue.Limits{MaxBytes: 1 << 20, MaxHeaders: 10, MaxDelay: 15 * time.Minute}
}

// memoryTable is a table with one template for every key.
type memoryTable struct{}

var _ handoff.Table = (*memoryTable)(nil)

func (*memoryTable) Name() string       { return "API_Template_Table" }
func (*memoryTable) KeyNames() []string { return []string{"PK", "SK"} }

func (*memoryTable) Get(context.Context, json.RawMessage) (json.RawMessage, string, error) {
	return json.RawMessage(`{"PK":{"S":"get"},"SK":{"S":"GET"},"url":{"S":"http://127.0.0.1/get/{{ id }}"},"headers":{"M":{"accept":{"S":"application/json"}}}}`), "1", nil
}

func (*memoryTable) Put(context.Context, json.RawMessage, string) error {
	return errors.New("not used")
}

func (*memoryTable) Delete(context.Context, json.RawMessage, string) error {
	return errors.New("not used")
}
