package localsfn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/localsfn/api"
	"callfleet/internal/localsfn/engine"
	"callfleet/internal/localsfn/handoff"
	"callfleet/internal/localsfn/store"
	"callfleet/internal/queue"
)

// Options configure a Server. NATS is required; the zero value of all else is
// a documented default or leaves something out.
type Options struct {
	// NATS is the connection to the broker that holds the event log.
	NATS *nats.Conn
	// Prefix begins the names of what is kept on the broker. Default "localsfn".
	Prefix string
	// Replicas of it on a cluster. Default 1.
	Replicas int

	// Queues opens a queue of the configured broker for sqs:sendMessage with a
	// plain name as QueueUrl.
	Queues func(name string) (queue.Publisher, error)
	// QueueSystem is its messaging.system. Default "nats".
	QueueSystem string
	// Results is the feed of status-change events; nil for none.
	Results queue.Publisher
	// RunningEvents also reports starts on the feed.
	RunningEvents bool
	// Table serves dynamodb:*, DynamoDB does so instead when set.
	Table    handoff.Table
	DynamoDB *dynamodb.Client
	// SQS serves sqs:sendMessage with an http(s) URL as QueueUrl.
	SQS *sqs.Client
	// LambdaEndpoint serves functions by default, LambdaFunctions by name.
	LambdaEndpoint  string
	LambdaFunctions map[string]string

	// Region and AccountID are in every ARN. Defaults us-east-1, 000000000000.
	Region, AccountID string
	// KeepClosed and KeepFor bound the ended executions in the log. Defaults
	// 100,000 and 90 days.
	KeepClosed int
	KeepFor    time.Duration
	// MaxHandoffs bounds the service calls in flight. Default 10,000.
	MaxHandoffs int
	Logger      *slog.Logger
	Tracer      trace.TracerProvider // default: the global one
}

// Server is one Step Functions-compatible server.
type Server struct {
	store  *store.Store
	engine *engine.Engine
	api    *api.Server
}

// New opens what the server keeps on the broker. Nothing runs before Run.
func New(ctx context.Context, o Options) (*Server, error) {
	if o.NATS == nil {
		return nil, errors.New("new step functions server: no connection to a broker")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.AccountID == "" {
		o.AccountID = "000000000000"
	}
	services, err := handoff.New(handoff.Options{
		Table: o.Table, DynamoDB: o.DynamoDB, Queues: o.Queues, SQS: o.SQS, LambdaEndpoint: o.LambdaEndpoint, LambdaFunctions: o.LambdaFunctions,
		Region: o.Region, AccountID: o.AccountID, Logger: o.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("new step functions server: %w", err)
	}
	log, err := store.Open(ctx, o.NATS, store.Options{Prefix: o.Prefix, Replicas: o.Replicas})
	if err != nil {
		return nil, fmt.Errorf("new step functions server: %w", err)
	}
	s := &Server{store: log}
	s.engine, err = engine.New(engine.Options{
		Store: log, Caller: services, Events: o.Results, RunningEvents: o.RunningEvents, Region: o.Region, AccountID: o.AccountID,
		MaxHandoffs: o.MaxHandoffs, KeepClosed: o.KeepClosed, KeepFor: o.KeepFor, Logger: o.Logger, Tracer: o.Tracer, QueueSystem: o.QueueSystem,
	})
	if err == nil {
		s.api, err = api.New(api.Options{
			Engine: s.engine, Store: log, Supports: services.Supports, Names: services.Names,
			Region: o.Region, AccountID: o.AccountID, Logger: o.Logger, Tracer: o.Tracer,
		})
	}
	if err != nil {
		log.Close()
		return nil, fmt.Errorf("new step functions server: %w", err)
	}
	return s, nil
}

// Run works until ctx ends: it takes up the executions that the log holds and
// carries on. It returns after everything it started has stopped.
func (s *Server) Run(ctx context.Context) error {
	defer s.store.Close()
	return s.engine.Run(ctx)
}

// Ready is closed once all open executions go on. Calls are served before.
func (s *Server) Ready() <-chan struct{} { return s.engine.Ready() }

// Handler serves the API. Bind it to a loopback address: nothing authenticates
// its callers.
func (s *Server) Handler() http.Handler { return s.api }

// Open is how many executions have not ended, as far as this server knows.
func (s *Server) Open() int {
	open, _ := s.store.Counts()
	return open
}
