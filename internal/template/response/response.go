// Package response reads what a template says of the answer: which headers go
// into the result, what of the body, and which status codes are failures.
package response

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"callfleet/internal/call"
	"callfleet/internal/jsonpath"
	"callfleet/internal/template/itemjson"
)

// What a template may say.
const (
	maxHeaders = 100
	maxStatus  = 100
	maxSelect  = 100
	maxPath    = 1024 // bytes
)

// accepted stands in place of the name of a failure.
const accepted = "ok"

// Report is told of a mistake: the attribute it is in, and the column within a
// path, from 1, or 0.
type Report func(attribute string, column int, message string)

// Parse reads the attribute response. It reports every mistake, after which the
// result is of no use.
func Parse(a *itemjson.Attribute, report Report) *call.Response {
	p := &parser{report}
	if a.Kind != "M" {
		p.errorf("response", "must be a map (M), is %s", a.Kind)
		return nil
	}
	r := &call.Response{}
	for _, m := range a.Members {
		switch m.Name {
		case "headers":
			r.Headers = p.headers(m.Value)
		case "body":
			r.Body = p.body(m.Value)
		case "status":
			r.Status = p.status(m.Value)
		case "select", "required":
		default:
			p.errorf("response."+strings.ToValidUTF8(m.Name, "?"), "is unknown: there are headers, body, select, required and status")
		}
	}
	selected, required := a.Get("select"), a.Get("required")
	if s := p.selector(selected, required); s != nil {
		r.Selector = s
		if r.Body == call.BodyNone {
			p.errorf("response.body", "none does not go with select, which reads the body")
		}
	}
	return r
}

type parser struct{ report Report }

func (p *parser) errorf(attribute, format string, args ...any) {
	p.report(attribute, 0, fmt.Sprintf(format, args...))
}

// header is a header's name, or how names begin; "*" alone is all.
var header = regexp.MustCompile("^[A-Za-z0-9!#$%&'+.^_`|~-]*[*]?$")

func (p *parser) headers(a *itemjson.Attribute) []string {
	if a.Kind != "L" || len(a.Items) > maxHeaders {
		p.errorf("response.headers", "must be a list (L) of at most %d names", maxHeaders)
		return nil
	}
	names := make([]string, 0, len(a.Items)) // an empty list is no header
	for i, one := range a.Items {
		at := fmt.Sprintf("response.headers.%d", i)
		switch {
		case one.Kind != "S":
			p.errorf(at, "must be a text (S), is %s", one.Kind)
		case one.Text == "" || len(one.Text) > 256 || !header.MatchString(one.Text):
			p.errorf(at, "is no header name, or the beginning of one and a *")
		default:
			names = append(names, strings.ToLower(one.Text))
		}
	}
	return names
}

func (p *parser) body(a *itemjson.Attribute) call.BodyUse {
	if a.Kind == "S" {
		switch a.Text {
		case "inline":
			return call.BodyInline
		case "none":
			return call.BodyNone
		case "ref":
			return call.BodyKept
		}
	}
	p.errorf("response.body", "must be inline, none or ref")
	return call.BodyInline
}

var (
	statusKey = regexp.MustCompile(`^[1-5](?:[0-9][0-9]|xx)$`)
	// errorName is what goes as the name of an error in Retry and Catch.
	errorName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,79}$`)
)

func (p *parser) status(a *itemjson.Attribute) map[string]call.FailureName {
	if a.Kind != "M" || len(a.Members) > maxStatus {
		p.errorf("response.status", "must be a map (M) of at most %d status codes", maxStatus)
		return nil
	}
	out := make(map[string]call.FailureName, len(a.Members))
	for _, m := range a.Members {
		at := "response.status." + strings.ToValidUTF8(m.Name, "?")
		name := m.Value.Text
		switch {
		case !statusKey.MatchString(m.Name):
			p.errorf(at, "is no status code such as 404, and no class such as 4xx")
		case m.Value.Kind != "S":
			p.errorf(at, "must be a text (S), is %s", m.Value.Kind)
		case name == accepted:
			out[m.Name] = ""
		case reserved(name):
			p.errorf(at, "must not begin with States. or Callfleet., which are errors of others")
		case !errorName.MatchString(name):
			p.errorf(at, "must be the name of an error such as NotFound (a letter, then at most 79 letters, digits and . _ -), or ok")
		default:
			out[m.Name] = call.FailureName(name)
		}
	}
	return out
}

// reserved reports the names of Step Functions and of our own.
func reserved(name string) bool {
	for _, whose := range []string{"states", "callfleet"} {
		if first, _, _ := strings.Cut(strings.ToLower(name), "."); first == whose {
			return true
		}
	}
	return false
}

// selector is nil when nothing is selected, or for a mistake.
func (p *parser) selector(a, required *itemjson.Attribute) *selector {
	s := &selector{}
	switch {
	case a == nil || a.Kind == "NULL":
		if required != nil {
			p.errorf("response.required", "is about select, which is not there")
		}
		return nil
	case a.Kind == "S":
		s.parts = []part{{path: p.path("response.select", a.Text)}}
		s.single = true
	case a.Kind == "M" && 1 <= len(a.Members) && len(a.Members) <= maxSelect:
		for _, m := range a.Members {
			at := "response.select." + strings.ToValidUTF8(m.Name, "?")
			if m.Value.Kind != "S" {
				p.errorf(at, "must be a JSONPath (S), is %s", m.Value.Kind)
				continue
			}
			s.parts = append(s.parts, part{name: m.Name, path: p.path(at, m.Value.Text)})
		}
	default:
		p.errorf("response.select", "must be a JSONPath (S), or a map (M) of 1 to %d of them", maxSelect)
		return nil
	}
	p.required(s, required)
	return s
}

func (p *parser) path(at, text string) *jsonpath.Path {
	if len(text) > maxPath {
		p.errorf(at, "has more than %d bytes", maxPath)
		return nil
	}
	path, err := jsonpath.Compile(text)
	if wrong, ok := err.(*jsonpath.SyntaxError); ok {
		p.report(at, wrong.Offset+1, "is no JSONPath: "+wrong.Reason)
	}
	return path
}

// required is true for all parts, or a list of their names.
func (p *parser) required(s *selector, a *itemjson.Attribute) {
	switch {
	case a == nil || a.Kind == "NULL":
	case a.Kind == "BOOL":
		for i := range s.parts {
			s.parts[i].required = a.Text == "true"
		}
	case a.Kind == "L" && !s.single:
		for i, one := range a.Items {
			at := slices.IndexFunc(s.parts, func(part part) bool { return one.Kind == "S" && part.name == one.Text })
			if at < 0 {
				p.errorf(fmt.Sprintf("response.required.%d", i), "is no name of select")
				continue
			}
			s.parts[at].required = true
		}
	case s.single:
		p.errorf("response.required", "must be true or false (BOOL): select is one path")
	default:
		p.errorf("response.required", "must be true or false (BOOL), or a list (L) of names of select")
	}
}
