package producer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"callfleet/internal/call"
	"callfleet/internal/queue"
	"callfleet/internal/template/store"
	"callfleet/internal/template/version"
)

// Workflow publishes requests: each becomes an execution of the call state
// machine.
type Workflow struct{}

var _ Encoder = Workflow{}

// Destination is "requests".
func (Workflow) Destination() string { return "requests" }

// Encode is the request as JSON.
func (Workflow) Encode(_ context.Context, r call.Request) (queue.Message, error) {
	body, err := call.EncodeRequest(r)
	if err == nil && len(body) > call.MaxInputBytes {
		err = fmt.Errorf("has %d bytes, an execution takes %d", len(body), call.MaxInputBytes)
	}
	if err != nil {
		return queue.Message{}, &call.Failure{Name: BadInput, Cause: err.Error()}
	}
	return queue.Message{ID: r.ID, Group: r.FlowKey, Body: body, Headers: headers(r.Trace)}, nil
}

// headers carry the trace for who reads messages without their bodies. It is
// in the body, too: Step Functions passes no headers on.
func headers(t *call.Trace) map[string]string {
	if t == nil || t.Parent == "" {
		return nil
	}
	h := map[string]string{"traceparent": t.Parent}
	if t.State != "" {
		h["tracestate"] = t.State
	}
	return h
}

// Templates is where Direct looks templates up; every template store is one.
type Templates interface {
	Get(ctx context.Context, k store.Key) (store.Item, error)
	version.Lister
}

// keyOf is where the template of a request is, or the version that it pins.
func keyOf(r call.Request) store.Key {
	return store.Key{Name: r.Template, Method: r.Method}.At(r.Version)
}

// notFound fails a call whose template, or whose version of it, is not there.
func notFound(ctx context.Context, t Templates, k store.Key) error {
	template, pinned := k.Cut()
	if pinned == 0 {
		return &call.Failure{Name: call.TemplateNotFound,
			Cause: fmt.Sprintf("no template %s: put it there with \"producer template put\"", k)}
	}
	err := version.Unknown(ctx, t, template, pinned)
	if _, ok := errors.AsType[*version.UnknownError](err); ok {
		return &call.Failure{Name: call.TemplateNotFound, Cause: err.Error()}
	}
	return err
}

// maxTemplates bounds what Direct remembers; beyond it starts anew.
const maxTemplates = 1024

// Direct publishes tasks with their template: no execution is started, the
// worker takes the call at once.
type Direct struct {
	templates Templates
	mu        sync.Mutex
	found     map[store.Key]json.RawMessage // guarded by mu; nil: not there
}

var _ Encoder = (*Direct)(nil)

// NewDirect makes an Encoder that looks every template up once.
func NewDirect(t Templates) *Direct {
	return &Direct{templates: t, found: map[store.Key]json.RawMessage{}}
}

// Destination is "tasks".
func (*Direct) Destination() string { return "tasks" }

// Encode is the task as JSON.
func (d *Direct) Encode(ctx context.Context, r call.Request) (queue.Message, error) {
	item, err := d.template(ctx, keyOf(r))
	if err != nil {
		return queue.Message{}, err
	}
	body, err := call.EncodeTask(call.Task{
		ID: r.ID, Template: item, Params: r.Params, FlowKey: r.FlowKey, Deadline: r.Deadline, Trace: r.Trace,
	})
	if err != nil {
		return queue.Message{}, &call.Failure{Name: BadInput, Cause: err.Error()}
	}
	return queue.Message{ID: r.ID, Group: r.FlowKey, Body: body, Headers: headers(r.Trace)}, nil
}

func (d *Direct) template(ctx context.Context, k store.Key) (json.RawMessage, error) {
	d.mu.Lock()
	attributes, known := d.found[k]
	d.mu.Unlock()
	if !known {
		item, err := d.templates.Get(ctx, k)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("get template %s: %w", k, err)
		}
		if err == nil {
			attributes = item.Attributes
		}
		d.mu.Lock()
		if len(d.found) >= maxTemplates {
			clear(d.found)
		}
		d.found[k] = attributes
		d.mu.Unlock()
	}
	if attributes == nil {
		return nil, notFound(ctx, d.templates, k)
	}
	return attributes, nil
}
