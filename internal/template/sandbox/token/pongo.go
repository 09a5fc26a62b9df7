package token

import (
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/flosch/pongo2/v6"

	"callfleet/internal/template/sandbox/value"
)

// The tag that takes in a whole document. It stands before the text on its
// first line, where it must not move the columns.
const (
	documentTag    = "callfleet_document"
	documentPrefix = "{% " + documentTag + " %}"
)

// reader holds what pongo2 shares between templates.
type reader struct {
	mu   sync.Mutex // guards all below: pongo2 reads one text at a time
	set  *pongo2.TemplateSet
	list []Token // of the last text
}

// theReader is one for the process because pongo2's list of tags is.
var theReader = sync.OnceValue(func() *reader {
	r := &reader{set: pongo2.NewSet("callfleet", noFiles{})}
	if err := pongo2.RegisterTag(documentTag, r.document); err != nil {
		panic(err) // broken invariant: nobody else registers it
	}
	return r
})

// noFiles is a loader of templates that has none.
type noFiles struct{}

func (noFiles) Abs(_, name string) string { return name }

func (noFiles) Get(string) (io.Reader, error) { return nil, errors.New("templates read no files") }

// Pongo reads text with pongo2's lexer. The error is a *value.Error.
func Pongo(source string) ([]Token, error) {
	if err := remarks(source); err != nil {
		return nil, err
	}
	list, err := theReader().read(source)
	if err != nil {
		return nil, located(err)
	}
	return trimmed(list), nil
}

// remarks refuses what pongo2 and Jinja2 read otherwise: remarks that take white
// space away, and those beside a brace that does, which pongo2 lets reach across.
func remarks(source string) error {
	for _, mark := range []string{"{#-", "-#}"} {
		if before, _, ok := strings.Cut(source, mark); ok {
			return value.ErrorAt(after(before), "pongo2's remarks take no white space away: write {# without -")
		}
	}
	for _, mark := range []string{"-}}{#", "-%}{#", "#}{{-", "#}{%-"} {
		if before, _, ok := strings.Cut(source, mark); ok {
			return value.ErrorAt(after(before), "a remark stands beside a brace with -: pongo2 and Jinja2 do not agree on the white space behind it: put the remark elsewhere")
		}
	}
	return nil
}

func (r *reader) read(source string) (list []Token, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		if v := recover(); v != nil { // pongo2's lexer met what it did not expect
			list, err = nil, value.ErrorAt(value.Place{}, "cannot be read as a template")
		}
	}()
	if _, err := r.set.FromString(documentPrefix + source); err != nil {
		return nil, err
	}
	list, r.list = r.list, nil
	return list, nil
}

// document is the tag documentTag: it takes all tokens that follow.
func (r *reader) document(doc *pongo2.Parser, _ *pongo2.Token, _ *pongo2.Parser) (pongo2.INodeTag, *pongo2.Error) {
	r.list = make([]Token, 0, doc.Remaining())
	code := false // between braces
	for doc.Remaining() > 0 {
		t := doc.Current()
		doc.Consume()
		out := Token{Place: placeOf(t), Kind: kindOf(t.Typ), Val: t.Val, trim: t.TrimWhitespaces}
		switch {
		case out.Kind == Symbol && (t.Val == "{{" || t.Val == "{%"):
			code = true
		case closes(out):
			code = false
		case out.Kind == Data && code:
			out.Kind = Bad
		}
		r.list = append(r.list, out)
	}
	return nothing{}, nil
}

func kindOf(t pongo2.TokenType) Kind {
	switch t {
	case pongo2.TokenHTML:
		return Data
	case pongo2.TokenSymbol:
		return Symbol
	case pongo2.TokenKeyword:
		return Keyword
	case pongo2.TokenNumber:
		return Number
	case pongo2.TokenString:
		return String
	case pongo2.TokenIdentifier:
		return Name
	}
	return Bad
}

// nothing is what pongo2 takes for a tag. It is never executed.
type nothing struct{}

func (nothing) Execute(*pongo2.ExecutionContext, pongo2.TemplateWriter) *pongo2.Error { return nil }

// placeOf is where a token stands in the source.
func placeOf(t *pongo2.Token) value.Place {
	p := value.Place{Line: t.Line, Column: t.Col}
	if p.Line == 1 {
		p.Column -= len(documentPrefix)
	}
	return p
}

// located makes a *value.Error of what pongo2 returns.
func located(err error) error {
	if e, ok := errors.AsType[*value.Error](err); ok {
		return e
	}
	foreign, ok := errors.AsType[*pongo2.Error](err)
	if !ok {
		return value.ErrorAt(value.Place{}, "%v", err)
	}
	at := placeOf(&pongo2.Token{Line: foreign.Line, Col: foreign.Column})
	return value.ErrorAt(at, "%s", strings.ToLower(strings.TrimSuffix(foreign.OrigError.Error(), ".")))
}

// after is the place behind a text.
func after(s string) value.Place {
	return value.Place{Line: 1 + strings.Count(s, "\n"), Column: len(s) - strings.LastIndexByte(s, '\n')}
}
