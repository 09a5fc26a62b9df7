package sandbox

import (
	"strings"

	"callfleet/internal/secret"
	"callfleet/internal/template/sandbox/parse"
	"callfleet/internal/template/sandbox/token"
	"callfleet/internal/template/sandbox/tree"
)

// Engine is the spelling of the language that a text is written in.
type Engine int

// The engines.
const (
	Pongo2 Engine = iota
	Jinja2
)

// Program is a compiled template text. It is safe for concurrent use.
type Program struct {
	at     Position
	jinja  bool
	plain  string     // the output of a program without code
	body   tree.Block // nil in a program without code
	size   int        // of the source
	asJSON bool       // the text is one value with |tojson and nothing else
	names  []Use
	keys   []Use

	secrets []secret.Reference
	differ  []Difference
}

// Use is a name in a text, its members with it.
type Use = parse.Use

// Difference is what means one thing here and another in Jinja2, where neither
// complains.
type Difference = parse.Difference

// Compile reads a template text; the error is an *Error.
func Compile(source string, at Position, engine Engine) (*Program, error) {
	if err := token.Readable(source); err != nil {
		return nil, err
	}
	source = token.Lines(source)
	if !strings.Contains(source, "{{") && !strings.Contains(source, "{%") && !strings.Contains(source, "{#") {
		return &Program{at: at, plain: source, size: len(source)}, nil
	}
	parsed, err := read(source, engine)
	if err != nil {
		return nil, advised(err, source, engine)
	}
	p := &Program{at: at, jinja: engine == Jinja2, body: parsed.Body, size: len(source), names: parsed.Names, keys: parsed.Keys, secrets: parsed.Secrets, differ: parsed.Differences}
	if text, ok := fixed(p.body); ok && len(p.secrets) > 0 {
		p.plain, p.body = text, nil
	}
	if len(p.body) == 1 {
		if print, ok := p.body[0].(*tree.Print); ok {
			_, p.asJSON = print.What.(*tree.ToJSON)
		}
	}
	return p, nil
}

func read(source string, engine Engine) (parse.Result, error) {
	lex := token.Pongo
	if engine == Jinja2 {
		lex = token.Jinja
	}
	list, err := lex(source)
	if err != nil {
		return parse.Result{}, err
	}
	return parse.Document(list, engine == Jinja2)
}

// advised names the other engine when that one can read the text.
func advised(err error, source string, engine Engine) error {
	if engine == Jinja2 {
		return err
	}
	e, ok := err.(*Error)
	if !ok {
		return err
	}
	if _, other := read(source, Jinja2); other != nil {
		return err
	}
	return &Error{Line: e.Line, Column: e.Column, Message: e.Message + `; it is Jinja2, which "engine": "jinja2" reads`}
}

// Static returns the output of a program without code.
func (p *Program) Static() (text string, ok bool) { return p.plain, p.body == nil }

// Size is the length of the source, a guess at the length of the output.
func (p *Program) Size() int { return p.size }

// IsJSONValue reports whether the text is one value with |tojson and nothing
// else, so that its output is a JSON value whatever the params.
func (p *Program) IsJSONValue() bool { return p.asJSON }

// Names are the params that the text uses.
func (p *Program) Names() []Use { return p.names }

// Keys are where a key for a signature is given.
func (p *Program) Keys() []Use { return p.keys }

// Differences are what Jinja2 reads otherwise.
func (p *Program) Differences() []Difference { return p.differ }

// Append runs p and appends what it prints to buf. The error is an *Error, or
// the context's cause.
func (r *Run) Append(buf []byte, p *Program) ([]byte, error) {
	if p.body == nil {
		return r.run.Static(buf, p.plain, p.at)
	}
	return r.run.Append(buf, p.body, p.at, p.jinja)
}
