package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// attribute is a DynamoDB attribute value, its members in the order they are
// written in.
type attribute struct {
	kind    string // S, N, BOOL, NULL, M, L; others are kept by name only
	text    string // of S and N; "true" or "false" of BOOL
	members []attributeMember
	items   []*attribute
}

type attributeMember struct {
	name  string
	value *attribute
}

// get finds a member of M; nil when there is none.
func (a *attribute) get(name string) *attribute {
	for _, m := range a.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// decodeItem reads {"name": {"S": "…"}, …} as an attribute of kind M.
func decodeItem(item json.RawMessage) (*attribute, error) {
	if len(bytes.TrimSpace(item)) == 0 {
		return nil, errors.New("is empty")
	}
	if !json.Valid(item) {
		return nil, errors.New("is not JSON")
	}
	members, err := decodeMembers(item, 0)
	if err != nil {
		return nil, err
	}
	return &attribute{kind: "M", members: members}, nil
}

func decodeMembers(data json.RawMessage, depth int) ([]attributeMember, error) {
	var list []attributeMember
	err := eachMember(data, func(name string, value json.RawMessage) error {
		a, err := decodeAttribute(value, depth+1)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, attributeMember{name, a})
		return nil
	})
	return list, err
}

// eachMember walks the members of a JSON object in their order.
func eachMember(data json.RawMessage, f func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(data))
	open, err := d.Token()
	if err != nil {
		return err
	}
	if open != json.Delim('{') {
		return errors.New("must be a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		name := key.(string)
		if seen[name] {
			return fmt.Errorf("%q is there twice", name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := f(name, value); err != nil {
			return err
		}
	}
	return nil
}

// kindName takes the names that Step Functions' AWS SDK integrations give to
// some types.
func kindName(kind string) string {
	switch kind {
	case "Bool":
		return "BOOL"
	case "Nul", "Null":
		return "NULL"
	}
	return kind
}

var errNotAttribute = errors.New(`is no DynamoDB attribute, which looks like {"S": "text"}`)

func decodeAttribute(data json.RawMessage, depth int) (*attribute, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("is nested more than %d deep", maxDepth)
	}
	a := &attribute{}
	err := eachMember(data, func(kind string, value json.RawMessage) error {
		if a.kind != "" {
			return errNotAttribute
		}
		a.kind = kindName(kind)
		return a.decode(value, depth)
	})
	if err != nil && (len(data) == 0 || data[0] != '{') || err == nil && a.kind == "" {
		return nil, errNotAttribute
	}
	return a, err
}

func (a *attribute) decode(value json.RawMessage, depth int) error {
	switch a.kind {
	case "S", "N":
		if err := json.Unmarshal(value, &a.text); err != nil || value[0] != '"' {
			return fmt.Errorf("type %s must hold a string", a.kind)
		}
		if a.kind == "N" && !validNumber(a.text) {
			return errors.New("a number (N) must hold the text of one")
		}
	case "BOOL", "NULL":
		var b bool
		if err := json.Unmarshal(value, &b); err != nil || value[0] == 'n' {
			return fmt.Errorf("type %s must hold true or false", a.kind)
		}
		a.text = strconv.FormatBool(b)
	case "M":
		members, err := decodeMembers(value, depth)
		a.members = members
		return err
	case "L":
		var list []json.RawMessage
		if err := json.Unmarshal(value, &list); err != nil || value[0] != '[' {
			return errors.New("a list (L) must hold an array")
		}
		for i, item := range list {
			v, err := decodeAttribute(item, depth+1)
			if err != nil {
				return fmt.Errorf("%d: %w", i, err)
			}
			a.items = append(a.items, v)
		}
	case "B", "SS", "NS", "BS":
	default:
		return errNotAttribute
	}
	return nil
}

// appendJSON writes the attribute as DynamoDB JSON.
func (a *attribute) appendJSON(b []byte) []byte {
	b = append(b, '{', '"')
	b = append(b, a.kind...)
	b = append(b, '"', ':')
	switch a.kind {
	case "S", "N":
		b = appendString(b, a.text)
	case "BOOL", "NULL":
		b = append(b, a.text...)
	case "M":
		b = a.appendMembers(b)
	case "L":
		b = append(b, '[')
		for i, item := range a.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.appendJSON(b)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func (a *attribute) appendMembers(b []byte) []byte {
	b = append(b, '{')
	for i, m := range a.members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, m.name), ':')
		b = m.value.appendJSON(b)
	}
	return append(b, '}')
}

// appendString writes a JSON string, without escaping for HTML.
func appendString(b []byte, s string) []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always has JSON
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// validNumber accepts what JSON accepts.
func validNumber(s string) bool {
	return s != "" && (s[0] == '-' || '0' <= s[0] && s[0] <= '9') && json.Valid([]byte(s))
}

// wholeNumber reads 30 and 30.0.
func wholeNumber(s string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSuffix(s, ".0"))
	return n, err == nil
}
