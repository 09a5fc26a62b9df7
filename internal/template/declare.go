package template

import (
	"encoding/json"
	"fmt"

	"callfleet/internal/call"
	"callfleet/internal/template/itemjson"
	"callfleet/internal/template/schema"
)

// declared reads the schema of the params, and the example.
func (p *parser) declared(t *Template, attributes *itemjson.Attribute) {
	if text := p.object(attributes, "params"); text != nil {
		var err error
		if t.schema, err = schema.Compile(text); err != nil {
			p.errorf("params", "%v", err)
		}
	}
	t.example = p.object(attributes, "example")
}

// Example is the params to try the template with, nil when it has none.
func (t *Template) Example() json.RawMessage { return t.example }

// object reads an attribute of type M as the JSON object it stands for.
func (p *parser) object(attributes *itemjson.Attribute, name string) json.RawMessage {
	a := attributes.Get(name)
	if a == nil || a.Kind == "NULL" {
		return nil
	}
	if a.Kind != "M" {
		p.errorf(name, "must be a map (M), is %s", a.Kind)
		return nil
	}
	text, err := a.AppendPlain(nil)
	if err != nil {
		p.errorf(name, "%v", err)
		return nil
	}
	return text
}

// CheckParams checks params against the schema that the template declares, if
// it does: what is a reference counts as there, whatever it stands for. The
// error shows no value of a param.
func (t *Template) CheckParams(params json.RawMessage) error {
	if err := t.breach(params); err != nil {
		return fmt.Errorf("template %s %s: params: %w", t.Name, t.Method, err)
	}
	return nil
}

func (t *Template) breach(params json.RawMessage) error {
	if t.schema == nil {
		return nil
	}
	return t.schema.Validate(params, references(params))
}

// references are the names of the params that are references.
func references(params json.RawMessage) []string {
	var names []string
	if !call.MayHoldRef(params) {
		return nil
	}
	_, _ = call.MapMembers(params, func(name string, value json.RawMessage) (json.RawMessage, error) {
		if _, ok, err := call.DecodeRef(value); ok && err == nil {
			names = append(names, name)
		}
		return nil, nil
	}) // who parses the params says what is wrong with them
	return names
}
