// Package function makes a call as a function does: an event comes in, the
// API's answer or a named failure goes out. It is the fleet's call path without
// a queue and without a worker: AWS Lambda runs it, and so does the Step
// Functions server of this machine.
package function

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/telemetry"
)

// Name is what the tutorial's definition calls the function.
const Name = "GenericApiCallLambda"

// Renderer makes the HTTP request of a template and its params.
type Renderer interface {
	Render(ctx context.Context, item, params json.RawMessage) (call.Rendered, error)
}

// Caller makes an HTTP request.
type Caller interface {
	Do(ctx context.Context, r call.Rendered, idempotencyKey string) (call.Result, error)
}

// Options are the settings of a Handler.
type Options struct {
	// MaxOutput is the largest output, in bytes. Default 250 KiB, what Step
	// Functions takes with room for the state around it.
	MaxOutput int
	// Logger is told of panics alone. Default slog.Default.
	Logger *slog.Logger
}

// Handler is the function. Its methods are safe for concurrent use.
type Handler struct {
	renderer Renderer
	caller   Caller
	options  Options
}

// New returns a handler that renders and calls.
func New(renderer Renderer, caller Caller, o Options) *Handler {
	o.MaxOutput = cmp.Or(o.MaxOutput, 250<<10)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return &Handler{renderer, caller, o}
}

// Decode reads an event: {"template": <DynamoDB item>, "params": {…}} and all
// else that a task may have, but a token. The error is a *call.Failure.
func Decode(event []byte) (call.Task, error) {
	t, err := call.DecodeTask(event)
	if err != nil {
		return t, &call.Failure{Name: call.RenderFailed, Cause: err.Error()}
	}
	if t.Token != "" {
		return t, &call.Failure{Name: call.RenderFailed, Cause: "the event has a task token, which this function answers to nobody: " +
			"call it by its ARN or with lambda:invoke, not with .waitForTaskToken, which is for the fleet's queue"}
	}
	if t.Batch != nil {
		return t, &call.Failure{Name: call.RenderFailed, Cause: "the event is a batch, which workers of the fleet make: this function makes one call"}
	}
	return t, nil
}

// Invoke is Decode and Call. Unless ctx has a trace, the event's goes on.
func (h *Handler) Invoke(ctx context.Context, event []byte) (output []byte, err error) {
	t, err := Decode(event)
	if err != nil {
		return nil, err
	}
	return h.Call(Trace(ctx, t), t)
}

// Call renders and makes the call; the output is a call.Result as JSON. The
// call ends before the deadline of ctx and that of the task. t.ID, if there is
// one, is the Idempotency-Key. The error is always a *call.Failure: a panic is
// one as well.
func (h *Handler) Call(ctx context.Context, t call.Task) (output []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			// The value may hold data of the call; its type and the stack do not.
			h.options.Logger.ErrorContext(ctx, "a call panicked and was failed", "request", t.ID,
				"panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			output, err = nil, &call.Failure{Name: call.Internal, Cause: fmt.Sprintf("the call panicked (%T): see the function's log", p)}
		}
	}()
	ctx, cancel := budget(ctx, t)
	defer cancel()
	if ctx.Err() != nil {
		return nil, &call.Failure{Name: call.DeadlineExceeded, Cause: "the event came when its time was up: it was not called"}
	}
	output, err = h.call(ctx, t)
	if err != nil {
		return nil, call.AsFailure(err)
	}
	return output, nil
}

func (h *Handler) call(ctx context.Context, t call.Task) ([]byte, error) {
	request, err := h.renderer.Render(ctx, t.Template, t.Params)
	if err != nil {
		return nil, err
	}
	request.MaxInline = h.room(t)
	result, err := h.caller.Do(ctx, request, t.ID)
	if err != nil {
		return nil, err
	}
	return call.EncodeResult(result, h.options.MaxOutput)
}

// room is how much of the answer's body the state can take besides template and
// params, which are in it as well as a rule.
func (h *Handler) room(t call.Task) int {
	const around, least = 8 << 10, 1 << 10
	return max(h.options.MaxOutput-len(t.Template)-len(t.Params)-around, least)
}

// budget bounds ctx by the clocks of the task. Its timeout runs from now: a
// function is invoked when its task begins.
func budget(ctx context.Context, t call.Task) (context.Context, context.CancelFunc) {
	end := t.Deadline
	if n := t.TimeoutSeconds; n > 0 {
		if timeout := time.Now().Add(time.Duration(n) * time.Second); end.IsZero() || timeout.Before(end) {
			end = timeout
		}
	}
	if end.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end)
}

// Trace returns ctx with the trace of the event, unless it has one, which is
// that of a closer caller.
func Trace(ctx context.Context, t call.Task) context.Context {
	if parent, _ := telemetry.Inject(ctx); parent != "" || t.Trace == nil {
		return ctx
	}
	return telemetry.Extract(ctx, t.Trace.Parent, t.Trace.State)
}
