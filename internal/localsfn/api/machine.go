package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"callfleet/internal/localsfn/store"
)

// maxDefinition is the size of a definition (AWS: 1 MiB).
const maxDefinition = 1 << 20

// loggingConfiguration is kept and shown; nothing is logged to CloudWatch.
type loggingConfiguration struct {
	Level                string             `json:"level"`
	IncludeExecutionData bool               `json:"includeExecutionData"`
	Destinations         *[]json.RawMessage `json:"destinations,omitempty"` // [] is shown, nothing is not
}

type tracingConfiguration struct {
	Enabled bool `json:"enabled"`
}

// check completes the configuration.
func (l *loggingConfiguration) check() error {
	if l.Level == "" {
		l.Level = "OFF"
	}
	var c constraints
	c.oneOf(l.Level, "loggingConfiguration.level", "ALL", "ERROR", "FATAL", "OFF")
	if err := c.err(); err != nil {
		return err
	}
	if l.Level != "OFF" && (l.Destinations == nil || len(*l.Destinations) != 1) {
		return &apiError{kind: "InvalidLoggingConfiguration", message: "Invalid Logging Configuration: Must specify exactly one Log Destination."}
	}
	return nil
}

type createRequest struct {
	Name       string                `json:"name"`
	Definition *string               `json:"definition"`
	RoleARN    *string               `json:"roleArn"`
	Type       string                `json:"type"`
	Logging    *loggingConfiguration `json:"loggingConfiguration"`
	Tracing    *tracingConfiguration `json:"tracingConfiguration"`
}

