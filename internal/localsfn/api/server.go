package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/engine"
	"callfleet/internal/localsfn/store"
	"callfleet/internal/telemetry"
)

// maxRequest is the size of a request (AWS: 1 MB).
const maxRequest = 1 << 20

// Options configure a server. All but Logger and Tracer are required.
type Options struct {
	Engine *engine.Engine
	Store  *store.Store
	// Supports says whether a Task state's resource can be called, and Names
	// lists those that can.
	Supports func(asl.Resource) bool
	Names    func() []string
	// Region and AccountID are in every ARN.
	Region, AccountID string
	Logger            *slog.Logger
	Tracer            trace.TracerProvider // default: the global one
}

// Server is the API's http.Handler.
type Server struct {
	o      Options
	log    *slog.Logger
	tracer trace.Tracer
	ops    map[string]operation
}

var _ http.Handler = (*Server)(nil)

// operation serves one operation: request body in, answer out. The answer is
// marshalled, unless it is json.RawMessage. An error that is no *apiError is
// answered as InternalServerError.
type operation func(ctx context.Context, body []byte) (any, error)

// New checks o.
func New(o Options) (*Server, error) {
	if o.Engine == nil || o.Store == nil || o.Supports == nil || o.Names == nil || o.Region == "" || o.AccountID == "" {
		return nil, errors.New("new api server: engine, store, integrations, region and account are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Tracer == nil {
		o.Tracer = otel.GetTracerProvider()
	}
	s := &Server{o: o, log: o.Logger, tracer: o.Tracer.Tracer("callfleet/internal/localsfn/api")}
	s.ops = map[string]operation{
		"CreateStateMachine":               s.createStateMachine,
		"DescribeStateMachine":             s.describeStateMachine,
		"UpdateStateMachine":               s.updateStateMachine,
		"DeleteStateMachine":               s.deleteStateMachine,
		"ListStateMachines":                s.listStateMachines,
		"ValidateStateMachineDefinition":   s.validateDefinition,
		"DescribeStateMachineForExecution": s.describeStateMachineForExecution,
		"StartExecution":                   s.startExecution,
		"StartSyncExecution":               s.startSyncExecution,
		"DescribeExecution":                s.describeExecution,
		"StopExecution":                    s.stopExecution,
		"ListExecutions":                   s.listExecutions,
		"GetExecutionHistory":              s.getExecutionHistory,
		"SendTaskSuccess":                  s.sendTaskSuccess,
		"SendTaskFailure":                  s.sendTaskFailure,
		"SendTaskHeartbeat":                s.sendTaskHeartbeat,
	}
	return s, nil
}

// traced are the operations that are part of a call's trace.
var traced = map[string]bool{"StartExecution": true, "StopExecution": true, "SendTaskSuccess": true, "SendTaskFailure": true, "SendTaskHeartbeat": true}

// ServeHTTP answers one call. Any path and host will do: the SDKs prefix the
// host of some operations with "sync-".
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		s.fail(w, r.Context(), "", &apiError{kind: "UnknownOperationException", message: "only POST is served", status: http.StatusMethodNotAllowed})
		return
	}
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	op, ok := s.ops[name]
	if !ok {
		s.fail(w, r.Context(), name, &apiError{kind: "UnknownOperationException", message: "operation " + strconv.Quote(name) + " is not served here"})
		return
	}
	body, err := readBody(w, r)
	if err != nil {
		s.fail(w, r.Context(), name, err)
		return
	}
	ctx := telemetry.Extract(r.Context(), r.Header.Get("traceparent"), r.Header.Get("tracestate"))
	if traced[name] {
		var span trace.Span
		ctx, span = s.tracer.Start(ctx, "StepFunctions/"+name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			attribute.String("rpc.system", "aws-api"), attribute.String("rpc.service", "StepFunctions"), attribute.String("rpc.method", name)))
		defer func() { end(span, err) }()
	}
	answer, err := op(ctx, body)
	if err != nil {
		s.fail(w, ctx, name, err)
		return
	}
	s.answer(w, ctx, answer)
}

// end closes a call's span; a mistake of the caller is no error of the server.
func end(span trace.Span, err error) {
	if err != nil {
		a := translate(err)
		span.SetAttributes(attribute.String("error.type", a.kind))
		if a.code() >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, a.kind)
		}
	}
	span.End()
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var body []byte
	var err error
	if n := r.ContentLength; n >= 0 && n <= maxRequest {
		body = make([]byte, n)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, &apiError{kind: "RequestEntityTooLargeException", message: "Request size exceeded 1 MB", status: http.StatusRequestEntityTooLarge}
	}
	if err != nil {
		return nil, &apiError{kind: "SerializationException", message: "the request ended early"}
	}
	return body, nil
}

func (s *Server) answer(w http.ResponseWriter, ctx context.Context, answer any) {
	body, ok := answer.(json.RawMessage)
	if !ok {
		var err error
		if body, err = json.Marshal(answer); err != nil {
			s.fail(w, ctx, "", err)
			return
		}
	}
	write(w, http.StatusOK, body)
}

func (s *Server) fail(w http.ResponseWriter, ctx context.Context, op string, err error) {
	a := translate(err)
	if a.code() >= http.StatusInternalServerError && ctx.Err() == nil {
		s.log.WarnContext(ctx, "api call failed", "operation", op, "error", err)
	}
	write(w, a.code(), a.body())
}

func write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = contentType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

var contentType = []string{"application/x-amz-json-1.0"}
