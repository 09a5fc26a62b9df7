// Package itemjson reads and writes templates as data: as DynamoDB items, which is
// how they are stored, and as the plain JSON in which they are written by hand.
package itemjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// MaxBytes bounds an item: DynamoDB's own bound.
	MaxBytes = 400 << 10
	maxDepth = 64
)

// Attribute is a DynamoDB attribute value, its members in the order they are
// written in.
type Attribute struct {
	Kind    string // S, N, BOOL, NULL, M, L; others are kept by name only
	Text    string // of S and N; "true" or "false" of BOOL
	Members []Member
	Items   []*Attribute
}

// Member is one member of an M.
type Member struct {
	Name  string
	Value *Attribute
}

// Get finds a member of M; nil when there is none.
func (a *Attribute) Get(name string) *Attribute {
	for _, m := range a.Members {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// Decode reads {"name": {"S": "…"}, …} as an attribute of kind M.
func Decode(item json.RawMessage) (*Attribute, error) {
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
	return &Attribute{Kind: "M", Members: members}, nil
}

func decodeMembers(data json.RawMessage, depth int) ([]Member, error) {
	var list []Member
	err := EachMember(data, func(name string, value json.RawMessage) error {
		a, err := decodeAttribute(value, depth+1)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, Member{name, a})
		return nil
	})
	return list, err
}

// EachMember walks the members of a JSON object in their order.
func EachMember(data json.RawMessage, f func(name string, value json.RawMessage) error) error {
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

func decodeAttribute(data json.RawMessage, depth int) (*Attribute, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("is nested more than %d deep", maxDepth)
	}
	a := &Attribute{}
	err := EachMember(data, func(kind string, value json.RawMessage) error {
		if a.Kind != "" {
			return errNotAttribute
		}
		a.Kind = kindName(kind)
		return a.decode(value, depth)
	})
	if err != nil && (len(data) == 0 || data[0] != '{') || err == nil && a.Kind == "" {
		return nil, errNotAttribute
	}
	return a, err
}

func (a *Attribute) decode(value json.RawMessage, depth int) error {
	switch a.Kind {
	case "S", "N":
		if err := json.Unmarshal(value, &a.Text); err != nil || value[0] != '"' {
			return fmt.Errorf("type %s must hold a string", a.Kind)
		}
		if a.Kind == "N" && !validNumber(a.Text) {
			return errors.New("a number (N) must hold the text of one")
		}
	case "BOOL", "NULL":
		var b bool
		if err := json.Unmarshal(value, &b); err != nil || value[0] == 'n' {
			return fmt.Errorf("type %s must hold true or false", a.Kind)
		}
		a.Text = strconv.FormatBool(b)
	case "M":
		members, err := decodeMembers(value, depth)
		a.Members = members
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
			a.Items = append(a.Items, v)
		}
	case "B", "SS", "NS", "BS":
	default:
		return errNotAttribute
	}
	return nil
}

// appendJSON writes the attribute as DynamoDB JSON.
func (a *Attribute) appendJSON(b []byte) []byte {
	b = append(b, '{', '"')
	b = append(b, a.Kind...)
	b = append(b, '"', ':')
	switch a.Kind {
	case "S", "N":
		b = AppendString(b, a.Text)
	case "BOOL", "NULL":
		b = append(b, a.Text...)
	case "M":
		b = a.appendMembers(b)
	case "L":
		b = append(b, '[')
		for i, item := range a.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.appendJSON(b)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func (a *Attribute) appendMembers(b []byte) []byte {
	b = append(b, '{')
	for i, m := range a.Members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(AppendString(b, m.Name), ':')
		b = m.Value.appendJSON(b)
	}
	return append(b, '}')
}

// AppendString writes a JSON string, without escaping for HTML.
func AppendString(b []byte, s string) []byte {
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

// WholeNumber reads 30 and 30.0.
func WholeNumber(s string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSuffix(s, ".0"))
	return n, err == nil
}
