// Package ecstest is the container agent of Amazon ECS for tests: it describes
// a task, keeps the scale-in protection it is asked for, records every request
// for it, and fails on demand.
package ecstest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The task that an Agent describes.
const (
	TaskID  = "158d1c8083dd49d6b527399fd6414f5c"
	TaskARN = "arn:aws:ecs:us-west-2:111122223333:task/fleet/" + TaskID
	Cluster = "arn:aws:ecs:us-west-2:111122223333:cluster/fleet"
)

// Agent is the agent. It is the http.Handler of both its endpoints; its methods
// are safe for concurrent use.
type Agent struct {
	mu       sync.Mutex
	task     map[string]any // guarded by mu
	own      map[string]any // guarded by mu
	calls    []Call         // guarded by mu
	faults   []fault        // guarded by mu: of the next requests
	until    time.Time      // guarded by mu: the end of the protection
	asked    int            // guarded by mu: requests for metadata
	changed  chan struct{}  // guarded by mu: closed at the next request
	metadata []int          // guarded by mu: statuses of the next requests for metadata
}

// Call is one request for protection.
type Call struct {
	On      bool
	Minutes int // 0 when not said
	At      time.Time
}

// String is "on 10" or "off".
func (c Call) String() string {
	switch {
	case !c.On:
		return "off"
	case c.Minutes == 0:
		return "on"
	}
	return fmt.Sprintf("on %d", c.Minutes)
}

type fault struct {
	status int
	body   string
	after  bool // the change is made all the same
}

// New returns an agent of a task on Fargate, in a service.
func New() *Agent {
	return &Agent{
		changed: make(chan struct{}),
		task: map[string]any{
			"Cluster": Cluster, "TaskARN": TaskARN, "Family": "callfleet-worker", "Revision": "26", "ServiceName": "worker",
			"DesiredStatus": "RUNNING", "KnownStatus": "RUNNING", "Limits": map[string]any{"CPU": 0.25, "Memory": 512},
			"AvailabilityZone": "us-west-2d", "LaunchType": "FARGATE",
			"ClockDrift": map[string]any{"ClockErrorBound": 0.5, "ClockSynchronizationStatus": "SYNCHRONIZED"},
		},
		own: map[string]any{
			"DockerId": TaskID + "-2495160603", "Name": "worker", "DockerName": "worker",
			"Image":   "111122223333.dkr.ecr.us-west-2.amazonaws.com/callfleet-worker:1.4.0",
			"ImageID": "sha256:25f3695bedfb454a50f12d127839a68ad3caf91e451c1da073db34c542c4d2cb",
			"Labels": map[string]any{
				"com.amazonaws.ecs.cluster": Cluster, "com.amazonaws.ecs.container-name": "worker", "com.amazonaws.ecs.task-arn": TaskARN,
				"com.amazonaws.ecs.task-definition-family": "callfleet-worker", "com.amazonaws.ecs.task-definition-version": "26",
			},
			"KnownStatus": "RUNNING", "Limits": map[string]any{"CPU": 10, "Memory": 128},
			"ContainerARN": "arn:aws:ecs:us-west-2:111122223333:container/fleet/" + TaskID + "/cd189a93-3e58-49da-a933-86466019ab50",
		},
	}
}

// Serve answers on loopback until the test ends, and returns the variables that
// ECS would set.
func (a *Agent) Serve(t testing.TB) map[string]string {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(func() {
		server.CloseClientConnections() // a stalled request ends with its client, and not before
		server.Close()
	})
	return Environment(server.URL)
}

// Environment are the variables that ECS would set for an agent at url.
func Environment(url string) map[string]string {
	return map[string]string{"ECS_CONTAINER_METADATA_URI_V4": url + "/v4/" + TaskID, "ECS_AGENT_URI": url + "/api/" + TaskID}
}

// SetTask changes what /task answers: a nil value takes the field away.
func (a *Agent) SetTask(fields map[string]any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.Copy(a.task, fields)
	maps.DeleteFunc(a.task, func(_ string, v any) bool { return v == nil })
}

// FailMetadata gives the next requests for metadata these statuses.
func (a *Agent) FailMetadata(statuses ...int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.metadata = append(a.metadata, statuses...)
}

// Asked is the number of requests for metadata.
func (a *Agent) Asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

// Answer gives the next n requests for protection this answer, and makes no
// change.
func (a *Agent) Answer(n, status int, body string) {
	a.fail(n, fault{status: status, body: body})
}

// AnswerAfter gives the next request for protection this answer, and makes the
// change all the same.
func (a *Agent) AnswerAfter(status int, body string) {
	a.fail(1, fault{status: status, body: body, after: true})
}

