package api

import (
	"context"
	"encoding/json"
	"errors"

	"callfleet/internal/localsfn/engine"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/store"
)

// maxData is the size of inputs and outputs (AWS: 256 KiB).
const maxData = 256 << 10

type startRequest struct {
	ARN   string  `json:"stateMachineArn"`
	Name  *string `json:"name"`
	Input *string `json:"input"`
}

func (s *Server) startExecution(ctx context.Context, body []byte) (any, error) {
	var r startRequest
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	name, input, err := r.check()
	if err != nil {
		return nil, err
	}
	m, err := s.machine(r.ARN)
	if err != nil {
		return nil, err
	}
	if m.Type != "STANDARD" {
		return nil, unsupportedType()
	}
	started, err := s.o.Engine.Start(ctx, m, name, input)
	if errors.Is(err, engine.ErrNameTaken) {
		return nil, &apiError{kind: "ExecutionAlreadyExists", message: "Execution Already Exists: '" + s.o.Engine.ARN(store.Key{Machine: m.Name, Name: name}) + "'"}
	}
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(started.ARN)+64)
	b = append(b, `{"executionArn":`...)
	b = expr.String(started.ARN).AppendJSON(b)
	b = append(b, `,"startDate":`...)
	b = appendSeconds(b, started.At)
	return json.RawMessage(append(b, '}')), nil
}

func (r *startRequest) check() (name string, input expr.Value, err error) {
	var c constraints
	if r.Name != nil {
		name = *r.Name
		c.length(name, "name", 1, maxName)
	}
	text := "{}"
	if r.Input != nil {
		text = *r.Input
		if len(text) > maxData {
			c.length(text, "input", 0, maxData)
		}
	}
	if err := c.err(); err != nil {
		return "", input, err
	}
	if name == "" {
		name = newID()
	} else if err := checkName(name); err != nil {
		return "", input, err
	}
	if text == "" {
		return "", input, &apiError{kind: "InvalidExecutionInput", message: "Invalid execution input."}
	}
	input, err = expr.Parse([]byte(text))
	if err != nil {
		return "", input, &apiError{kind: "InvalidExecutionInput", message: "Invalid State Machine Execution Input: '" + jackson(text, err) + "'"}
	}
	return name, input, nil
}

func unsupportedType() *apiError {
	return &apiError{kind: "StateMachineTypeNotSupported", message: "This operation is not supported by this type of state machine"}
}

// startSyncExecution exists for its refusals: there are no Express executions
// here.
func (s *Server) startSyncExecution(_ context.Context, body []byte) (any, error) {
	var r startRequest
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	if _, err := s.machine(r.ARN); err != nil {
		return nil, err
	}
	return nil, unsupportedType()
}

type executionRequest struct {
	ARN string `json:"executionArn"`
}

type included struct {
	Included bool `json:"included"`
}

type executionDescription struct {
	ARN           string    `json:"executionArn"`
	MachineARN    string    `json:"stateMachineArn"`
	Name          string    `json:"name"`
	Status        string    `json:"status"`
	Started       seconds   `json:"startDate"`
	Stopped       *seconds  `json:"stopDate,omitempty"`
	Input         string    `json:"input"`
	InputDetails  included  `json:"inputDetails"`
	Output        *string   `json:"output,omitempty"`
	OutputDetails *included `json:"outputDetails,omitempty"`
	Error         *string   `json:"error,omitempty"`
	Cause         *string   `json:"cause,omitempty"`
	RedriveCount  int       `json:"redriveCount"`
	RedriveStatus string    `json:"redriveStatus"`
	RedriveReason string    `json:"redriveStatusReason,omitempty"`
}

func (s *Server) describeExecution(ctx context.Context, body []byte) (any, error) {
	d, _, err := s.lookUp(ctx, body)
	if err != nil {
		return nil, err
	}
	x := executionDescription{
		ARN: d.Start.ARN, MachineARN: d.Start.MachineARN, Name: d.Start.Name, Status: d.Status.String(), Started: seconds(d.Started),
		Input: string(d.Input.JSON()), InputDetails: included{true}, Error: d.Error, Cause: d.Cause, RedriveStatus: "REDRIVABLE",
	}
	if !d.Stopped.IsZero() {
		at := seconds(d.Stopped)
		x.Stopped = &at
	}
	if !d.Output.IsAbsent() {
		text := string(d.Output.JSON())
		x.Output, x.OutputDetails = &text, &included{true}
	}
	if d.Status == store.Running || d.Status == store.Succeeded {
		x.RedriveStatus, x.RedriveReason = "NOT_REDRIVABLE", "Execution is "+x.Status+" and cannot be redriven"
	}
	return x, nil
}

// lookUp describes the execution that a request names.
func (s *Server) lookUp(ctx context.Context, body []byte) (*engine.Description, store.Key, error) {
	var r executionRequest
	if err := decode(body, &r); err != nil {
		return nil, store.Key{}, err
	}
	k, err := s.execution(r.ARN)
	if err != nil {
		return nil, k, err
	}
	d, err := s.o.Engine.Describe(ctx, k)
	return d, k, found(err, r.ARN)
}

