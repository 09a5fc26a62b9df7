package version

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"callfleet/internal/template/store"
)

// Attribute is what the item of a version has beside the template's own
// attributes. It is ignored, and not kept, in a template that is put.
const Attribute = "callfleetVersion"

// revision is an attribute of dynamostore's own: it is in items that were copied
// from a table by other means.
const revision = "callfleetRevision"

// text and number are DynamoDB attributes.
type (
	text   struct{ S string }
	number struct{ N string }
)

// note is the value of Attribute.
type note struct {
	M struct {
		At      text    `json:"at"`
		By      *text   `json:"by,omitempty"`
		Message *text   `json:"message,omitempty"`
		From    *number `json:"from,omitempty"`
		Found   *struct {
			BOOL bool
		} `json:"found,omitempty"`
	}
}

func (v Version) note() note {
	var n note
	n.M.At.S = v.At.UTC().Format(time.RFC3339)
	if v.By != "" {
		n.M.By = &text{v.By}
	}
	if v.Message != "" {
		n.M.Message = &text{v.Message}
	}
	if v.From > 0 {
		n.M.From = &number{strconv.Itoa(v.From)}
	}
	if v.Found {
		n.M.Found = &struct{ BOOL bool }{true}
	}
	return n
}

// item is the item of the version.
func (v Version) item() (store.Item, error) {
	key := v.Key.At(v.Number)
	attributes, err := change(v.Content, map[string]any{"SK": text{key.Method}, Attribute: v.note()})
	return store.Item{Key: key, Attributes: attributes}, err
}

// read is what an item of a version says. A note that cannot be read is left
// out: the content is what counts.
func read(it store.Item) (Version, error) {
	var v Version
	v.Key, v.Number = it.Cut()
	var holder struct {
		Note note `json:"callfleetVersion"`
	}
	if json.Unmarshal(it.Attributes, &holder) == nil {
		n := holder.Note.M
		v.At, _ = time.Parse(time.RFC3339, n.At.S)
		if n.By != nil {
			v.By = n.By.S
		}
		if n.Message != nil {
			v.Message = n.Message.S
		}
		if n.From != nil {
			v.From, _ = strconv.Atoi(n.From.N)
		}
		v.Found = n.Found != nil && n.Found.BOOL
	}
	var err error
	v.Content, err = contentOf(it, v.Key)
	v.Bytes = len(v.Content)
	return v, err
}

// contentOf is the item of a template without what is of its version.
func contentOf(it store.Item, template store.Key) (json.RawMessage, error) {
	content, err := change(it.Attributes, map[string]any{"SK": text{template.Method}, Attribute: nil, revision: nil})
	if err != nil {
		return nil, fmt.Errorf("read template %q: %w: %w", it.Key, store.ErrInvalid, err)
	}
	return content, nil
}

// change sets members of a JSON object, or removes those that are nil. All
// others stay as they are written, in their order.
func change(object json.RawMessage, set map[string]any) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	add := func(name string, value any) error {
		if value == nil {
			return nil
		}
		if out.Len() > 0 {
			out.WriteByte(',')
		}
		if err := e.Encode(name); err != nil {
			return err
		}
		out.Truncate(out.Len() - 1) // the line end
		out.WriteByte(':')
		if raw, ok := value.(json.RawMessage); ok {
			out.Write(raw)
			return nil
		}
		err := e.Encode(value)
		out.Truncate(out.Len() - 1)
		return err
	}
	left := maps.Clone(set)
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, err
		}
		value, replaced := set[name.(string)]
		if !replaced {
			value = raw
		}
		delete(left, name.(string))
		if err := add(name.(string), value); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		if err := add(name, left[name]); err != nil {
			return nil, err
		}
	}
	return slices.Concat([]byte{'{'}, out.Bytes(), []byte{'}'}), nil
}

// digest is the same for contents that mean the same, however a store spells
// them: members and sets in any order, numbers in any notation.
func digest(content json.RawMessage) [sha256.Size]byte {
	var b strings.Builder
	var members map[string]json.RawMessage
	_ = json.Unmarshal(content, &members) // store.Check has seen that it is an object
	canonicalMembers(&b, members)
	return sha256.Sum256([]byte(b.String()))
}

func canonicalMembers(b *strings.Builder, members map[string]json.RawMessage) {
	b.WriteByte('{')
	for _, name := range slices.Sorted(maps.Keys(members)) {
		b.WriteString(strconv.Quote(name))
		canonical(b, members[name])
	}
	b.WriteByte('}')
}

// canonical writes an attribute. What is none is written as it is.
func canonical(b *strings.Builder, attribute json.RawMessage) {
	var typed map[string]json.RawMessage
	if json.Unmarshal(attribute, &typed) != nil || len(typed) != 1 {
		b.Write(attribute)
		return
	}
	for kind, value := range typed {
		b.WriteString(kind)
		switch kind {
		case "M":
			var members map[string]json.RawMessage
			_ = json.Unmarshal(value, &members)
			canonicalMembers(b, members)
		case "L":
			var items []json.RawMessage
			_ = json.Unmarshal(value, &items)
			b.WriteByte('[')
			for _, item := range items {
				canonical(b, item)
			}
			b.WriteByte(']')
		case "SS", "NS", "BS":
			var texts []string
			_ = json.Unmarshal(value, &texts)
			for i := range texts {
				if kind == "NS" {
					texts[i] = store.CanonicalNumber(texts[i])
				}
			}
			slices.Sort(texts)
			for _, s := range texts {
				b.WriteString(strconv.Quote(s))
			}
		case "S", "N", "B":
			var s string
			_ = json.Unmarshal(value, &s)
			if kind == "N" {
				s = store.CanonicalNumber(s)
			}
			b.WriteString(strconv.Quote(s))
		default: // BOOL, NULL
			b.Write(bytes.TrimSpace(value))
		}
	}
}