// Stall leaves the next n requests for protection without an answer until the
// client goes away.
func (a *Agent) Stall(n int) { a.fail(n, fault{}) }

func (a *Agent) fail(n int, f fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, slices.Repeat([]fault{f}, n)...)
}

// Answers of the agent that fail.
const (
	NotValid  = `{"failure":{"Arn":"` + TaskARN + `","Detail":null,"Reason":"TASK_NOT_VALID"}}`
	Blocked   = `{"failure":{"Arn":"` + TaskARN + `","Detail":null,"Reason":"DEPLOYMENT_BLOCKED"}}`
	Denied    = `{"requestID":"8b1e4c1e","error":{"Arn":"` + TaskARN + `","Code":"AccessDeniedException","Message":"not authorized to perform: ecs:UpdateTaskProtection"}}`
	Throttled = `{"requestID":"8b1e4c1e","error":{"Arn":"` + TaskARN + `","Code":"ThrottlingException","Message":"Rate exceeded"}}`
	Broken    = `{"error":{"Arn":"` + TaskARN + `","Code":"ServerException","Message":"Unexpected error occurred"}}`
)

// Calls are the requests for protection so far.
func (a *Agent) Calls() []Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// Sequence is Calls as a line, such as "on 10, off".
func (a *Agent) Sequence() string {
	var all []string
	for _, c := range a.Calls() {
		all = append(all, c.String())
	}
	return strings.Join(all, ", ")
}

// Until is when the protection ends; the zero time is that there is none.
func (a *Agent) Until() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.until
}

// Wait blocks until ok returns true, which is looked at after each request.
func (a *Agent) Wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		a.mu.Lock()
		changed := a.changed
		a.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			t.Fatalf("waited in vain for %s; the agent was asked: %s", what, a.Sequence())
		}
	}
}

// ServeHTTP answers as the agent does.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const protection = "PUT /api/" + TaskID + "/task-protection/v1/state"
	switch r.Method + " " + r.URL.Path {
	case "GET /v4/" + TaskID:
		a.describe(w, a.own)
	case "GET /v4/" + TaskID + "/task":
		a.describe(w, a.task)
	case protection:
		a.protect(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (a *Agent) describe(w http.ResponseWriter, document map[string]any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.signal()
	a.asked++
	if len(a.metadata) > 0 {
		status := a.metadata[0]
		a.metadata = a.metadata[1:]
		w.WriteHeader(status)
		return
	}
	reply(w, http.StatusOK, document)
}

// protect is strict where the agent is: no unknown fields, ProtectionEnabled is
// required.
func (a *Agent) protect(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ProtectionEnabled *bool
		ExpiresInMinutes  *int
	}
	strict := json.NewDecoder(r.Body)
	strict.DisallowUnknownFields()
	if err := strict.Decode(&in); err != nil || in.ProtectionEnabled == nil || in.ExpiresInMinutes != nil && (*in.ExpiresInMinutes < 1 || *in.ExpiresInMinutes > 2880) {
		reply(w, http.StatusBadRequest, map[string]any{"error": map[string]any{"Code": "InvalidParameterException", "Message": "failed to decode request"}})
		return
	}
	call := Call{On: *in.ProtectionEnabled, At: time.Now()}
	if in.ExpiresInMinutes != nil {
		call.Minutes = *in.ExpiresInMinutes
	}
	f, faulty := a.record(call)
	switch {
	case !faulty:
		a.confirm(w, call)
	case f.status == 0:
		_, _ = io.Copy(io.Discard, r.Body) // the server notices that the client leaves only after the body
		<-r.Context().Done()
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(f.status)
		_, _ = w.Write([]byte(f.body))
	}
}

// record notes the call and its effect.
func (a *Agent) record(call Call) (f fault, faulty bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.signal()
	a.calls = append(a.calls, call)
	if len(a.faults) > 0 {
		f, faulty = a.faults[0], true
		a.faults = a.faults[1:]
	}
	if faulty && !f.after {
		return f, faulty
	}
	a.until = time.Time{}
	if call.On {
		minutes := call.Minutes
		if minutes == 0 {
			minutes = 120
		}
		a.until = call.At.Add(time.Duration(minutes) * time.Minute)
	}
	return f, faulty
}

func (a *Agent) confirm(w http.ResponseWriter, call Call) {
	answer := map[string]any{"ProtectionEnabled": call.On, "TaskArn": TaskARN, "ExpirationDate": nil}
	if until := a.Until(); call.On {
		answer["ExpirationDate"] = until.UTC().Format(time.RFC3339)
	}
	reply(w, http.StatusOK, map[string]any{"protection": answer})
}

// signal wakes Wait; a.mu is held.
func (a *Agent) signal() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// reply ignores a failed write: there is nobody left to tell.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
