package template

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"callfleet/internal/call"
	"callfleet/internal/template/itemjson"
)

// References are how params get what they refer to.
type References interface {
	// Resolve replaces the references among params by what they stand for, but
	// not those of the params named except. The error is a *call.Failure, or the
	// cause of ctx.
	Resolve(ctx context.Context, params json.RawMessage, except []string) (json.RawMessage, error)
}

// payloadRef reads the name of the param that refers to the body.
func (p *parser) payloadRef(t *Template, attributes *itemjson.Attribute) {
	t.bodyOf = p.text(attributes, "payloadRef", false)
	if t.bodyOf != "" && (t.payload != nil || t.fields != nil) {
		p.errorf("payloadRef", "is there besides payload: a request has one body")
	}
}

// resolve gets what params refer to, and the body of a template with payloadRef:
// a reference, or a text as it is.
func (r *Renderer) resolve(ctx context.Context, t *Template, params json.RawMessage, out *call.Rendered) (json.RawMessage, error) {
	if t.bodyOf != "" {
		if err := bodyOf(params, t.bodyOf, out); err != nil {
			return nil, problem("payloadRef", err.Error())
		}
		if kind := bodyType(out); t.ContentType == "" && kind != "" {
			out.Header = append(out.Header, call.Header{Name: "Content-Type", Value: kind})
		}
	}
	if r.options.References == nil || !call.MayHoldRef(params) {
		return params, nil
	}
	except := []string{t.bodyOf}
	if t.fields != nil {
		except = t.fields.Refs()
	}
	return r.options.References.Resolve(ctx, params, except)
}

func bodyType(r *call.Rendered) string {
	if r.BodyRef != nil {
		return r.BodyRef.ContentType
	}
	return "text/plain; charset=utf-8"
}

func bodyOf(params json.RawMessage, name string, out *call.Rendered) (err error) {
	out.Body, out.BodyRef, err = paramBody(params, name)
	return err
}

// paramBody is a param that is sent as it is: a text, or what it refers to.
func paramBody(params json.RawMessage, name string) ([]byte, *call.BlobRef, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(params, &members); err != nil {
		return nil, nil, errors.New("params: must be a JSON object")
	}
	value := members[name]
	if value == nil {
		return nil, nil, fmt.Errorf("there is no param %q", name)
	}
	ref, ok, err := call.DecodeRef(value)
	switch {
	case value[0] == '"':
		var text string
		err = json.Unmarshal(value, &text)
		return []byte(text), nil, err
	case err != nil:
		return nil, nil, fmt.Errorf("param %q: %w", name, err)
	case !ok:
		return nil, nil, fmt.Errorf("param %q is neither a text nor a reference: give it a file, as in %s=@file, or the bodyRef of another call as {\"$ref\": …}", name, name)
	case !validHeaderValue(ref.ContentType):
		return nil, nil, fmt.Errorf("param %q: $ref: contentType: is no header value", name)
	}
	return nil, &ref, nil
}
