package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"callfleet/internal/call"
	"callfleet/internal/template/body"
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
	at := body.Escaping(t.ContentType)
	t.payload = &payload{text: p.compile("payload", text, at), json: at == sandbox.JSON}
}

func (p *parser) structuredPayload(t *Template, a *itemjson.Attribute) {
	if t.ContentType == "" {
		p.setContentType(t, "application/json")
	}
	if body.Is(t.ContentType) {
		t.fields = p.fields(t, a)
		return
	}
	if body.Escaping(t.ContentType) != sandbox.JSON {
		p.errorf("payload", "is a structure, which is sent as JSON, a form or %s, but the content type is %s", body.MultipartType, t.ContentType)
		return
	}
	b := &leafBuilder{parser: p}
	b.value("payload", a)
	b.close()
	t.payload = &payload{root: b.first, json: true}
}

// fields reads a form, or multipart form data.
func (p *parser) fields(t *Template, a *itemjson.Attribute) *body.Fields {
	before := len(p.secrets)
	f := body.Parse(a, t.ContentType, fieldParser{p})
	if len(f.Refs()) > 0 && len(p.secrets) > before {
		p.errorf("payload", "has both a secret and a ref: a body that is read while it is sent holds no secret")
	}
	return f
}

// signed refuses to sign what is read while it is sent.
func (p *parser) signed(t *Template) {
	if t.fields == nil || len(t.fields.Refs()) == 0 {
		return
	}
	for _, a := range t.auth {
		if a.Kind == call.AuthHMAC || a.Kind == call.AuthSigV4 {
			p.errorf("auth", "of type %s signs the body, and with a ref that is not known before it is sent", a.Kind)
		}
	}
}

// fieldParser is the parser for package body.
type fieldParser struct{ *parser }

var _ body.Parser = fieldParser{}

// Compile implements body.Parser.
func (p fieldParser) Compile(attribute, source string, at sandbox.Position) *sandbox.Program {
	return p.compile(attribute, source, at)
}

// Errorf implements body.Parser.
func (p fieldParser) Errorf(attribute, format string, args ...any) {
	p.errorf(attribute, format, args...)
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
