package itemjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Templates are written by hand as plain JSON, one to a file:
//
//	{"name": "create-user", "method": "POST", "url": "https://…",
//	 "headers": {"Accept": "application/json"},
//	 "payload": {"name": "{{ name }}"}, "timeoutSeconds": 10,
//	 "retry": {"maxAttempts": 3, "maxDelaySeconds": 20}}
//
// name and method are the item's PK and SK; all else has the item's names.

// FromPlain makes a DynamoDB item of a plain template. What is a DynamoDB item
// already passes as it is. The item is not checked further: Parse does that.
func FromPlain(data []byte) (json.RawMessage, error) {
	if len(data) > 2*MaxBytes {
		return nil, fmt.Errorf("read template: has %d bytes, at most %d are allowed", len(data), 2*MaxBytes)
	}
	if !json.Valid(data) {
		return nil, fmt.Errorf("read template: %w", notJSONAt(data))
	}
	top, err := decodePlain(json.RawMessage(data), 0)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	if top.Kind != "M" {
		return nil, errors.New("read template: must be a JSON object")
	}
	if top.Get("PK") != nil {
		return bytes.TrimSpace(data), nil
	}
	item := &Attribute{Kind: "M"}
	for _, key := range []struct{ plain, item string }{{"name", "PK"}, {"method", "SK"}} {
		v := top.Get(key.plain)
		if v == nil {
			return nil, fmt.Errorf("read template: %s: is missing", key.plain)
		}
		item.Members = append(item.Members, Member{key.item, v})
	}
	for _, m := range top.Members {
		switch m.Name {
		case "name", "method":
		case "PK", "SK":
			return nil, fmt.Errorf("read template: %s: belongs to a DynamoDB item, a plain template has name and method", m.Name)
		default:
			item.Members = append(item.Members, m)
		}
	}
	return item.appendMembers(nil), nil
}

func notJSONAt(data []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(data, &v)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := data[:min(int(syntax.Offset), len(data))]
		return fmt.Errorf("line %d: %w", 1+bytes.Count(before, []byte("\n")), err)
	}
	return errors.New("is not JSON")
}

// decodePlain gives each JSON value its DynamoDB type.
func decodePlain(data json.RawMessage, depth int) (*Attribute, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("is nested more than %d deep", maxDepth)
	}
	data = bytes.TrimSpace(data)
	switch data[0] {
	case '"':
		a := &Attribute{Kind: "S"}
		return a, json.Unmarshal(data, &a.Text)
	case 't', 'f':
		return &Attribute{Kind: "BOOL", Text: string(data)}, nil
	case 'n':
		return &Attribute{Kind: "NULL", Text: "true"}, nil
	case '[':
		return decodePlainList(data, depth)
	case '{':
		a := &Attribute{Kind: "M"}
		return a, EachMember(data, func(name string, value json.RawMessage) error {
			v, err := decodePlain(value, depth+1)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			a.Members = append(a.Members, Member{name, v})
			return nil
		})
	}
	return &Attribute{Kind: "N", Text: string(data)}, nil
}

func decodePlainList(data json.RawMessage, depth int) (*Attribute, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	a := &Attribute{Kind: "L"}
	for i, item := range list {
		v, err := decodePlain(item, depth+1)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		a.Items = append(a.Items, v)
	}
	return a, nil
}

// ToPlain makes a plain template of a DynamoDB item, indented, with a newline
// at its end. Binary attributes and sets have no plain form.
func ToPlain(item json.RawMessage) ([]byte, error) {
	a, err := Decode(item)
	if err != nil {
		return nil, fmt.Errorf("write template: %w", err)
	}
	for _, key := range []string{"PK", "SK"} {
		if a.Get(key) == nil {
			return nil, fmt.Errorf("write template: %s: is missing", key)
		}
	}
	b := []byte{'{'}
	for _, m := range a.Members {
		name := m.Name
		switch name {
		case "PK":
			name = "name"
		case "SK":
			name = "method"
		case "name", "method":
			return nil, fmt.Errorf("write template: attribute %s has no plain form", name)
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(AppendString(b, name), ':')
		if b, err = m.Value.AppendPlain(b); err != nil {
			return nil, fmt.Errorf("write template: %s: %w", m.Name, err)
		}
	}
	var out bytes.Buffer
	if err := json.Indent(&out, append(b, '}'), "", "  "); err != nil {
		return nil, fmt.Errorf("write template: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// AppendPlain writes the attribute as plain JSON.
func (a *Attribute) AppendPlain(b []byte) ([]byte, error) {
	var err error
	switch a.Kind {
	case "S":
		return AppendString(b, a.Text), nil
	case "N", "BOOL":
		return append(b, a.Text...), nil
	case "NULL":
		return append(b, "null"...), nil
	case "M":
		b = append(b, '{')
		for i, m := range a.Members {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = m.Value.AppendPlain(append(AppendString(b, m.Name), ':')); err != nil {
				return nil, fmt.Errorf("%s: %w", m.Name, err)
			}
		}
		return append(b, '}'), nil
	case "L":
		b = append(b, '[')
		for i, item := range a.Items {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = item.AppendPlain(b); err != nil {
				return nil, fmt.Errorf("%d: %w", i, err)
			}
		}
		return append(b, ']'), nil
	}
	return nil, fmt.Errorf("type %s has no plain form", a.Kind)
}
