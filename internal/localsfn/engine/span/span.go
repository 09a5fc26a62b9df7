// Package span makes the OpenTelemetry spans of the engine: one per execution
// and one per hand-off.
package span

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/handoff"
	"callfleet/internal/localsfn/history"
	"callfleet/internal/localsfn/machine"
	"callfleet/internal/telemetry"
)

// Maker makes one span per execution and one per hand-off. The execution's is
// written when it ends, long after its children: its id is derived from the
// execution, so that they can name it, also after a restart.
type Maker struct {
	tracer trace.Tracer
	on     bool   // whether the provider makes spans at all
	system string // messaging.system of the configured broker
}

// New makes spans by a provider. The configured broker is of that
// messaging.system.
func New(p trace.TracerProvider, system string) *Maker {
	s := &Maker{tracer: p.Tracer("callfleet/internal/localsfn/engine"), system: system}
	// A provider that makes spans gives a child an id of its own, sampled or
	// not; the no-op provider passes the parent's on.
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, Remote: true})
	_, child := s.tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), parent), "probe")
	s.on = child.SpanContext().SpanID() != parent.SpanID()
	return s
}

// spanID is the id of an execution's span.
func spanID(start *history.Start) (id trace.SpanID) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(start.ARN))
	_, _ = h.Write([]byte(start.Traceparent))
	binary.BigEndian.PutUint64(id[:], h.Sum64()|1)
	return id
}

// Parent is the span that an execution's hand-offs belong to.
type Parent struct{ trace.SpanContext }

// Parent is the execution's span, or what came in with its start when the
// execution has none.
func (s *Maker) Parent(start *history.Start) Parent {
	if start.Traceparent == "" {
		return Parent{}
	}
	sc := trace.SpanContextFromContext(telemetry.Extract(context.Background(), start.Traceparent, start.Tracestate))
	if s.on && sc.IsSampled() {
		sc = sc.WithSpanID(spanID(start))
	}
	return Parent{sc}
}

// Headers carry the trace of an execution in a message.
func (s *Maker) Headers(start *history.Start) map[string]string {
	return injected(trace.ContextWithRemoteSpanContext(context.Background(), s.Parent(start).SpanContext))
}

func injected(ctx context.Context) map[string]string {
	parent, state := telemetry.Inject(ctx)
	if parent == "" {
		return nil
	}
	h := map[string]string{"traceparent": parent}
	if state != "" {
		h["tracestate"] = state
	}
	return h
}

// Execution writes the span of an execution that has ended.
func (s *Maker) Execution(x *machine.Execution) {
	start := x.Start()
	if !s.on {
		return
	}
	ctx := telemetry.Extract(context.Background(), start.Traceparent, start.Tracestate)
	ctx = telemetry.WithSpanID(ctx, spanID(start))
	_, span := s.tracer.Start(ctx, "execution "+start.MachineName, trace.WithTimestamp(began(x)), trace.WithAttributes(
		attribute.String("aws.step_functions.execution.arn", start.ARN),
		attribute.String("aws.step_functions.state_machine.arn", start.MachineARN),
		attribute.String("callfleet.execution.name", start.Name),
		attribute.String("callfleet.execution.status", string(x.Status())),
	))
	if st := x.Status(); st != machine.Succeeded {
		name := string(st)
		if e, _ := x.Failure(); e != nil {
			name = *e
		}
		span.SetAttributes(attribute.String("error.type", name))
		span.SetStatus(codes.Error, name)
	}
	// To the end of its millisecond, so that no child ends after it.
	span.End(trace.WithTimestamp(x.Stopped().Add(time.Millisecond - 1)))
}

// began is when an execution began.
func began(x *machine.Execution) time.Time {
	if ns := x.Start().TraceStart; ns != 0 {
		return time.Unix(0, ns)
	}
	return x.Started()
}

// HandOff is the span of one hand-off.
type HandOff struct{ trace.Span }

// HandOff starts the span of a hand-off and puts its trace context into the
// call's headers.
func (s *Maker) HandOff(ctx context.Context, parent Parent, c *handoff.Call) (context.Context, HandOff) {
	if !parent.IsValid() && !s.on {
		return ctx, HandOff{trace.SpanFromContext(ctx)}
	}
	ctx = trace.ContextWithRemoteSpanContext(ctx, parent.SpanContext)
	if s.on {
		kind, name, attrs := s.described(c)
		ctx, _ = s.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attrs...))
	}
	c.Headers = injected(ctx)
	return ctx, HandOff{trace.SpanFromContext(ctx)}
}

// End closes the span; err is what the call came to.
func (h HandOff) End(err error) {
	if err != nil {
		name := "given up"
		if f, ok := err.(*handoff.Failure); ok { //nolint:errorlint // Do returns it bare
			name = f.Name
		}
		h.SetAttributes(attribute.String("error.type", name))
		h.SetStatus(codes.Error, err.Error())
	}
	h.Span.End()
}

// described names a hand-off's span as OpenTelemetry's conventions do.
func (s *Maker) described(c *handoff.Call) (trace.SpanKind, string, []attribute.KeyValue) {
	attrs := []attribute.KeyValue{attribute.String("callfleet.execution.name", c.Execution)}
	switch {
	case c.Resource.Integration == asl.Service && c.Resource.Service == "sqs":
		url := c.Parameters.Get("QueueUrl").Text()
		dest, remote := handoff.QueueName(url)
		system := s.system
		if remote {
			system = "aws_sqs"
		}
		attrs = append(attrs,
			attribute.String("messaging.system", system),
			attribute.String("messaging.operation.name", "send"),
			attribute.String("messaging.operation.type", "send"),
			attribute.String("messaging.destination.name", dest),
			attribute.String("messaging.message.id", c.ID),
			attribute.Int("messaging.message.body.size", c.Parameters.Get("MessageBody").Size()))
		return trace.SpanKindProducer, "send " + dest, attrs
	case c.Resource.Integration == asl.LambdaARN:
		attrs = append(attrs, attribute.String("faas.invoked_name", handoff.FunctionName(c.Resource.ARN)), attribute.String("faas.invoked_provider", "aws"))
		return trace.SpanKindClient, "invoke " + handoff.FunctionName(c.Resource.ARN), attrs
	}
	service, method := rpcName(c.Resource)
	attrs = append(attrs, attribute.String("rpc.system", "aws-api"), attribute.String("rpc.service", service), attribute.String("rpc.method", method))
	return trace.SpanKindClient, service + "/" + method, attrs
}

// rpcName is what an AWS SDK calls the service and the operation that a
// resource names in lower case: DynamoDB and GetItem.
func rpcName(r asl.Resource) (service, method string) {
	service, method = r.Service, r.Operation
	switch service {
	case "dynamodb":
		service = "DynamoDB"
	case "lambda":
		service = "Lambda"
	case "states":
		service = "StepFunctions"
	}
	if method != "" {
		method = strings.ToUpper(method[:1]) + method[1:]
	}
	return service, method
}
