package response

import (
	"bytes"
	"encoding/json"
	"strings"

	"callfleet/internal/call"
	"callfleet/internal/jsonpath"
	"callfleet/internal/jsonpath/value"
	"callfleet/internal/template/itemjson"
)

// selector takes parts out of a body of JSON.
type selector struct {
	parts  []part
	single bool // the only part is the selection itself
}

type part struct {
	name     string
	path     *jsonpath.Path
	required bool
}

var _ call.Selector = (*selector)(nil)

// Select implements call.Selector. The content type is not asked: many an API
// sends JSON as text/plain.
func (s *selector) Select(body []byte) (selected json.RawMessage, missing string) {
	root, err := value.Parse(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	isJSON := err == nil
	var out []byte
	for i, part := range s.parts {
		found, ok := value.Null(), false
		if isJSON {
			found, ok = part.find(root)
		}
		if part.required && !ok && missing == "" {
			missing = part.lacks(body, isJSON)
		}
		if s.single {
			return found.AppendJSON(out), missing
		}
		if i == 0 {
			out = append(out, '{')
		} else {
			out = append(out, ',')
		}
		out = append(itemjson.AppendString(out, part.name), ':')
		out = found.AppendJSON(out)
	}
	return append(out, '}'), missing
}

// String is the paths by name.
func (s *selector) String() string {
	var b strings.Builder
	for i, part := range s.parts {
		switch {
		case s.single:
		case i == 0:
			b.WriteByte('{')
		default:
			b.WriteString(", ")
		}
		if !s.single {
			b.Write(append(itemjson.AppendString(nil, part.name), ": "...))
		}
		b.WriteString(part.path.String())
		if part.required {
			b.WriteString(" (required)")
		}
	}
	if !s.single {
		b.WriteByte('}')
	}
	return b.String()
}

// find is what the path leads to, null for nothing. A path to any number of
// values is there when it leads to one or more.
func (p *part) find(root value.Value) (value.Value, bool) {
	v, ok := p.path.Find(root)
	if !ok {
		return value.Null(), false // v is where a definite path is stuck
	}
	return v, p.path.Definite() || v.Kind() != value.KindArray || v.Len() > 0
}

func (p *part) lacks(body []byte, isJSON bool) string {
	switch {
	case body == nil:
		return "the body is too large to select from"
	case !isJSON:
		return "the body is not JSON"
	}
	return "the body has no " + p.path.String()
}