func (s *Server) describeStateMachineForExecution(ctx context.Context, body []byte) (any, error) {
	d, k, err := s.lookUp(ctx, body)
	if err != nil {
		return nil, err
	}
	text, err := s.o.Store.Definition(ctx, d.Start.Revision)
	if err != nil {
		return nil, err
	}
	// What was updated since shows the time it had when the execution started.
	at := seconds(d.Started)
	x := description{ARN: d.Start.MachineARN, Name: d.Start.MachineName, Definition: text, RoleARN: d.Start.RoleARN, Updated: &at,
		Logging: json.RawMessage(`{"level":"OFF","includeExecutionData":false}`)}
	if m, err := s.o.Store.Machine(k.Machine); err == nil {
		x.Logging, x.Tracing = m.Logging, tracingConfiguration{m.Tracing}
		if m.Definition == d.Start.Revision {
			at = seconds(m.Updated)
			x.Revision = m.RevisionID
		}
	}
	return x, nil
}

type stopRequest struct {
	ARN   string  `json:"executionArn"`
	Error *string `json:"error"`
	Cause *string `json:"cause"`
}

const (
	maxError = 256
	maxCause = 32768
)

// limits bounds the texts of a failure.
func (c *constraints) failure(name, cause *string) {
	if name != nil {
		c.length(*name, "error", 0, maxError)
	}
	if cause != nil {
		c.length(*cause, "cause", 0, maxCause)
	}
}

func (s *Server) stopExecution(_ context.Context, body []byte) (any, error) {
	var r stopRequest
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	var c constraints
	c.failure(r.Error, r.Cause)
	if err := c.err(); err != nil {
		return nil, err
	}
	k, err := s.execution(r.ARN)
	if err != nil {
		return nil, err
	}
	at, err := s.o.Engine.Stop(k, r.Error, r.Cause)
	if err != nil {
		return nil, found(err, r.ARN)
	}
	return struct {
		At seconds `json:"stopDate"`
	}{seconds(at)}, nil
}

type listRequest struct {
	pageRequest
	ARN    string `json:"stateMachineArn"`
	Status string `json:"statusFilter"`
}

type executionItem struct {
	ARN          string   `json:"executionArn"`
	MachineARN   string   `json:"stateMachineArn"`
	Name         string   `json:"name"`
	Status       string   `json:"status"`
	Started      seconds  `json:"startDate"`
	Stopped      *seconds `json:"stopDate,omitempty"`
	RedriveCount int      `json:"redriveCount"`
}

type executionPage struct {
	Executions []executionItem `json:"executions"`
	NextToken  string          `json:"nextToken,omitempty"`
}

func (s *Server) listExecutions(_ context.Context, body []byte) (any, error) {
	var r listRequest
	var c constraints
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	status, known := store.ParseStatus(r.Status)
	if r.Status != "" && !known {
		c.oneOf(r.Status, "statusFilter", "SUCCEEDED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "FAILED", "RUNNING")
	}
	if err := r.check(&c, 3096); err != nil {
		return nil, err
	}
	m, err := s.machine(r.ARN)
	if err != nil {
		return nil, err
	}
	if m.Type != "STANDARD" {
		return nil, unsupportedType()
	}
	before, err := position("executions", r.NextToken)
	if err != nil {
		return nil, err
	}
	page := executionPage{Executions: []executionItem{}}
	if r.Status == "PENDING_REDRIVE" {
		return page, nil
	}
	all := s.o.Store.List(store.Query{Machine: m.Name, Status: status, Before: before, Limit: r.MaxResults + 1})
	if len(all) > r.MaxResults {
		all = all[:r.MaxResults]
		page.NextToken = token("executions", all[len(all)-1].First)
	}
	for _, e := range all {
		item := executionItem{ARN: s.o.Engine.ARN(e.Key), MachineARN: s.o.Engine.MachineARN(m.Name), Name: e.Name, Status: e.Status.String(), Started: seconds(e.Started)}
		if !e.Stopped.IsZero() {
			at := seconds(e.Stopped)
			item.Stopped = &at
		}
		page.Executions = append(page.Executions, item)
	}
	return page, nil
}

type historyRequest struct {
	pageRequest
	ARN     string `json:"executionArn"`
	Reverse bool   `json:"reverseOrder"`
	Data    *bool  `json:"includeExecutionData"`
}

// historyBytes bounds a page of history, whatever its number of events.
const historyBytes = 4 << 20

func (s *Server) getExecutionHistory(ctx context.Context, body []byte) (any, error) {
	var r historyRequest
	var c constraints
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	if err := r.check(&c, 1024); err != nil {
		return nil, err
	}
	k, err := s.execution(r.ARN)
	if err != nil {
		return nil, err
	}
	at, err := index("history", r.NextToken)
	if err != nil {
		return nil, err
	}
	events, err := s.o.Engine.History(ctx, k)
	if err != nil {
		return nil, found(err, r.ARN)
	}
	data := r.Data == nil || *r.Data
	b := []byte(`{"events":[`)
	n := 0
	for ; at < len(events) && n < r.MaxResults && len(b) < historyBytes; at++ {
		if n++; n > 1 {
			b = append(b, ',')
		}
		i := at
		if r.Reverse {
			i = len(events) - 1 - at
		}
		b = events[i].AppendJSON(b, data)
	}
	b = append(b, ']')
	if at < len(events) {
		b = append(b, `,"nextToken":"`...)
		b = append(b, token("history", uint64(at))...) //nolint:gosec // not negative
		b = append(b, '"')
	}
	return json.RawMessage(append(b, '}')), nil
}
