// Package local runs what a machine without AWS lacks: a broker, the Step
// Functions server, the sample API of the quickstart, and a Lambda endpoint
// whose one function is the fleet's own call path.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/program"
	"callfleet/internal/function"
	"callfleet/internal/lifecycle"
	"callfleet/internal/localsfn"
	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
	"callfleet/statemachine"
)

// Options are the settings of a Stack.
type Options struct {
	// EventLog is the broker elsewhere that keeps the histories; "" is Queue
	// where that is NATS, and embeds one else, on DataDir, which listens on
	// BrokerListen ("": for this process only).
	EventLog     string
	DataDir      string
	Durability   string // process, power
	BrokerListen string
	Queue        string // of the fleet, nats:// or sqs://; "" is the broker of the event log
	Templates    string // "" is the queue's broker's

	Listen    string  // of the Step Functions API
	Sample    *Sample // served, and closed with the stack or by a New that fails; nil is none
	SamplesAt string  // host:port of a sample API elsewhere: only its templates are put
	// Renderer and Caller serve the Lambda function function.Name.
	Renderer function.Renderer
	Caller   function.Caller

	AWS                                           *aws.Config // nil is what the environment says
	LambdaEndpoint, SQSEndpoint, DynamoDBEndpoint string
	Region, AccountID                             string
	HistoryAge                                    time.Duration
	HistoryCount                                  int
	Logger                                        *slog.Logger
	Tracers                                       trace.TracerProvider // nil is OpenTelemetry's global one
	// Health makes the handler of /livez, /readyz and /metrics, served beside
	// the API; nil serves none.
	Health http.Handler
}

// Stack is the parts, wired. It starts as the services of a group.
type Stack struct {
	options Options
	broker  *natsembed.Server
	conn    *nats.Conn // to the broker of the event log, the server's own
	backend *backend.Backend
	server  *localsfn.Server
	api     *lifecycle.Server
	lambda  *lifecycle.Server
}

// New binds the addresses, so that a taken one is found before anything
// starts, and opens nothing else.
func New(ctx context.Context, o Options) (*Stack, []lifecycle.Service, error) {
	if o.EventLog == "" && !backend.IsSQS(o.Queue) {
		o.EventLog = o.Queue
	}
	s := &Stack{options: o}
	services := []lifecycle.Service{{Name: "broker", Start: s.startBroker, Stop: s.stopBroker}}
	listen := func(target **lifecycle.Server, name, addr string, h http.Handler) error {
		server, service, err := program.Listen(ctx, lifecycle.ServerOptions{Name: name, Addr: addr, Handler: h, Logger: o.Logger}, false)
		if err != nil {
			return fmt.Errorf("serve %s: %w", name, err)
		}
		*target = server
		services = append(services, service)
		return nil
	}
	err := listen(&s.lambda, "lambda endpoint", "127.0.0.1:0", lambdaHandler{function.New(o.Renderer, o.Caller, function.Options{Logger: o.Logger})})
	if o.Sample != nil {
		services = append(services, o.Sample.service)
	}
	services = append(services, lifecycle.Service{Name: "step functions", Start: s.startServer, Run: s.runServer, Ready: s.ready, Stop: s.closeBackend})
	if err == nil {
		err = listen(&s.api, "step functions api", o.Listen, s.handler())
	}
	if err != nil {
		s.closeListeners()
		return nil, nil, err
	}
	return s, append(services, lifecycle.Service{Name: "definitions", Start: s.deploy}), nil
}

// closeListeners gives back the addresses that were bound before one was taken.
func (s *Stack) closeListeners() {
	s.options.Sample.Close()
	for _, server := range []*lifecycle.Server{s.lambda, s.api} {
		if server != nil {
			_ = server.Service().Stop(context.Background()) // nothing was served: there is nothing to lose
		}
	}
}

// URL is where the Step Functions API is.
func (s *Stack) URL() string { return s.api.URL() }

// Transport calls the Step Functions API without the network in between, once
// the stack has started.
func (s *Stack) Transport() http.RoundTripper { return s.server.Transport() }

// SampleURL is where the sample API is, or "" when it is not served.
func (s *Stack) SampleURL() string {
	if s.options.Sample == nil {
		return ""
	}
	return s.options.Sample.server.URL()
}

// BrokerURL is where other processes reach the broker, or "".
func (s *Stack) BrokerURL() string {
	if s.broker == nil {
		return s.options.EventLog
	}
	return s.broker.URL()
}

// Connect opens a connection to the embedded broker for the fleet in this
// process. It is closed when the broker stops.
func (s *Stack) Connect() (*nats.Conn, error) {
	if s.broker == nil {
		return nil, errors.New("connect to the embedded broker: it does not run")
	}
	return s.broker.Connect(natsqueue.ConnectOptions("callfleet")...)
}

func (s *Stack) startBroker(context.Context) (err error) {
	if s.options.EventLog != "" {
		s.conn, err = nats.Connect(s.options.EventLog, natsqueue.ConnectOptions("callfleet-stepfunctions")...)
		if err != nil {
			return fmt.Errorf("connect to the broker: %w", err)
		}
		return nil
	}
	s.broker, err = natsembed.Start(natsembed.Options{
		StoreDir: s.options.DataDir, Listen: s.options.BrokerListen,
		Durability: natsembed.Durability(s.options.Durability), Logger: s.options.Logger,
	})
	if err != nil {
		return fmt.Errorf("%w (--data sets the directory)", err)
	}
	s.conn, err = s.broker.Connect(natsqueue.ConnectOptions("callfleet-stepfunctions")...)
	return err
}

