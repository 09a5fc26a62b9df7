// Package stepfntest is a Step Functions API for tests: it speaks the wire
// protocol to the real SDK, keeps executions and task tokens in memory, runs no
// definition, and fails on demand.
package stepfntest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"callfleet/internal/evidence"
)

// Prefix of the ARNs of a Server.
const arnPrefix = "arn:aws:states:us-east-1:123456789012:"

// Machine is the ARN of the state machine that every Server has.
const Machine = arnPrefix + "stateMachine:call-api"

// Server is the API. Its methods are safe for concurrent use.
type Server struct {
	URL string
	t   testing.TB

	mu         sync.Mutex
	machines   map[string]string // guarded by mu: name → definition
	executions []*execution      // guarded by mu
	tasks      map[string]*Task  // guarded by mu
	faults     map[string][]fault
	calls      map[string]int
	parents    []string // guarded by mu: traceparent headers
	changed    chan struct{}
}

type execution struct {
	name, input, status string
	started             time.Time
}

// Task is what became of a task token.
type Task struct {
	Beats        int
	Output       string // of SendTaskSuccess
	Error, Cause string // of SendTaskFailure
	Settled      bool
	Reports      int // SendTaskSuccess and SendTaskFailure that were accepted or refused
}

type fault struct {
	code   string
	status int
	apply  bool // the call has its effect all the same
	left   int  // calls that it is for
}

// New runs a server until the test ends.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{
		t: t, machines: map[string]string{"call-api": "{}"}, tasks: map[string]*Task{},
		faults: map[string][]fault{}, calls: map[string]int{}, changed: make(chan struct{}),
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.URL = h.URL
	return s
}

// AddTask makes a token wait.
func (s *Server) AddTask(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks[token] = &Task{}
}

// Task returns what became of a token.
func (s *Server) Task(token string) Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tasks[token]; t != nil {
		return *t
	}
	return Task{}
}

// CloseTask ends a task as a timeout of its state does.
func (s *Server) CloseTask(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks[token].Settled = true
	s.signal()
}

// Fail makes the next n calls of an operation fail with an error code; a
// status of 500 and more is a fault of the server.
func (s *Server) Fail(operation, code string, status, n int) {
	s.fail(operation, fault{code, status, false, n})
}

// FailAfter makes the next call of an operation have its effect and fail all
// the same, as when the answer is lost.
func (s *Server) FailAfter(operation string) {
	s.fail(operation, fault{"InternalFailure", http.StatusInternalServerError, true, 1})
}

func (s *Server) fail(operation string, f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[operation] = append(s.faults[operation], f)
}

// Recover ends the faults of an operation.
func (s *Server) Recover(operation string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.faults, operation)
}

// Calls is how often an operation was called.
func (s *Server) Calls(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[operation]
}

// Executions returns the inputs of the executions by name.
func (s *Server) Executions() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	for _, x := range s.executions {
		out[x.name] = x.input
	}
	return out
}

// End ends an execution.
func (s *Server) End(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.find(name); x != nil {
		x.status = "SUCCEEDED"
	}
}

// Parents returns the traceparent headers received.
func (s *Server) Parents() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.parents)
}

// Wait blocks until ok returns true, which is looked at after each call.
func (s *Server) Wait(t testing.TB, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			t.Fatal("the Step Functions API never saw what the test waits for")
		}
	}
}

// signal wakes Wait; s.mu is held.
func (s *Server) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) find(name string) *execution {
	for _, x := range s.executions {
		if x.name == name {
			return x
		}
	}
	return nil
}

// apiError is an error answer.
type apiError struct {
	code   string
	status int
}

func (e *apiError) Error() string { return e.code }

func refuse(code string) error { return &apiError{code, http.StatusBadRequest} }

// ServeHTTP speaks AWS JSON 1.0.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AWSStepFunctions.")
	var in map[string]any
	err := json.NewDecoder(r.Body).Decode(&in)
	var out any
	if strings.HasPrefix(operation, "SendTask") {
		evidence.Write(s.t, evidence.Result, in)
	}
	if err == nil {
		out, err = s.serve(operation, r.Header.Get("Traceparent"), in)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if err != nil {
		e, ok := err.(*apiError)
		if !ok {
			e = &apiError{"SerializationException", http.StatusBadRequest}
		}
		w.WriteHeader(e.status)
		out = map[string]string{"__type": e.code, "message": fmt.Sprintf("%s of %v", e.code, in["taskToken"])}
	}
	_ = json.NewEncoder(w).Encode(out) // a client that has gone is its own trouble
}

func (s *Server) serve(operation, parent string, in map[string]any) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.signal()
	s.calls[operation]++
	if parent != "" {
		s.parents = append(s.parents, parent)
	}
	f := s.nextFault(operation)
	if f != nil && !f.apply {
		return nil, &apiError{f.code, f.status}
	}
	out, err := s.do(operation, in)
	if f != nil {
		return nil, &apiError{f.code, f.status}
	}
	return out, err
}

// nextFault is what the call that has come is to suffer, nil for nothing. The
// caller holds mu.
func (s *Server) nextFault(operation string) *fault {
	list := s.faults[operation]
	if len(list) == 0 {
		return nil
	}
	f := &list[0]
	if f.left--; f.left <= 0 {
		s.faults[operation] = list[1:]
	}
	return f
}
