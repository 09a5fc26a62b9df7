package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strconv"
	"strings"

	"callfleet/internal/template/itemjson"
	"callfleet/internal/template/sandbox"
)

// payload is a text, or a structure of texts.
type payload struct {
	text *sandbox.Program
	root *leaf // of a structured payload
	json bool  // must be JSON when rendered
}

// leaf is a part of a structured payload: JSON as it stands, with programs
// in between.
type leaf struct {
	attribute string // for messages
	before    string // JSON up to here
	program   *sandbox.Program
	next      *leaf
}

func (p *parser) payload(t *Template, attributes *itemjson.Attribute) {
	if kind := p.text(attributes, "contentType", false); kind != "" {
		if t.ContentType != "" {
			p.errorf("contentType", "is given by the Content-Type header already")
		} else {
			p.contentType(t, "contentType", kind)
			t.headers = append(t.headers, header{"Content-Type", "contentType", p.compile("contentType", kind, sandbox.Text)})
		}
	}
	a := attributes.Get("payload")
	switch {
	case a == nil || a.Kind == "NULL" || a.Kind == "S" && a.Text == "":
		return
	case a.Kind == "S":
		p.textPayload(t, a.Text)
	case a.Kind == "M" || a.Kind == "L":
		p.structuredPayload(t, a)
	default:
		p.errorf("payload", "must be a text (S), a map (M) or a list (L), is %s", a.Kind)
	}
}

func (p *parser) textPayload(t *Template, text string) {
	if t.ContentType == "" {
		p.setContentType(t, guessContentType(text))
	}
	at := escaping(t.ContentType)
	t.payload = &payload{text: p.compile("payload", text, at), json: at == sandbox.JSON}
}

func (p *parser) structuredPayload(t *Template, a *itemjson.Attribute) {
	if t.ContentType == "" {
		p.setContentType(t, "application/json")
	}
	if escaping(t.ContentType) != sandbox.JSON {
		p.errorf("payload", "is a structure, which is sent as JSON, but the content type is %s", t.ContentType)
		return
	}
	b := &leafBuilder{parser: p}
	b.value("payload", a)
	b.close()
	t.payload = &payload{root: b.first, json: true}
}

func (p *parser) setContentType(t *Template, kind string) {
	t.ContentType = kind
	t.headers = append(t.headers, header{"Content-Type", "contentType", p.compile("contentType", kind, sandbox.Text)})
}

// guessContentType looks at how a text begins.
func guessContentType(text string) string {
	s := strings.TrimLeft(text, " \n\r\t")
	if s != "" && (s[0] == '[' || s[0] == '{' && (len(s) == 1 || !strings.ContainsRune("{%#", rune(s[1])))) {
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// escaping is how values are escaped in a payload of a content type.
func escaping(contentType string) sandbox.Position {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind, _, _ = strings.Cut(strings.ToLower(contentType), ";")
		kind = strings.TrimSpace(kind)
	}
	switch {
	case kind == "application/json" || strings.HasSuffix(kind, "+json") || strings.HasPrefix(kind, "application/x-amz-json-"):
		return sandbox.JSON
	case kind == "application/x-www-form-urlencoded":
		return sandbox.Form
	case kind == "application/xml" || kind == "text/xml" || kind == "text/html" || strings.HasSuffix(kind, "+xml"):
		return sandbox.XML
	}
	return sandbox.Text
}

// leafBuilder flattens a structure to a list of leaves.
type leafBuilder struct {
	parser      *parser
	fixed       strings.Builder
	first, last *leaf
}

func (b *leafBuilder) add(l *leaf) {
	l.before = b.fixed.String()
	b.fixed.Reset()
	if b.last == nil {
		b.first = l
	} else {
		b.last.next = l
	}
	b.last = l
}

func (b *leafBuilder) close() { b.add(&leaf{attribute: "payload"}) }

func (b *leafBuilder) value(at string, a *itemjson.Attribute) {
	switch a.Kind {
	case "S":
		b.text(at, a.Text)
	case "N", "BOOL":
		b.fixed.WriteString(a.Text)
	case "NULL":
		b.fixed.WriteString("null")
	case "L":
		b.fixed.WriteByte('[')
		for i, one := range a.Items {
			if i > 0 {
				b.fixed.WriteByte(',')
			}
			b.value(at+"."+strconv.Itoa(i), one)
		}
		b.fixed.WriteByte(']')
	case "M":
		b.fixed.WriteByte('{')
		for i, m := range a.Members {
			if i > 0 {
				b.fixed.WriteByte(',')
			}
			b.fixed.Write(append(itemjson.AppendString(nil, m.Name), ':'))
			b.value(at+"."+m.Name, m.Value)
		}
		b.fixed.WriteByte('}')
	default:
		b.parser.errorf(at, "has type %s, a payload may hold S, N, BOOL, NULL, M and L", a.Kind)
	}
}

// text is a JSON string around a program, unless the program is a JSON value.
func (b *leafBuilder) text(at, source string) {
	program := b.parser.compile(at, source, sandbox.Text)
	if program == nil {
		return
	}
	if fixed, ok := program.Static(); ok {
		b.fixed.Write(itemjson.AppendString(nil, fixed))
		return
	}
	b.add(&leaf{attribute: at, program: program})
}

// plainHeaders reads headers that are kept as JSON text.
func plainHeaders(text string) (*itemjson.Attribute, error) {
	if !json.Valid([]byte(text)) {
		return nil, errors.New("holds a text that is not JSON: quote templates within it as in \"Bearer {{ token }}\"")
	}
	a := &itemjson.Attribute{Kind: "M"}
	err := itemjson.EachMember(json.RawMessage(text), func(name string, value json.RawMessage) error {
		v := &itemjson.Attribute{Kind: "S"}
		if value[0] != '"' {
			return fmt.Errorf("%s: must be a string", name)
		}
		if err := json.Unmarshal(value, &v.Text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		a.Members = append(a.Members, itemjson.Member{Name: name, Value: v})
		return nil
	})
	return a, err
}
