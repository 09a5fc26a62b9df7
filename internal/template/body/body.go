// Package body makes the body of a request of fields: a form, or multipart
// form data, in which fields may be files.
package body

import (
	"mime"
	"net/textproto"
	"strconv"
	"strings"

	"callfleet/internal/template/itemjson"
	"callfleet/internal/template/sandbox"
)

// The content types of fields.
const (
	FormType      = "application/x-www-form-urlencoded"
	MultipartType = "multipart/form-data"
)

const maxFields = 1000

// Fields are the fields of a body, compiled. They are never written to.
type Fields struct {
	multipart bool
	list      []field
}

type field struct {
	name, attribute string
	value           *sandbox.Program
	json            bool   // value must be JSON when it is rendered
	ref             string // in place of value, the name of a param
	filename        *sandbox.Program
	contentType     string
}

// Parser is what templated texts are compiled with, and mistakes reported to.
type Parser interface {
	// Compile is nil for a text with a mistake, which it has reported.
	Compile(attribute, source string, at sandbox.Position) *sandbox.Program
	Errorf(attribute, format string, args ...any)
}

// Is reports whether a content type is of fields.
func Is(contentType string) bool {
	t := mediaType(contentType)
	return t == FormType || t == MultipartType
}

// Parse reads a payload: a map of names to values, or a list of maps with name
// and value, for the order that a map does not keep.
func Parse(a *itemjson.Attribute, contentType string, p Parser) *Fields {
	b := &builder{Parser: p, fields: &Fields{multipart: mediaType(contentType) == MultipartType}}
	if b.fields.multipart && strings.Contains(strings.ToLower(contentType), "boundary") {
		p.Errorf("contentType", "has a boundary: it is chosen for each request")
	}
	if a.Kind == "L" {
		for i, one := range a.Items {
			b.named("payload."+strconv.Itoa(i), one)
		}
	}
	for _, m := range a.Members {
		b.member("payload."+m.Name, m.Name, m.Value)
	}
	if len(b.fields.list) > maxFields {
		p.Errorf("payload", "has %d fields, at most %d are allowed", len(b.fields.list), maxFields)
	}
	return b.fields
}

// Escape is how secrets are written in the body, as a position.
func (f *Fields) Escape() sandbox.Position {
	if f.multipart {
		return sandbox.Text
	}
	return sandbox.Form
}

// Refs are the params that fields refer to.
func (f *Fields) Refs() []string {
	var names []string
	for _, one := range f.list {
		if one.ref != "" {
			names = append(names, one.ref)
		}
	}
	return names
}

type builder struct {
	Parser
	fields *Fields
}

// named is one element of a list.
func (b *builder) named(at string, a *itemjson.Attribute) {
	name := a.Get("name")
	switch {
	case a.Kind != "M":
		b.Errorf(at, "must be a map (M) with name and value, is %s", a.Kind)
	case name == nil || name.Kind != "S":
		b.Errorf(at+".name", "must be a text (S)")
	default:
		b.part(at, name.Text, a)
	}
}

// member is one member of a map: a value, a list of them, or a part.
func (b *builder) member(at, name string, a *itemjson.Attribute) {
	switch {
	case a.Kind == "L":
		for i, one := range a.Items {
			if one.Kind == "L" {
				b.Errorf(at+"."+strconv.Itoa(i), "is a list within a list")
				continue
			}
			b.member(at+"."+strconv.Itoa(i), name, one)
		}
	case a.Kind == "M" && b.fields.multipart:
		b.part(at, name, a)
	case a.Kind == "M":
		b.Errorf(at, "is a map (M), which a form has not: write out the name of each field, as in %s[key]", name)
	default:
		b.add(field{name: name, attribute: at, value: b.value(at, a, sandbox.Text)})
	}
}

// part is a field with more to say than its value.
func (b *builder) part(at, name string, a *itemjson.Attribute) {
	f := field{name: name, attribute: at}
	for _, m := range a.Members {
		switch {
		case m.Name == "name" || m.Name == "value":
		case !b.fields.multipart:
			b.Errorf(at+"."+m.Name, "is unknown: a field of a form has name and value")
		case m.Name != "ref" && m.Name != "filename" && m.Name != "contentType":
			b.Errorf(at+"."+strings.ToValidUTF8(m.Name, "?"), "is unknown: there are name, value, ref, filename and contentType")
		case m.Value.Kind != "S" || m.Value.Text == "":
			b.Errorf(at+"."+m.Name, "must be a text (S)")
		case m.Name == "ref":
			f.ref = m.Value.Text
		case m.Name == "filename":
			f.filename = b.withoutSecrets(at+".filename", b.Compile(at+".filename", m.Value.Text, sandbox.Text))
		default:
			f.contentType = m.Value.Text
			if !strings.Contains(f.contentType, "/") || strings.Contains(f.contentType, "{") || !printable(f.contentType) {
				b.Errorf(at+".contentType", "must be a media type such as image/png, and is not templated")
			}
		}
	}
	value := a.Get("value")
	switch {
	case (value == nil) == (f.ref == ""):
		b.Errorf(at, "must have value or ref, and not both")
		return
	case value != nil:
		position := Escaping(f.contentType)
		f.json = position == sandbox.JSON
		f.value = b.value(at+".value", value, position)
		if position != sandbox.Text {
			f.value = b.withoutSecrets(at+".value", f.value)
		}
	}
	b.add(f)
}

func (b *builder) value(at string, a *itemjson.Attribute, position sandbox.Position) *sandbox.Program {
	switch a.Kind {
	case "S", "N", "BOOL":
		return b.Compile(at, a.Text, position)
	}
	b.Errorf(at, "has type %s, a field may be S, N or BOOL", a.Kind)
	return nil
}

// withoutSecrets refuses a text with secrets: they are written into the body
// all in one way, and into a file's name in none.
func (b *builder) withoutSecrets(at string, p *sandbox.Program) *sandbox.Program {
	if p != nil && len(p.Secrets()) > 0 {
		b.Errorf(at, "cannot hold a secret: it would have to be escaped for this place")
	}
	return p
}

func (b *builder) add(f field) {
	if f.name == "" || !printable(f.name) {
		b.Errorf(f.attribute, "has a name that is empty, or holds a control character")
	}
	b.fields.list = append(b.fields.list, f)
}

// printable refuses what could end a header line.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

func mediaType(contentType string) string {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind, _, _ = strings.Cut(strings.ToLower(contentType), ";")
		kind = textproto.TrimString(kind)
	}
	return kind
}

// Escaping is how values are escaped in a text of a content type.
func Escaping(contentType string) sandbox.Position {
	switch kind := mediaType(contentType); {
	case kind == "application/json" || strings.HasSuffix(kind, "+json") || strings.HasPrefix(kind, "application/x-amz-json-"):
		return sandbox.JSON
	case kind == FormType:
		return sandbox.Form
	case kind == "application/xml" || kind == "text/xml" || kind == "text/html" || strings.HasSuffix(kind, "+xml"):
		return sandbox.XML
	}
	return sandbox.Text
}
