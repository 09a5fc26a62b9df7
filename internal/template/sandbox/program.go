package sandbox

import (
	"errors"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/flosch/pongo2/v6"

	"callfleet/internal/secret"
	"callfleet/internal/template/sandbox/output"
	"callfleet/internal/template/sandbox/value"
)

// Program is a compiled template text. It is safe for concurrent use.
type Program struct {
	at    Position
	plain string // the output of a program without code
	body  block  // nil in a program without code
	size  int    // of the source
	// secrets are the references in it.
	secrets []secret.Reference
	// value.AsJSON says that the text is one value with |tojson and nothing else.
	asJSON bool
}

// The tag that takes in a whole document. It stands before the text on its
// first line, where it must not move the columns.
const (
	documentTag    = "callfleet_document"
	documentPrefix = "{% " + documentTag + " %}"
)

// compiler holds what pongo2 shares between templates.
type compiler struct {
	mu     sync.Mutex // guards all below: pongo2 compiles one text at a time
	set    *pongo2.TemplateSet
	parsed document // of the last text
}

// theCompiler is one for the process because pongo2's list of tags is.
var theCompiler = sync.OnceValue(func() *compiler {
	c := &compiler{set: pongo2.NewSet("callfleet", noFiles{})}
	if err := pongo2.RegisterTag(documentTag, c.parseDocument); err != nil {
		panic(err) // broken invariant: nobody else registers it
	}
	return c
})

// noFiles is a loader of templates that has none.
type noFiles struct{}

func (noFiles) Abs(_, name string) string { return name }

func (noFiles) Get(string) (io.Reader, error) { return nil, errors.New("templates read no files") }

// Compile reads a template text; the error is an *Error.
func Compile(source string, at Position) (*Program, error) {
	if err := readable(source); err != nil {
		return nil, err
	}
	if !strings.Contains(source, "{{") && !strings.Contains(source, "{%") && !strings.Contains(source, "{#") {
		return &Program{at: at, plain: source, size: len(source)}, nil
	}
	p, err := theCompiler().compile(source, at)
	if err != nil {
		return nil, located(err)
	}
	return p, nil
}

func (c *compiler) compile(source string, at Position) (p *Program, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() {
		if r := recover(); r != nil { // pongo2's lexer met what it did not expect
			p, err = nil, value.ErrorAt(value.Place{}, "cannot be read as a template")
		}
	}()
	if _, err := c.set.FromString(documentPrefix + source); err != nil {
		return nil, err
	}
	program := &Program{at: at, body: c.parsed.body, size: len(source), secrets: c.parsed.secrets, asJSON: c.parsed.isJSONValue()}
	if text, ok := c.parsed.fixed(); ok && len(program.secrets) > 0 {
		program.plain, program.body = text, nil
	}
	return program, nil
}

// parseDocument is the tag documentTag.
func (c *compiler) parseDocument(doc *pongo2.Parser, _ *pongo2.Token, _ *pongo2.Parser) (pongo2.INodeTag, *pongo2.Error) {
	p := &parser{doc: doc}
	body, _, _, err := p.block()
	if err != nil {
		return nil, &pongo2.Error{OrigError: err}
	}
	if body == nil {
		body = block{} // remarks only
	}
	c.parsed = document{body, p.secrets}
	return c.parsed, nil
}

// readable refuses what pongo2's lexer takes for the end of the text (byte 1),
// and other bytes that no template needs.
func readable(source string) error {
	if !utf8.ValidString(source) {
		return value.ErrorAt(value.Place{}, "is not UTF-8")
	}
	p := value.Place{Line: 1, Column: 1}
	for i := range len(source) {
		switch c := source[i]; {
		case c == '\n':
			p = value.Place{Line: p.Line + 1}
		case c < ' ' && c != '\t' && c != '\r' || c == 0x7f:
			return value.ErrorAt(p, "holds a control character")
		}
		p.Column++
	}
	return nil
}

// placeOf is where a token stands in the source.
func placeOf(t *pongo2.Token) value.Place {
	p := value.Place{Line: t.Line, Column: t.Col}
	if p.Line == 1 {
		p.Column -= len(documentPrefix)
	}
	return p
}

// located makes an *Error of what pongo2 returns.
func located(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	foreign, ok := errors.AsType[*pongo2.Error](err)
	if !ok {
		return value.ErrorAt(value.Place{}, "%v", err)
	}
	if own, ok := errors.AsType[*Error](foreign.OrigError); ok {
		return own
	}
	at := placeOf(&pongo2.Token{Line: foreign.Line, Col: foreign.Column})
	return value.ErrorAt(at, "%s", strings.ToLower(strings.TrimSuffix(foreign.OrigError.Error(), ".")))
}

// Static returns the output of a program without code.
func (p *Program) Static() (text string, ok bool) { return p.plain, p.body == nil }

// Size is the length of the source, a guess at the length of the output.
func (p *Program) Size() int { return p.size }

// IsJSONValue reports whether the text is one value with |tojson and nothing
// else, so that its output is a JSON value whatever the params.
func (p *Program) IsJSONValue() bool { return p.asJSON }

// document is the whole of a template, and what pongo2 takes for a tag.
type document struct {
	body    block
	secrets []secret.Reference
}

// Execute is never called: a Run executes the body itself, because pongo2
// would copy its context and check each name in it anew every time.
func (document) Execute(*pongo2.ExecutionContext, pongo2.TemplateWriter) *pongo2.Error { return nil }

func (d document) isJSONValue() bool {
	if len(d.body) != 1 {
		return false
	}
	p, ok := d.body[0].(*print)
	if !ok {
		return false
	}
	f, ok := p.what.(*filtered)
	return ok && f.name == "tojson"
}

// Append runs p and appends what it prints to buf. The error is an *Error, or
// the context's cause.
func (r *Run) Append(buf []byte, p *Program) (_ []byte, err error) {
	r.out = output.New(buf, r.MaxOutput(), p.at)
	if p.body == nil {
		err := r.out.Static(p.plain)
		return r.out.Buf, err
	}
	defer func() {
		if v := recover(); v != nil { // contained: one template cannot end a worker
			err = value.ErrorAt(value.Place{}, "stopped by an internal fault")
		}
	}()
	if err := p.body.exec(r, &scope{}); err != nil {
		return nil, err
	}
	return r.out.Buf, nil
}
