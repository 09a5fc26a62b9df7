package template

import (
	"context"
	"encoding/json"
	"fmt"

	"callfleet/internal/call"
)

// References are how params get what they refer to.
type References interface {
	// Resolve replaces the references among params by what they stand for, but
	// not that of the param named except. The error is a *call.Failure, or the
	// cause of ctx.
	Resolve(ctx context.Context, params json.RawMessage, except string) (json.RawMessage, error)
}

// payloadRef reads the name of the param that refers to the body.
func (p *parser) payloadRef(t *Template, attributes *attribute) {
	t.bodyOf = p.text(attributes, "payloadRef", false)
	if t.bodyOf != "" && t.payload != nil {
		p.errorf("payloadRef", "is there besides payload: a request has one body")
	}
}

// resolve gets what params refer to, and the reference to the body.
func (r *Renderer) resolve(ctx context.Context, t *Template, params json.RawMessage) (json.RawMessage, *call.BlobRef, error) {
	var body *call.BlobRef
	if t.bodyOf != "" {
		ref, err := bodyRef(params, t.bodyOf)
		if err != nil {
			return nil, nil, problem("payloadRef", err.Error())
		}
		body = &ref
	}
	if r.options.References == nil || !call.MayHoldRef(params) {
		return params, body, nil
	}
	params, err := r.options.References.Resolve(ctx, params, t.bodyOf)
	return params, body, err
}

func bodyRef(params json.RawMessage, name string) (call.BlobRef, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(params, &members); err != nil {
		return call.BlobRef{}, fmt.Errorf("params: must be a JSON object")
	}
	if members[name] == nil {
		return call.BlobRef{}, fmt.Errorf("there is no param %q", name)
	}
	ref, ok, err := call.DecodeRef(members[name])
	switch {
	case err != nil:
		return ref, fmt.Errorf("param %q: %w", name, err)
	case !ok:
		return ref, fmt.Errorf("param %q is no reference: give it a file, as in %s=@file, or the bodyRef of another call as {\"$ref\": …}", name, name)
	case !validHeaderValue(ref.ContentType):
		return ref, fmt.Errorf("param %q: $ref: contentType: is no header value", name)
	}
	return ref, nil
}
