// Package template makes HTTP requests of API templates and params. A template
// is kept as a DynamoDB item; its URL, headers and payload are texts in
// pongo2's or Jinja2's syntax, run by package sandbox, which says what the
// language is.
//
// # The item
//
//	PK              S     name of the template
//	SK              S     HTTP method
//	url             S     absolute http or https URL
//	headers         M     of S, templated values; or S, the same as JSON text
//	payload         S     text; or M or L, a structure whose texts are templated, or
//	                      the fields of a form, see package body
//	payloadRef      S     in place of payload, the name of a param: the body is what it
//	                      refers to, or its text, as it is
//	contentType     S     instead of a Content-Type header
//	timeoutSeconds  N     bounds one attempt
//	retry           M     maxAttempts N, maxDelaySeconds N
//	flow            S     flow key, templated; the URL's host without it
//	engine          S     pongo2, the default, or jinja2
//	params          M     JSON Schema of the params
//	example         M     params to try the template with
//	response        M     what of the answer goes into the result: headers, body,
//	                      select, required, status; see package response
//	auth            M     type S and the fields of that type; or L of such
//
// Other attributes are left alone.
//
// A structured payload is sent as JSON. A text in it stays a text, whatever it
// holds; {{ value|tojson }} and nothing else becomes the JSON value itself.
//
// Without a Content-Type, a structured payload and a text that begins with {
// or [ are application/json, any other text is text/plain. The content type
// decides how values are escaped: as JSON, as a form, as XML, or not at all.
package template

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/secret"
	"callfleet/internal/template/body"
	"callfleet/internal/template/itemjson"
	"callfleet/internal/template/pin"
	"callfleet/internal/template/response"
	"callfleet/internal/template/sandbox"
	"callfleet/internal/template/schema"
)

// What an item may be.
const (
	maxHeaders     = 100
	maxTimeout     = 900 // seconds: the task's own timeout
	maxAttempts    = 100
	maxDelay       = 900 // seconds
	maxHeaderBytes = 64 << 10
	maxURLBytes    = 16 << 10
)

// Template is a valid API template, compiled. It is safe for concurrent use.
type Template struct {
	Name, Method string
	// ContentType of the payload, "" without one.
	ContentType string
	Timeout     time.Duration // of one attempt; 0 is the caller's default
	Retry       *call.Retry   // nil is the caller's default

	url      *sandbox.Program
	flow     *sandbox.Program // nil is none
	headers  []header
	payload  *payload        // nil is none
	fields   *body.Fields    // in place of payload; nil is none
	bodyOf   string          // the param that refers to the body; "" is none
	schema   *schema.Schema  // nil is none
	example  json.RawMessage // nil is none
	response *call.Response  // nil is all of the answer

	auth       []call.Auth   // what is the same for every call
	authFields []authField   // what is not
	secrets    *call.Secrets // nil is none
}

type header struct {
	name      string
	attribute string // for messages
	value     *sandbox.Program
}

// Problem is one mistake in an item.
type Problem struct {
	Attribute    string // such as "headers.Accept"; "" is the item as a whole
	Line, Column int    // within a templated text, from 1; 0 when it is none
	Message      string
	// Warning is a finding that does not keep a template from being stored.
	Warning bool
}

// String is "attribute: line 1 column 2: message"; a warning begins with
// "warning: ".
func (p Problem) String() string {
	s := p.Message
	if p.Line > 0 {
		s = fmt.Sprintf("line %d column %d: %s", p.Line, p.Column, s)
	}
	if p.Attribute != "" {
		s = p.Attribute + ": " + s
	}
	if p.Warning {
		s = "warning: " + s
	}
	return s
}

// Error holds all mistakes of an item.
type Error struct {
	Template string // name and method, as far as they are known
	Problems []Problem
}

// Error is all problems on one line.
func (e *Error) Error() string {
	list := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		list[i] = p.String()
	}
	return "template " + e.Template + ": " + strings.Join(list, "; ")
}

// Parse reads a DynamoDB JSON item. The error is an *Error with every mistake.
func Parse(raw json.RawMessage) (*Template, error) {
	p := &parser{}
	t := p.template(raw)
	if len(p.problems) > 0 {
		return nil, &Error{Template: p.title(), Problems: p.problems}
	}
	return t, nil
}

// parser collects the problems of one item.
type parser struct {
	name, method string
	url          string // as it is written
	engine       sandbox.Engine
	problems     []Problem
	texts        []text
	secrets      []secret.Reference // of all texts so far
}

// text is one templated text.
type text struct {
	attribute, source string
	program           *sandbox.Program
}

