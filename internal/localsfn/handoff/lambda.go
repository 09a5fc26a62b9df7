package handoff

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"callfleet/internal/localsfn/expr"
)

// maxAnswer is what a task's result may weigh (AWS: 256 KiB).
const maxAnswer = 256 << 10

// lambdaTransport reuses connections to one endpoint for thousands of calls.
func lambdaTransport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConns:        1024,
		MaxIdleConnsPerHost: 1024,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 5 * time.Second,
	}
}

// FunctionName is the name of the function that an ARN, a partial ARN or a
// name means, without version or alias.
func FunctionName(s string) string {
	if _, rest, ok := strings.Cut(s, ":function:"); ok {
		s = rest
	}
	name, _, _ := strings.Cut(s, ":")
	return name
}

// functionARN is the full name of a function in messages; qualifier comes
// behind it.
func (h *Handoff) functionARN(s, qualifier string) string {
	if !strings.HasPrefix(s, "arn:") {
		s = "arn:aws:lambda:" + h.o.Region + ":" + h.o.AccountID + ":function:" + FunctionName(s)
	}
	return s + ":" + qualifier
}

// invokeARN serves a Resource that is a function's ARN: the task's input is the
// payload and the function's answer the output.
func (h *Handoff) invokeARN(ctx context.Context, c *Call) (expr.Value, error) {
	a, err := h.callFunction(ctx, c, invocation{function: c.Resource.ARN, payload: c.Parameters.JSON()})
	if err != nil {
		return expr.Value{}, err
	}
	if len(a.body) > maxAnswer {
		return expr.Value{}, tooLarge(c.Resource.ARN)
	}
	if a.failed {
		return expr.Value{}, functionFailure(a.body, false)
	}
	return answered(a.body)
}

// invoke serves lambda:invoke.
func (h *Handoff) invoke(ctx context.Context, c *Call, p params) (expr.Value, error) {
	in, err := readInvocation(p)
	if err != nil {
		return expr.Value{}, err
	}
	a, err := h.callFunction(ctx, c, in)
	if err != nil {
		return expr.Value{}, err
	}
	if len(a.body) > maxAnswer {
		return expr.Value{}, tooLarge("lambda")
	}
	if a.failed {
		return expr.Value{}, functionFailure(a.body, true)
	}
	payload, err := answered(a.body)
	if err != nil {
		return expr.Value{}, err
	}
	members := []expr.Member{{Key: "ExecutedVersion", Value: expr.String(a.version)}}
	if a.log != "" {
		members = append(members, expr.Member{Key: "LogResult", Value: expr.String(a.log)})
	}
	members = append(members, expr.Member{Key: "Payload", Value: payload})
	id := requestID()
	out := withMetadata(members, id, []header{
		{"X-Amz-Executed-Version", a.version}, {"x-amzn-Remapped-Content-Length", "0"}, {"Connection", "keep-alive"},
		{"x-amzn-RequestId", id}, {"Content-Length", itoa(len(a.body))},
		{"Date", httpDate()}, {"Content-Type", "application/json"},
	})
	return out.With("StatusCode", expr.Int(int64(a.status))), nil
}

// invokeAsync serves lambda:invoke.waitForTaskToken: the function has its token
// in the payload and answers with it, whatever it returns here; only its
// failure counts.
func (h *Handoff) invokeAsync(ctx context.Context, c *Call, p params) (expr.Value, error) {
	return h.invoke(ctx, c, p)
}

// invocation is what a function is called with.
type invocation struct {
	function, qualifier, kind, logs, context string
	payload                                  []byte
}

func readInvocation(p params) (in invocation, err error) {
	for _, f := range []struct {
		name string
		to   *string
	}{{"FunctionName", &in.function}, {"Qualifier", &in.qualifier}, {"InvocationType", &in.kind}, {"LogType", &in.logs}, {"ClientContext", &in.context}} {
		if *f.to, err = p.text(f.name); err != nil {
			return in, err
		}
	}
	if in.function == "" {
		return in, &Failure{Name: "States.Runtime", Cause: "The Parameters field FunctionName is required."}
	}
	in.payload = []byte("{}") // what Lambda hands a function that is called with nothing
	switch v := p.Get("Payload"); v.Kind() {
	case expr.Absent, expr.KindNull:
	case expr.KindString:
		in.payload = []byte(v.Text()) // a text is the payload itself
	default:
		in.payload = v.JSON()
	}
	return in, nil
}

// functionAnswer is what came back from a function.
type functionAnswer struct {
	body         []byte
	failed       bool // the function itself failed; body says how
	version, log string
	status       int
}

// endpoint is the base URL that serves a function.
func (h *Handoff) endpoint(function string) (string, error) {
	name := FunctionName(function)
	if e := h.o.LambdaFunctions[name]; e != "" {
		return e, nil
	}
	if h.o.LambdaEndpoint != "" {
		return h.o.LambdaEndpoint, nil
	}
	return "", &Failure{Name: "Lambda.ResourceNotFoundException", Cause: "function " + name +
		": no Lambda endpoint is configured (set CALLFLEET_LAMBDA_ENDPOINT to a base URL that serves POST /2015-03-31/functions/NAME/invocations)"}
}

