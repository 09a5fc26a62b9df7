package local

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"callfleet/internal/call"
	"callfleet/internal/function"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/template"
)

// odd is a caller that fails with no error of ours.
type odd struct{}

func (odd) Do(context.Context, call.Rendered, string) (call.Result, error) {
	return call.Result{}, errOdd
}

func TestLambdaEndpoint(t *testing.T) {
	t.Parallel()
	o, server := options(t), api(t)
	payload := func(path string) string {
		return `{"template":{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"` + server.URL + path + `"}},"params":{"id":7}}`
	}
	for name, row := range map[string]struct {
		caller           function.Caller
		payload          string
		status           int
		failed           bool
		field, has, none string
	}{
		"good":           {o.Caller, payload("/{{ id }}"), 200, false, "statusCode", "200", "errorType"},
		"bad status":     {o.Caller, payload("/404"), 200, false, "statusCode", "404", "errorType"},
		"render failure": {o.Caller, payload("/{{ other }}"), 200, true, "errorType", "Callfleet.RenderFailed", "statusCode"},
		"bad template":   {o.Caller, `{"template":{},"params":{}}`, 200, true, "errorType", "Callfleet.RenderFailed", "statusCode"},
		"no JSON":        {o.Caller, `odd`, 200, true, "errorType", "Callfleet.RenderFailed", "statusCode"},
		"other error":    {odd{}, payload("/200"), 200, true, "errorType", string(call.Internal), "statusCode"},
		"too large":      {o.Caller, `"` + strings.Repeat("x", call.MaxMessageBytes) + `"`, 413, false, "Type", "User", "statusCode"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			lambdaHandler{function.New(o.Renderer, row.caller, function.Options{})}.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost,
				"/2015-03-31/functions/GenericApiCallLambda/invocations", strings.NewReader(row.payload)))
			var body map[string]json.RawMessage
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatalf("answer %s: %v", w.Body, err)
			}
			if w.Code != row.status || (w.Header().Get("X-Amz-Function-Error") != "") != row.failed {
				t.Errorf("status %d, function error %q", w.Code, w.Header().Get("X-Amz-Function-Error"))
			}
			if got := strings.Trim(string(body[row.field]), `"`); got != row.has || body[row.none] != nil {
				t.Errorf("answer %s, want %s %s and no %s", w.Body, row.field, row.has, row.none)
			}
		})
	}
}

// The function that is built in says why it has no place for large bodies.
func TestLambdaEndpointKeepsNoBodies(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 300<<10)) }))
	t.Cleanup(server.Close)
	caller, err := httpcall.New(httpcall.Options{Claims: noStore(), Egress: egresstest.Loopback()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(caller.Close)
	f := function.New(template.NewRenderer(template.Options{References: noStore()}), caller, function.Options{})
	ref := string(call.EncodeRef(call.BlobRef{URL: "s3://b/k", SHA256: strings.Repeat("0", 64)}))
	for params, want := range map[string]call.FailureName{`{}`: call.ResponseTooLarge, `{"doc":` + ref + `}`: call.BadReference} {
		_, err := f.Invoke(t.Context(), []byte(`{"template":{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"`+server.URL+`"}},"params":`+params+`}`))
		if failure := call.AsFailure(err); failure == nil || failure.Name != want || !strings.Contains(failure.Cause, "hand the call to a worker") {
			t.Errorf("%s: %v, want %s", params, err, want)
		}
	}
}