func (p *parser) title() string {
	if p.name == "" {
		return "without a name"
	}
	return strings.TrimSpace(strings.ToValidUTF8(p.name, "?") + " " + p.method)
}

func (p *parser) errorf(attribute, format string, args ...any) {
	p.problems = append(p.problems, Problem{Attribute: attribute, Message: fmt.Sprintf(format, args...)})
}

// reportPath is a mistake in a path, which is on one line, or of no place.
func (p *parser) reportPath(attribute string, column int, message string) {
	p.problems = append(p.problems, Problem{Attribute: attribute, Line: min(column, 1), Column: column, Message: message})
}

func (p *parser) template(raw json.RawMessage) *Template {
	if len(raw) > itemjson.MaxBytes {
		p.errorf("", "has %d bytes, at most %d are allowed", len(raw), itemjson.MaxBytes)
		return nil
	}
	attributes, err := itemjson.Decode(raw)
	if err != nil {
		p.errorf("", "%v", err)
		return nil
	}
	t := &Template{}
	t.Name = p.text(attributes, "PK", true)
	t.Method, _ = call.CutVersion(p.text(attributes, "SK", true)) // GET@3 is a version of a GET
	p.name, p.method = t.Name, t.Method
	if t.Name != "" {
		p.check("PK", call.ValidateTemplateName(t.Name))
	}
	if t.Method != "" {
		p.check("SK", call.ValidateMethod(t.Method))
	}
	switch p.text(attributes, "engine", false) {
	case "", "pongo2":
	case "jinja2":
		p.engine = sandbox.Jinja2
	default:
		p.errorf("engine", "must be pongo2 or jinja2")
	}
	if url := p.text(attributes, "url", true); url != "" {
		p.url = url
		t.url = p.compile("url", url, sandbox.URL)
		p.staticURL(url)
	}
	if flow := p.text(attributes, "flow", false); flow != "" {
		if t.flow = p.compile("flow", flow, sandbox.Text); t.flow != nil && len(t.flow.Secrets()) > 0 {
			p.errorf("flow", "cannot hold a secret: keys are shown, and no secret is put in there")
		}
	}
	p.headers(t, attributes)
	p.payload(t, attributes)
	p.payloadRef(t, attributes)
	p.auth(t, attributes)
	p.signed(t)
	t.secrets = p.secretsOf(t)
	if p.url != "" && (len(t.auth) > 0 || t.secrets != nil) {
		p.check("url", pin.Check(p.url))
	}
	t.Timeout = time.Duration(p.number("timeoutSeconds", attributes.Get("timeoutSeconds"), maxTimeout)) * time.Second
	p.retry(t, attributes)
	p.declared(t, attributes)
	if a := attributes.Get("response"); a != nil && a.Kind != "NULL" {
		t.response = response.Parse(a, p.reportPath)
	}
	return t
}

func (p *parser) check(attribute string, err error) {
	if err != nil {
		p.errorf(attribute, "%v", err)
	}
}

// text reads an attribute of type S.
func (p *parser) text(attributes *itemjson.Attribute, name string, required bool) string {
	a := attributes.Get(name)
	switch {
	case a == nil || a.Kind == "NULL":
		if required {
			p.errorf(name, "is missing")
		}
	case a.Kind != "S":
		p.errorf(name, "must be a text (S), is %s", a.Kind)
	case a.Text == "" && required:
		p.errorf(name, "is empty")
	default:
		return a.Text
	}
	return ""
}

// number reads an attribute of type N: a whole number from 1 to limit.
func (p *parser) number(name string, a *itemjson.Attribute, limit int) int {
	if a == nil || a.Kind == "NULL" {
		return 0
	}
	if a.Kind != "N" {
		p.errorf(name, "must be a number (N), is %s", a.Kind)
		return 0
	}
	n, ok := itemjson.WholeNumber(a.Text)
	if !ok || n < 1 || n > limit {
		p.errorf(name, "must be a whole number from 1 to %d", limit)
		return 0
	}
	return n
}

func (p *parser) compile(attribute, source string, at sandbox.Position) *sandbox.Program {
	program, err := sandbox.Compile(source, at, p.engine)
	if err != nil {
		p.problems = append(p.problems, problemOf(attribute, err))
		return nil
	}
	p.texts = append(p.texts, text{attribute, source, program})
	if strings.Count(source, secret.Scheme) > len(program.Secrets()) {
		p.errorf(attribute, `holds %s as mere text: a secret is {{ "%[1]senv/CALLFLEET_SECRET_NAME"|secret }}`, secret.Scheme)
	}
	p.secrets = append(p.secrets, program.Secrets()...)
	return program
}

