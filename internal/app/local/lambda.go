package local

import (
	"encoding/json"
	"io"
	"net/http"

	"callfleet/internal/call"
	"callfleet/internal/function"
	"callfleet/internal/telemetry"
)

// lambdaHandler serves the Invoke operation of the Lambda API (POST
// /2015-03-31/functions/NAME/invocations) for function.Name: a call without an
// answer is a function error with the failure's name as type.
type lambdaHandler struct{ function *function.Handler }

func (h lambdaHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	event, err := io.ReadAll(http.MaxBytesReader(w, r.Body, call.MaxMessageBytes))
	if err != nil {
		writeLambda(w, http.StatusRequestEntityTooLarge, map[string]string{"Type": "User", "Message": err.Error()})
		return
	}
	ctx := telemetry.Extract(r.Context(), r.Header.Get("traceparent"), r.Header.Get("tracestate"))
	output, err := h.function.Invoke(ctx, event)
	if f := call.AsFailure(err); f != nil {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		writeLambda(w, http.StatusOK, map[string]string{"errorType": string(f.Name), "errorMessage": f.Cause})
		return
	}
	writeLambda(w, http.StatusOK, json.RawMessage(output))
}

func writeLambda(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
