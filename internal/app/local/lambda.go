package local

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"callfleet/internal/call"
	"callfleet/internal/telemetry"
)

// GenericFunction is the Lambda function that the tutorial's definition calls:
// the fleet's own call path, without a queue between.
const GenericFunction = "GenericApiCallLambda"

// Renderer makes the HTTP request of a template and its params.
type Renderer interface {
	Render(ctx context.Context, item, params json.RawMessage) (call.Rendered, error)
}

// Caller makes an HTTP request.
type Caller interface {
	Do(ctx context.Context, r call.Rendered, idempotencyKey string) (call.Result, error)
}

// lambdaHandler serves the Invoke operation of the Lambda API (POST
// /2015-03-31/functions/NAME/invocations) for GenericFunction. The payload is
// {"template": <DynamoDB item>, "params": {…}}, the answer a call.Result; a
// call without an answer is a function error with the failure's name as type.
type lambdaHandler struct {
	renderer Renderer
	caller   Caller
}

func (h *lambdaHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, call.MaxMessageBytes))
	if err != nil {
		writeLambda(w, http.StatusRequestEntityTooLarge, map[string]string{"Type": "User", "Message": err.Error()})
		return
	}
	ctx := telemetry.Extract(r.Context(), r.Header.Get("traceparent"), r.Header.Get("tracestate"))
	result, err := h.invoke(ctx, payload)
	if err != nil {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		writeLambda(w, http.StatusOK, functionError(err))
		return
	}
	writeLambda(w, http.StatusOK, result)
}

func (h *lambdaHandler) invoke(ctx context.Context, payload []byte) (call.Result, error) {
	task, err := call.DecodeTask(payload)
	if err != nil {
		return call.Result{}, &call.Failure{Name: call.RenderFailed, Cause: err.Error()}
	}
	request, err := h.renderer.Render(ctx, task.Template, task.Params)
	if err != nil {
		return call.Result{}, err
	}
	return h.caller.Do(ctx, request, task.ID)
}

func functionError(err error) map[string]string {
	var failure *call.Failure
	if errors.As(err, &failure) {
		return map[string]string{"errorType": string(failure.Name), "errorMessage": failure.Cause}
	}
	return map[string]string{"errorType": string(call.Internal), "errorMessage": err.Error()}
}

func writeLambda(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