func (s *Stack) stopBroker(context.Context) error {
	s.conn.Close()
	if s.broker != nil {
		s.broker.Shutdown()
	}
	return nil
}

func (s *Stack) startServer(ctx context.Context) error {
	o := s.options
	var err error
	s.backend, err = backend.Open(ctx, s.backendOptions())
	if err != nil {
		return err
	}
	results, err := s.backend.PublishResults(ctx)
	if err != nil {
		return err
	}
	// Opened now, not by the first task: what is wrong with it is said at once,
	// and trouble of the broker later on is waited out.
	tasks, err := s.backend.Publisher(ctx, backend.Tasks)
	if err != nil {
		return err
	}
	options := localsfn.Options{
		NATS: s.conn,
		Queues: func(name string) (queue.Publisher, error) {
			if name == backend.Tasks {
				return tasks, nil
			}
			return s.backend.Publisher(context.Background(), name)
		},
		Results: results, Table: table{s.backend.Templates}, QueueSystem: s.backend.System,
		LambdaEndpoint: o.LambdaEndpoint, LambdaFunctions: map[string]string{function.Name: s.lambda.URL()},
		Region: o.Region, AccountID: o.AccountID, KeepFor: o.HistoryAge, KeepClosed: o.HistoryCount, Logger: o.Logger, Tracer: o.Tracers,
	}
	if err := withAWS(ctx, &options, o); err != nil {
		return err
	}
	s.server, err = localsfn.New(ctx, options)
	return err
}

// backendOptions name the fleet's queues and templates.
func (s *Stack) backendOptions() backend.Options {
	o := backend.Options{Queue: s.options.Queue, AWS: s.options.AWS, Templates: s.options.Templates, Name: "callfleet-stepfunctions", Logger: s.options.Logger}
	if o.Queue == s.options.EventLog {
		o.Embedded = s.conn
	}
	return o
}

// withAWS adds the clients of real services: those whose endpoint is set, and
// those that hold the fleet's queues and templates.
func withAWS(ctx context.Context, options *localsfn.Options, o Options) error {
	queues, tables := backend.IsSQS(o.Queue), backend.TableOf(o.Templates) != ""
	if !queues && !tables && o.SQSEndpoint == "" && o.DynamoDBEndpoint == "" {
		return nil
	}
	cfg, err := awsConfig(ctx, o, queues || tables)
	if err != nil {
		return err
	}
	if queues || o.SQSEndpoint != "" {
		options.SQS = sqs.NewFromConfig(cfg, func(c *sqs.Options) { at(&c.BaseEndpoint, o.SQSEndpoint) })
	}
	if tables || o.DynamoDBEndpoint != "" {
		options.DynamoDB = dynamodb.NewFromConfig(cfg, func(c *dynamodb.Options) { at(&c.BaseEndpoint, o.DynamoDBEndpoint) })
	}
	return nil
}

// awsConfig needs no region in the environment when all there is are endpoints.
func awsConfig(ctx context.Context, o Options, onAWS bool) (aws.Config, error) {
	switch {
	case o.AWS != nil:
		return *o.AWS, nil
	case onAWS:
		return backend.LoadAWS(ctx)
	}
	return backend.LoadAWS(ctx, awsconfig.WithRegion(o.Region))
}

// at sets an endpoint, unless it is not known.
func at(target **string, endpoint string) {
	if endpoint != "" {
		*target = aws.String(endpoint)
	}
}

func (s *Stack) runServer(ctx context.Context) error { return s.server.Run(ctx) }

func (s *Stack) ready(context.Context) error {
	select {
	case <-s.server.Ready():
		return nil
	default:
		return errors.New("taking up the open executions")
	}
}

func (s *Stack) closeBackend(context.Context) error {
	s.backend.Close()
	return nil
}

// handler serves the API and, on the paths that the API has not, the health.
func (s *Stack) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.server.Handler().ServeHTTP(w, r) })
	if s.options.Health != nil {
		for _, path := range []string{"/livez", "/readyz", "/metrics"} {
			mux.Handle("GET "+path, s.options.Health)
		}
	}
	return mux
}

// deploy puts the state machines of calls and batches, and the samples.
func (s *Stack) deploy(ctx context.Context) error {
	options := s.backendOptions()
	options.StepFunctions = "http://" + loopback(s.api.Addr())
	options.Region, options.AccountID = s.options.Region, s.options.AccountID
	client, err := backend.Open(ctx, options)
	if err != nil {
		return err
	}
	defer client.Close()
	for name, text := range map[string]string{backend.StateMachine: statemachine.CallAPI, backend.BatchStateMachine: statemachine.CallBatch} {
		definition, err := statemachine.Substitute(text, map[string]string{"TemplatesTable": s.tableName(), "TasksQueueUrl": backend.Tasks})
		if err == nil {
			_, err = client.Executions.Deploy(ctx, name, []byte(definition))
		}
		if err != nil {
			return fmt.Errorf("deploy state machine %s: %w", name, err)
		}
	}
	samples := s.options.SamplesAt
	if s.options.Sample != nil {
		samples = s.options.Sample.Addr()
	}
	if samples == "" {
		return nil
	}
	n, err := seed(ctx, client.Templates, samples)
	if err == nil && n > 0 {
		s.options.Logger.Info("put the sample templates", "templates", n, "sample_api", "http://"+samples)
	}
	return err
}

// tableName is what the definitions call the template table.
func (s *Stack) tableName() string {
	if name := backend.TableOf(s.options.Templates); name != "" {
		return name
	}
	return TableName
}

// loopback is the address at which this process reaches its own server.
func loopback(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}
