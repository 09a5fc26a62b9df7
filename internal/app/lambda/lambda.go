// Package lambda runs the call path as an AWS Lambda function: the tutorial's
// GenericApiCallLambda, for those who want no fleet.
package lambda

import (
	"context"
	"sync/atomic"
	"time"

	runtime "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/call"
	"callfleet/internal/function"
	"callfleet/internal/telemetry"
)

const (
	// minReserve and maxReserve bound what is kept of an invocation's time for
	// sending the answer and the telemetry; it is a tenth between them. AWS
	// Lambda's shortest timeout is 1 s.
	minReserve = 100 * time.Millisecond
	maxReserve = time.Second
	// maxFlush bounds the wait for a collector after each call.
	maxFlush = 500 * time.Millisecond
	// maxIdle is for how long connections are trusted. A frozen process does
	// not see that the other side, or a NAT between, has dropped them.
	maxIdle = 30 * time.Second
)

// Caller makes HTTP requests on connections that it keeps.
type Caller interface {
	function.Caller
	Close() // the idle connections
}

// Options are the settings of a Function.
type Options struct {
	// Flush sends the telemetry that is held; nil holds none.
	Flush func(ctx context.Context) error
	// TracerProvider defaults to the global one.
	TracerProvider trace.TracerProvider
}

// Function is the handler of AWS Lambda's events. It is safe for concurrent
// use.
type Function struct {
	handler *function.Handler
	caller  Caller
	flush   func(ctx context.Context) error
	tracer  trace.Tracer
	warm    atomic.Bool
	ended   atomic.Int64 // when the last call ended, by the wall clock, in nanoseconds
}

var _ runtime.Handler = (*Function)(nil)

// New returns a function that renders and calls. It opens nothing.
func New(renderer function.Renderer, caller Caller, o Options) *Function {
	if o.Flush == nil {
		o.Flush = func(context.Context) error { return nil }
	}
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	return &Function{
		handler: function.New(renderer, caller, function.Options{}), caller: caller,
		flush: o.Flush, tracer: o.TracerProvider.Tracer("callfleet/internal/app/lambda"),
	}
}

// Invoke makes the call of one event. Its error is what AWS Lambda makes a
// function error of: the failure's name is the errorType, by which a state
// machine matches it.
func (f *Function) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	f.dropStale(time.Now())
	output, err := f.call(ctx, event)
	f.ended.Store(time.Now().UnixNano())
	f.send(ctx)
	if failure := call.AsFailure(err); failure != nil {
		return nil, messages.InvokeResponse_Error{Type: string(failure.Name), Message: failure.Cause}
	}
	return output, nil
}

func (f *Function) call(ctx context.Context, event []byte) (output []byte, err error) {
	invocation, _ := lambdacontext.FromContext(ctx)
	if invocation == nil {
		invocation = &lambdacontext.LambdaContext{}
	}
	task, err := function.Decode(event)
	ctx, span := f.start(ctx, invocation, task)
	defer func() { end(span, call.AsFailure(err)) }()
	if err != nil {
		return nil, err
	}
	if task.ID == "" {
		// The same for every attempt of this invocation, and when AWS Lambda
		// repeats an asynchronous one. A hash of the event would also span the
		// retries of a state machine, but two calls may well have one event:
		// an API that knows the key would make only one of them.
		task.ID = invocation.AwsRequestID
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve(time.Until(deadline))))
		defer cancel()
	}
	return f.handler.Call(ctx, task)
}

// reserve is the part of the time left that the call does not get.
func reserve(left time.Duration) time.Duration { return max(minReserve, min(left/10, maxReserve)) }

// dropStale closes connections from before a long freeze. The wall clock tells
// of it: the other one may have stood still.
func (f *Function) dropStale(now time.Time) {
	if ended := f.ended.Load(); ended != 0 && now.UnixNano()-ended > int64(maxIdle) {
		f.caller.Close()
	}
}

// send flushes the telemetry before the process is frozen, in what is left of
// the invocation. What cannot be sent is the exporter's to report.
func (f *Function) send(ctx context.Context) {
	limit := maxFlush
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	_ = f.flush(ctx)
}

// start begins the span of an invocation. Its parent is who invoked it, by the
// custom part of the client context, or the event's trace.
func (f *Function) start(ctx context.Context, in *lambdacontext.LambdaContext, task call.Task) (context.Context, trace.Span) {
	cold := !f.warm.Swap(true)
	custom := in.ClientContext.Custom
	ctx = function.Trace(telemetry.Extract(ctx, custom["traceparent"], custom["tracestate"]), task)
	name := lambdacontext.FunctionName
	if name == "" {
		name = function.Name
	}
	ctx, span := f.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer))
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("faas.name", name),
			attribute.String("faas.trigger", "other"),
			attribute.String("faas.invocation_id", in.AwsRequestID),
			attribute.Bool("faas.coldstart", cold),
			attribute.String("cloud.resource_id", in.InvokedFunctionArn),
			attribute.String("callfleet.request.id", task.ID),
		)
	}
	return ctx, span
}

func end(span trace.Span, f *call.Failure) {
	if f != nil && span.IsRecording() {
		span.SetAttributes(attribute.String("error.type", string(f.Name)))
		span.SetStatus(codes.Error, f.Cause)
	}
	span.End()
}
