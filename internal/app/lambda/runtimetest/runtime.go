// Package runtimetest is AWS Lambda for tests: the runtime API, from which a
// function takes its events, and the Invoke operation in front of it. It speaks
// HTTP on loopback, so that the function is a process as on AWS.
package runtimetest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// ARN is that of the function, whatever it is called as.
const ARN = "arn:aws:lambda:us-east-1:123456789012:function:GenericApiCallLambda"

// coldStart is how long an event waits for a function to begin, or to be done
// with the event before (AWS Lambda gives the initialization 10 s).
const coldStart = 20 * time.Second

// Event is one invocation.
type Event struct {
	Payload []byte
	ID      string        // the request id; one is made if it is empty
	Timeout time.Duration // of the function; default 10 s
	// ClientContext is JSON, as the runtime gets it.
	ClientContext string
}

// Answer is what came of an invocation.
type Answer struct {
	ID      string
	Payload []byte
	Failed  bool // it is a function error: {"errorType", "errorMessage"}
}

// ErrorType is that of a function error.
func (a Answer) ErrorType() string {
	var e struct {
		ErrorType string `json:"errorType"`
	}
	_ = json.Unmarshal(a.Payload, &e) // what is no function error has no type
	return e.ErrorType
}

// Runtime hands the events of Invoke to whoever asks for the next one.
type Runtime struct {
	server *httptest.Server
	done   chan struct{} // closed when the test ends
	events chan *invocation
	began  chan struct{} // closed when a function asks for its first event
	begin  func()
	failed chan InitError

	mu     sync.Mutex
	active map[string]*invocation // guarded by mu; by request id
}

// InitError is what a function says that cannot begin.
type InitError struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
	Header  string `json:"-"` // Lambda-Runtime-Function-Error-Type
}

type invocation struct {
	Event
	deadline time.Time
	answer   chan Answer // buffered
}

// Start serves on a free port of loopback until the test ends.
func Start(tb testing.TB) *Runtime {
	tb.Helper()
	r := &Runtime{
		done: make(chan struct{}), events: make(chan *invocation), began: make(chan struct{}),
		failed: make(chan InitError, 1), active: map[string]*invocation{},
	}
	r.begin = sync.OnceFunc(func() { close(r.began) })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", r.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{kind}", r.finish)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", r.initError)
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", r.serveInvoke)
	r.server = httptest.NewServer(mux)
	tb.Cleanup(func() {
		close(r.done)
		r.server.Close()
	})
	return r
}

// Addr is the value of AWS_LAMBDA_RUNTIME_API.
func (r *Runtime) Addr() string { return r.server.Listener.Addr().String() }

// URL is the endpoint of the Lambda API, for its Invoke operation.
func (r *Runtime) URL() string { return r.server.URL }

// Invoke waits for a function that takes the event and for its answer. When
// there is none before the timeout, the answer is AWS Lambda's error for that.
func (r *Runtime) Invoke(ctx context.Context, e Event) (Answer, error) {
	e.ID = cmp.Or(e.ID, requestID())
	e.Timeout = cmp.Or(e.Timeout, 10*time.Second)
	in := &invocation{Event: e, answer: make(chan Answer, 1)}
	patience := time.NewTimer(coldStart)
	defer patience.Stop()
	select {
	case r.events <- in:
	case <-patience.C:
		return Answer{}, fmt.Errorf("invoke function: no function has asked for the event in %s", coldStart)
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("invoke function: %w", ctx.Err())
	}
	defer r.forget(e.ID)
	timeout := time.NewTimer(e.Timeout)
	defer timeout.Stop()
	select {
	case a := <-in.answer:
		return a, nil
	case <-timeout.C:
		text := fmt.Sprintf(`{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: %s Error: Task timed out after %.2f seconds"}`, e.ID, e.Timeout.Seconds())
		return Answer{ID: e.ID, Payload: []byte(text), Failed: true}, nil
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("invoke function: %w", ctx.Err())
	}
}

