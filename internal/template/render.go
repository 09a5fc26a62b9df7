package template

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"callfleet/internal/call"
	"callfleet/internal/template/body"
	"callfleet/internal/template/itemjson"
	"callfleet/internal/template/sandbox"
)

// rendering is one use of a template.
type rendering struct {
	run     *sandbox.Run
	scratch []byte // what texts are made in
	params  int    // bytes
}

func (r *Renderer) render(ctx context.Context, t *Template, params json.RawMessage) (call.Rendered, error) {
	out := call.Rendered{Method: t.Method, Timeout: t.Timeout, Retry: t.Retry, Secrets: t.secrets, Response: t.response}
	params, err := r.resolve(ctx, t, params, &out)
	if err != nil {
		return call.Rendered{}, err
	}
	if err := t.breach(params); err != nil { // after resolve: the schema is about what references stand for
		return call.Rendered{}, problem("params", err.Error())
	}
	values, err := sandbox.ParseParams(params)
	if err != nil {
		return call.Rendered{}, problem("params", err.Error())
	}
	x := rendering{run: sandbox.NewRun(ctx, values, r.limits()), params: len(params)}
	if out.URL, err = x.url(t); err != nil {
		return call.Rendered{}, err
	}
	if out.Flow, err = x.flow(t); err != nil {
		return call.Rendered{}, err
	}
	headers, err := x.headers(t)
	if err != nil {
		return call.Rendered{}, err
	}
	out.Header = append(headers, out.Header...)
	if t.fields != nil {
		if err := x.fields(t, params, &out); err != nil {
			return call.Rendered{}, err
		}
	}
	if t.payload != nil {
		if out.Body, err = x.body(t.payload); err != nil {
			return call.Rendered{}, err
		}
	}
	if out.Auth, err = x.auth(t); err != nil {
		return call.Rendered{}, err
	}
	return out, nil
}

// append runs a program, and says which attribute it is from when it fails.
func (x *rendering) append(buf []byte, attribute string, p *sandbox.Program) ([]byte, error) {
	buf, err := x.run.Append(buf, p)
	if err == nil {
		return buf, nil
	}
	if e, ok := errors.AsType[*sandbox.Error](err); ok {
		return nil, &problemError{problemOf(attribute, e)}
	}
	return nil, err // the caller's context ended
}

func (x *rendering) text(attribute string, p *sandbox.Program) (string, error) {
	if text, ok := p.Static(); ok {
		return text, nil
	}
	b, err := x.append(x.scratch[:0], attribute, p)
	if err != nil {
		return "", err
	}
	x.scratch = b
	return string(b), nil
}

func (x *rendering) url(t *Template) (string, error) {
	text, err := x.text("url", t.url)
	if err != nil {
		return "", err
	}
	url, err := checkURL(text)
	if err != nil {
		return "", problem("url", err.Error())
	}
	return url, nil
}

// flow is "" when the template names none.
func (x *rendering) flow(t *Template) (string, error) {
	if t.flow == nil {
		return "", nil
	}
	key, err := x.text("flow", t.flow)
	if err != nil {
		return "", err
	}
	if err := call.ValidateFlowKey(key); err != nil {
		return "", problem("flow", err.Error())
	}
	return key, nil
}

func (x *rendering) headers(t *Template) ([]call.Header, error) {
	list := make([]call.Header, 0, len(t.headers))
	size := 0
	for _, h := range t.headers {
		value, err := x.text(h.attribute, h.value)
		if err != nil {
			return nil, err
		}
		if !validHeaderValue(value) {
			return nil, problem(h.attribute, "holds a line break or another control character")
		}
		if _, static := h.value.Static(); !static && strings.Trim(value, " \t") != value {
			return nil, problem(h.attribute, "begins or ends with white space, which HTTP takes away: write |trim")
		}
		if size += len(h.name) + len(value); size > maxHeaderBytes {
			return nil, problem("headers", fmt.Sprintf("have more than %d bytes", maxHeaderBytes))
		}
		list = append(list, call.Header{Name: h.name, Value: value})
	}
	return list, nil
}

func (x *rendering) body(p *payload) ([]byte, error) {
	var body []byte
	var err error
	if p.root == nil {
		body, err = x.append(make([]byte, 0, p.text.Size()+min(x.params, 4096)), "payload", p.text)
	} else {
		body, err = x.structure(p.root)
	}
	if err != nil {
		return nil, err
	}
	if p.json && !json.Valid(body) {
		return nil, notJSON(body)
	}
	return body, nil
}

// fieldValues are what package body makes the fields of.
type fieldValues struct {
	*rendering
	params json.RawMessage
}

var _ body.Values = fieldValues{}

// Text implements body.Values.
func (v fieldValues) Text(attribute string, p *sandbox.Program) (string, error) {
	return v.text(attribute, p)
}

// Param implements body.Values.
func (v fieldValues) Param(name string) ([]byte, *call.BlobRef, error) {
	return paramBody(v.params, name)
}

func (x *rendering) fields(t *Template, params json.RawMessage, out *call.Rendered) error {
	b, err := t.fields.Render(fieldValues{x, params})
	if wrong, ok := errors.AsType[*body.Problem](err); ok {
		return problem(wrong.Attribute, wrong.Message)
	}
	if err != nil {
		return err
	}
	out.Body, out.Inserts = b.Bytes, b.Inserts
	for i, h := range out.Header {
		if b.Boundary != "" && strings.EqualFold(h.Name, "Content-Type") {
			out.Header[i].Value += "; boundary=" + b.Boundary
		}
	}
	return nil
}

func (x *rendering) structure(l *leaf) ([]byte, error) {
	var body []byte
	for ; l != nil; l = l.next {
		body = append(body, l.before...)
		switch {
		case l.program == nil:
		case l.program.IsJSONValue():
			var err error
			if body, err = x.append(body, l.attribute, l.program); err != nil {
				return nil, err
			}
		default:
			text, err := x.text(l.attribute, l.program)
			if err != nil {
				return nil, err
			}
			body = itemjson.AppendString(body, text)
		}
	}
	return body, nil
}

// notJSON says where a body stops being JSON, without showing it.
func notJSON(body []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(body, &v)
	offset := int64(len(body))
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = syntax.Offset
	}
	line, column := 1, 1
	for _, c := range body[:max(0, min(int(offset)-1, len(body)))] {
		if column++; c == '\n' {
			line, column = line+1, 1
		}
	}
	return problem("payload", fmt.Sprintf("is not JSON when rendered, from line %d column %d of the output on", line, column))
}