// callFunction invokes a function and returns its answer. An endpoint that
// cannot be reached, is overloaded or broken is tried again a few times: the
// function has not run, or Lambda says that it may be called again.
func (h *Handoff) callFunction(ctx context.Context, c *Call, in invocation) (*functionAnswer, error) {
	base, err := h.endpoint(in.function)
	if err != nil {
		return nil, err
	}
	u := strings.TrimSuffix(base, "/") + "/2015-03-31/functions/" + url.PathEscape(in.function) + "/invocations"
	if in.qualifier != "" {
		u += "?Qualifier=" + url.QueryEscape(in.qualifier)
	}
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	return backoff.RetryWithData(func() (*functionAnswer, error) {
		return h.post(ctx, u, c, in)
	}, backoff.WithContext(backoff.WithMaxRetries(b, 4), ctx))
}

// post is one attempt; errors that a repetition cannot mend are permanent.
func (h *Handoff) post(ctx context.Context, u string, c *Call, in invocation) (*functionAnswer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u, bytes.NewReader(in.payload))
	if err != nil {
		return nil, backoff.Permanent(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range map[string]string{"X-Amz-Invocation-Type": in.kind, "X-Amz-Log-Type": in.logs, "X-Amz-Client-Context": in.context} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	for name, value := range c.Headers {
		req.Header.Set(name, value)
	}
	resp, err := h.o.HTTP.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, backoff.Permanent(context.Cause(ctx))
		}
		var dial *net.OpError
		failure := &Failure{Name: "Lambda.SdkClientException", Cause: "Unable to execute HTTP request: " + err.Error()}
		if errors.As(err, &dial) && dial.Op == "dial" {
			return nil, failure
		}
		return nil, backoff.Permanent(failure) // the function may have run
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, backoff.Permanent(err)
	}
	if resp.StatusCode/100 == 2 {
		a := &functionAnswer{body: body, failed: resp.Header.Get("X-Amz-Function-Error") != "", status: resp.StatusCode,
			version: resp.Header.Get("X-Amz-Executed-Version"), log: resp.Header.Get("X-Amz-Log-Result")}
		if a.version == "" || strings.ContainsAny(a.version, "\"\\") {
			a.version = "$LATEST"
		}
		return a, nil
	}
	failure := h.lambdaFailure(resp, body, in)
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 {
		return nil, failure
	}
	return nil, backoff.Permanent(failure)
}

// lambdaFailure words an error of Lambda itself.
func (h *Handoff) lambdaFailure(resp *http.Response, body []byte, in invocation) *Failure {
	var e struct{ Message, MessageLower string }
	_ = json.Unmarshal(body, &e)
	code, _, _ := strings.Cut(resp.Header.Get("X-Amzn-Errortype"), ":")
	if code == "" {
		code = map[int]string{404: "ResourceNotFoundException", 429: "TooManyRequestsException", 400: "InvalidRequestContentException", 403: "AccessDeniedException", 413: "RequestTooLargeException"}[resp.StatusCode]
	}
	if code == "" {
		code = "ServiceException"
	}
	qualifier := in.qualifier
	if qualifier == "" {
		qualifier = "$LATEST"
	}
	if resp.StatusCode == http.StatusNotFound {
		e.Message = "Function not found: " + h.functionARN(in.function, qualifier)
	}
	if e.Message == "" {
		e.Message = strings.TrimSpace(string(body[:min(len(body), 500)]))
	}
	return &Failure{Name: "Lambda." + code, Cause: fmt.Sprintf("%s (Service: AWSLambda; Status Code: %d; Error Code: %s; Request ID: %s; Proxy: null)",
		e.Message, resp.StatusCode, code, requestID())}
}

// functionFailure is the failure of a function: its errorType, and what it said
// as the cause: as sent when called by its ARN, compact from lambda:invoke.
func functionFailure(body []byte, compact bool) *Failure {
	var e struct {
		ErrorType *string `json:"errorType"`
	}
	f := &Failure{Name: "Lambda.Unknown", Cause: string(body)}
	if json.Unmarshal(body, &e) != nil {
		return f
	}
	if e.ErrorType != nil && *e.ErrorType != "" {
		f.Name = *e.ErrorType
	}
	var b bytes.Buffer
	if compact && json.Compact(&b, body) == nil {
		f.Cause = b.String()
	}
	return f
}

func tooLarge(task string) *Failure {
	return &Failure{Name: "States.DataLimitExceeded", Cause: "The state/task '" + task +
		"' returned a result with a size exceeding the maximum number of bytes service limit."}
}

// answered is a function's answer as a value.
func answered(body []byte) (expr.Value, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return expr.Null(), nil
	}
	v, err := expr.Parse(body)
	if err != nil {
		return expr.Value{}, &Failure{Name: "Lambda.Unknown", Cause: "The function's answer is not JSON: " + err.Error()}
	}
	return v, nil
}