// WaitBegin waits until a function asks for its first event: its cold start is
// over.
func (r *Runtime) WaitBegin(ctx context.Context) error {
	select {
	case <-r.began:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the function: %w", ctx.Err())
	}
}

// WaitInitError waits for a function to say that it cannot begin.
func (r *Runtime) WaitInitError(ctx context.Context) (InitError, error) {
	select {
	case e := <-r.failed:
		return e, nil
	case <-ctx.Done():
		return InitError{}, fmt.Errorf("wait for an initialization error: %w", ctx.Err())
	}
}

func (r *Runtime) next(w http.ResponseWriter, req *http.Request) {
	r.begin()
	select {
	case in := <-r.events:
		in.deadline = time.Now().Add(in.Timeout)
		r.mu.Lock()
		r.active[in.ID] = in
		r.mu.Unlock()
		h := w.Header()
		h.Set("Lambda-Runtime-Aws-Request-Id", in.ID)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(in.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", ARN)
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0")
		if in.ClientContext != "" {
			h.Set("Lambda-Runtime-Client-Context", in.ClientContext)
		}
		_, _ = w.Write(in.Payload) // a function that is gone answers nothing
	case <-r.done:
		w.WriteHeader(http.StatusServiceUnavailable)
	case <-req.Context().Done():
	}
}

func (r *Runtime) finish(w http.ResponseWriter, req *http.Request) {
	kind := req.PathValue("kind")
	in := r.forget(req.PathValue("id"))
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 6<<20))
	switch {
	case kind != "response" && kind != "error":
		w.WriteHeader(http.StatusNotFound)
	case in == nil:
		w.WriteHeader(http.StatusBadRequest) // answered before, or too late
	case err != nil:
		in.answer <- Answer{in.ID, []byte(`{"errorType":"Function.ResponseSizeTooLarge"}`), true}
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	default:
		in.answer <- Answer{in.ID, body, kind == "error"}
		w.WriteHeader(http.StatusAccepted)
	}
}

// forget returns the invocation if it has no answer yet.
func (r *Runtime) forget(id string) *invocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.active[id]
	delete(r.active, id)
	return in
}

func (r *Runtime) initError(w http.ResponseWriter, req *http.Request) {
	e := InitError{Header: req.Header.Get("Lambda-Runtime-Function-Error-Type")}
	if err := json.NewDecoder(req.Body).Decode(&e); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	select {
	case r.failed <- e:
		w.WriteHeader(http.StatusAccepted)
	default:
		w.WriteHeader(http.StatusForbidden)
	}
}

// serveInvoke is the Invoke operation, for the RequestResponse kind of
// invocation and the function's name, partial or full ARN.
func (r *Runtime) serveInvoke(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	e, err := readInvoke(w, req)
	if err != nil {
		w.Header().Set("X-Amzn-Errortype", "InvalidParameterValueException")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"Type": "User", "message": err.Error()})
		return
	}
	a, err := r.Invoke(req.Context(), e)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if a.Failed {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
	}
	w.Header().Set("X-Amzn-Requestid", a.ID)
	w.Header().Set("X-Amz-Executed-Version", "$LATEST")
	_, _ = w.Write(a.Payload)
}

func readInvoke(w http.ResponseWriter, req *http.Request) (e Event, err error) {
	if name := req.PathValue("name"); name != ARN && !strings.HasSuffix(ARN, ":"+name) {
		return e, fmt.Errorf("function not found: %s", name)
	}
	if kind := req.Header.Get("X-Amz-Invocation-Type"); kind != "" && kind != "RequestResponse" {
		return e, fmt.Errorf("invocation type %s is not served", kind)
	}
	custom, err := base64.StdEncoding.DecodeString(req.Header.Get("X-Amz-Client-Context"))
	if err != nil {
		return e, errors.New("the client context is no base64")
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 6<<20))
	return Event{Payload: payload, ClientContext: string(custom)}, err
}

func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