func (r *createRequest) check() error {
	if r.Type == "" {
		r.Type = "STANDARD"
	}
	var c constraints
	c.required(r.Name == "", "name")
	c.required(r.Definition == nil, "definition")
	c.required(r.RoleARN == nil, "roleArn")
	c.length(r.Name, "name", 0, maxName)
	if r.Definition != nil && len(*r.Definition) > maxDefinition {
		c.length(*r.Definition, "definition", 1, maxDefinition)
	}
	c.oneOf(r.Type, "type", "STANDARD", "EXPRESS")
	if err := c.err(); err != nil {
		return err
	}
	if r.Logging == nil {
		r.Logging = &loggingConfiguration{}
	}
	if r.Tracing == nil {
		r.Tracing = &tracingConfiguration{}
	}
	for _, err := range []error{checkName(r.Name), checkRole(*r.RoleARN), r.Logging.check()} {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkRole(arn string) error {
	if !strings.HasPrefix(arn, "arn:") {
		return &apiError{kind: "InvalidArn", message: "Invalid Role Arn: '" + arn + "'"}
	}
	return nil
}

type created struct {
	ARN     string  `json:"stateMachineArn"`
	Created seconds `json:"creationDate"`
}

func (s *Server) createStateMachine(ctx context.Context, body []byte) (any, error) {
	var r createRequest
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if err := s.checkDefinition(*r.Definition, r.Type); err != nil {
		return nil, err
	}
	id, err := s.o.Store.PutDefinition(ctx, *r.Definition)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	m := store.Machine{Name: r.Name, Type: r.Type, RoleARN: *r.RoleARN, Definition: id, Created: now, Updated: now, Tracing: r.Tracing.Enabled}
	if m.Logging, err = json.Marshal(r.Logging); err != nil {
		return nil, err
	}
	err = s.o.Store.CreateMachine(ctx, m)
	if errors.Is(err, store.ErrConflict) {
		return s.alreadyCreated(m)
	}
	if err != nil {
		return nil, err
	}
	return created{s.o.Engine.MachineARN(m.Name), seconds(m.Created)}, nil
}

// alreadyCreated answers a creation under a name that is taken: like the first
// time if nothing differs, whatever the role.
func (s *Server) alreadyCreated(m store.Machine) (any, error) {
	was, err := s.o.Store.Machine(m.Name)
	if err == nil && was.Type == m.Type && was.Definition == m.Definition && string(was.Logging) == string(m.Logging) && was.Tracing == m.Tracing {
		return created{s.o.Engine.MachineARN(m.Name), seconds(was.Created)}, nil
	}
	return nil, &apiError{kind: "StateMachineAlreadyExists", message: "State Machine Already Exists: '" + s.o.Engine.MachineARN(m.Name) + "'"}
}

// description is a state machine as it is shown.
type description struct {
	ARN        string               `json:"stateMachineArn"`
	Name       string               `json:"name"`
	Status     string               `json:"status,omitempty"`
	Definition string               `json:"definition"`
	RoleARN    string               `json:"roleArn"`
	Type       string               `json:"type,omitempty"`
	Created    *seconds             `json:"creationDate,omitempty"`
	Updated    *seconds             `json:"updateDate,omitempty"`
	Logging    json.RawMessage      `json:"loggingConfiguration"`
	Tracing    tracingConfiguration `json:"tracingConfiguration"`
	Revision   string               `json:"revisionId,omitempty"`
}

type machineRequest struct {
	ARN string `json:"stateMachineArn"`
}

func (s *Server) describeStateMachine(ctx context.Context, body []byte) (any, error) {
	var r machineRequest
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	m, err := s.machine(r.ARN)
	if err != nil {
		return nil, err
	}
	text, err := s.o.Store.Definition(ctx, m.Definition)
	if err != nil {
		return nil, err
	}
	at := seconds(m.Created)
	return description{
		ARN: s.o.Engine.MachineARN(m.Name), Name: m.Name, Status: "ACTIVE", Definition: text, RoleARN: m.RoleARN, Type: m.Type,
		Created: &at, Logging: m.Logging, Tracing: tracingConfiguration{m.Tracing}, Revision: m.RevisionID,
	}, nil
}

type updateRequest struct {
	ARN        string                `json:"stateMachineArn"`
	Definition *string               `json:"definition"`
	RoleARN    *string               `json:"roleArn"`
	Logging    *loggingConfiguration `json:"loggingConfiguration"`
	Tracing    *tracingConfiguration `json:"tracingConfiguration"`
}

type updated struct {
	Updated  seconds `json:"updateDate"`
	Revision string  `json:"revisionId"`
}

func (s *Server) updateStateMachine(ctx context.Context, body []byte) (any, error) {
	var r updateRequest
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	if r.Definition == nil && r.RoleARN == nil && r.Logging == nil && r.Tracing == nil {
		return nil, &apiError{kind: "MissingRequiredParameter", message: "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be specified"}
	}
	m, err := s.machine(r.ARN)
	if err != nil {
		return nil, err
	}
	was := m
	if err := s.change(ctx, &m, &r); err != nil {
		return nil, err
	}
	same := m.Definition == was.Definition && m.RoleARN == was.RoleARN && string(m.Logging) == string(was.Logging) && m.Tracing == was.Tracing
	if same && m.RevisionID != "" {
		return updated{seconds(m.Updated), m.RevisionID}, nil
	}
	m.Updated, m.RevisionID = time.Now().UTC().Truncate(time.Millisecond), newID()
	err = s.o.Store.UpdateMachine(ctx, m)
	if errors.Is(err, store.ErrConflict) {
		return nil, &apiError{kind: "ConflictException", message: "the state machine is being updated by somebody else"}
	}
	if err != nil {
		return nil, err
	}
	return updated{seconds(m.Updated), m.RevisionID}, nil
}

// change applies an update to a state machine.
func (s *Server) change(ctx context.Context, m *store.Machine, r *updateRequest) (err error) {
	if r.RoleARN != nil {
		if err := checkRole(*r.RoleARN); err != nil {
			return err
		}
		m.RoleARN = *r.RoleARN
	}
	if r.Logging != nil {
		if err := r.Logging.check(); err != nil {
			return err
		}
		if m.Logging, err = json.Marshal(r.Logging); err != nil {
			return err
		}
	}
	if r.Tracing != nil {
		m.Tracing = r.Tracing.Enabled
	}
	if r.Definition == nil {
		return nil
	}
	if err := s.checkDefinition(*r.Definition, m.Type); err != nil {
		return err
	}
	m.Definition, err = s.o.Store.PutDefinition(ctx, *r.Definition)
	return err
}

func (s *Server) deleteStateMachine(ctx context.Context, body []byte) (any, error) {
	var r machineRequest
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	name, known, err := s.machineName(r.ARN)
	if err == nil && known {
		err = s.o.Store.DeleteMachine(ctx, name)
	}
	return struct{}{}, err
}

type pageRequest struct {
	MaxResults int    `json:"maxResults"`
	NextToken  string `json:"nextToken"`
}

// check bounds a page; the token of a list may be so long.
func (p *pageRequest) check(c *constraints, longest int) error {
	c.pageSize(&p.MaxResults)
	if p.NextToken != "" {
		c.length(p.NextToken, "nextToken", 1, longest)
	}
	return c.err()
}

type machineItem struct {
	ARN     string  `json:"stateMachineArn"`
	Name    string  `json:"name"`
	Type    string  `json:"type"`
	Created seconds `json:"creationDate"`
}

type machinePage struct {
	Machines  []machineItem `json:"stateMachines"`
	NextToken string        `json:"nextToken,omitempty"`
}

func (s *Server) listStateMachines(_ context.Context, body []byte) (any, error) {
	var r pageRequest
	var c constraints
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	if err := r.check(&c, 1024); err != nil {
		return nil, err
	}
	from, err := index("machines", r.NextToken)
	if err != nil {
		return nil, err
	}
	all := s.o.Store.Machines()
	page := machinePage{Machines: []machineItem{}}
	all = all[min(from, len(all)):]
	if len(all) > r.MaxResults {
		all = all[:r.MaxResults]
		page.NextToken = token("machines", uint64(from+r.MaxResults)) //nolint:gosec // not negative
	}
	for _, m := range all {
		page.Machines = append(page.Machines, machineItem{s.o.Engine.MachineARN(m.Name), m.Name, m.Type, seconds(m.Created)})
	}
	return page, nil
}

// newID is a random UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