// secretsOf are the secrets of all texts, each of them once.
func (p *parser) secretsOf(t *Template) *call.Secrets {
	if len(p.secrets) == 0 {
		return nil
	}
	s := &call.Secrets{}
	for _, ref := range p.secrets {
		if one := (call.Secret{Mark: ref.Mark(), Reference: ref.String()}); !slices.Contains(s.List, one) {
			s.List = append(s.List, one)
		}
	}
	switch {
	case t.fields != nil && t.fields.Escape() == sandbox.Form:
		s.Body = call.EscapeForm
	case t.payload == nil:
	case t.payload.root != nil || t.payload.json:
		s.Body = call.EscapeJSON
	case body.Escaping(t.ContentType) == sandbox.Form:
		s.Body = call.EscapeForm
	case body.Escaping(t.ContentType) == sandbox.XML:
		s.Body = call.EscapeXML
	}
	return s
}

func problemOf(attribute string, err error) Problem {
	if e, ok := err.(*sandbox.Error); ok {
		return Problem{Attribute: attribute, Line: e.Line, Column: e.Column, Message: e.Message}
	}
	return Problem{Attribute: attribute, Message: err.Error()}
}

// staticURL finds what is wrong with a URL whatever the params.
func (p *parser) staticURL(url string) {
	if strings.HasPrefix(url, "{") {
		return // begins with a value: seen when it is rendered
	}
	rest, ok := cutScheme(url)
	if !ok {
		p.errorf("url", "must begin with http:// or https://")
	} else if rest == "" || strings.ContainsRune("/?#", rune(rest[0])) {
		p.errorf("url", "has no host")
	}
}

func (p *parser) headers(t *Template, attributes *itemjson.Attribute) {
	a := attributes.Get("headers")
	if a != nil && a.Kind == "S" && strings.TrimSpace(a.Text) != "" {
		plain, err := plainHeaders(a.Text)
		if err != nil {
			p.errorf("headers", "%v", err)
			return
		}
		a = plain
	}
	switch {
	case a == nil || a.Kind == "NULL" || a.Kind == "S":
		return
	case a.Kind != "M":
		p.errorf("headers", "must be a map (M) of texts, or JSON text (S), is %s", a.Kind)
		return
	case len(a.Members) > maxHeaders:
		p.errorf("headers", "has %d, at most %d are allowed", len(a.Members), maxHeaders)
		return
	}
	seen := map[string]bool{}
	for _, m := range a.Members {
		at := "headers." + strings.ToValidUTF8(m.Name, "?")
		key := http.CanonicalHeaderKey(m.Name)
		switch {
		case !validHeaderName(m.Name):
			p.errorf("headers", "%q is no header name", m.Name)
			continue
		case reserved(key):
			p.errorf(at, "is set by the HTTP client and cannot be templated")
			continue
		case seen[key]:
			p.errorf(at, "is there twice")
			continue
		case m.Value.Kind != "S" && m.Value.Kind != "N":
			p.errorf(at, "must be a text (S), is %s", m.Value.Kind)
			continue
		}
		seen[key] = true
		if key == "Content-Type" {
			p.contentType(t, at, m.Value.Text)
		}
		t.headers = append(t.headers, header{m.Name, at, p.compile(at, m.Value.Text, sandbox.Text)})
	}
}

// contentType checks what decides about escaping, and so must be known before
// there are params.
func (p *parser) contentType(t *Template, at, value string) {
	switch {
	case strings.Contains(value, "{{") || strings.Contains(value, "{%"):
		p.errorf(at, "cannot be templated: it decides how values are escaped")
	case !strings.Contains(value, "/") || !validHeaderValue(value):
		p.errorf(at, "must be a media type such as application/json")
	default:
		t.ContentType = value
	}
}

func (p *parser) retry(t *Template, attributes *itemjson.Attribute) {
	a := attributes.Get("retry")
	if a == nil || a.Kind == "NULL" {
		return
	}
	if a.Kind != "M" {
		p.errorf("retry", "must be a map (M), is %s", a.Kind)
		return
	}
	for _, m := range a.Members {
		if m.Name != "maxAttempts" && m.Name != "maxDelaySeconds" {
			p.errorf("retry."+strings.ToValidUTF8(m.Name, "?"), "is unknown: there are maxAttempts and maxDelaySeconds")
		}
	}
	t.Retry = &call.Retry{
		MaxAttempts: p.number("retry.maxAttempts", a.Get("maxAttempts"), maxAttempts),
		MaxDelay:    time.Duration(p.number("retry.maxDelaySeconds", a.Get("maxDelaySeconds"), maxDelay)) * time.Second,
	}
}
