// Package parse makes trees of tokens. pongo2's and Jinja2's spelling share one
// grammar; where Jinja2 has more, the parser asks which of the two it reads.
package parse

import (
	"slices"

	"callfleet/internal/secret"
	"callfleet/internal/template/sandbox/token"
	"callfleet/internal/template/sandbox/tree"
	"callfleet/internal/template/sandbox/value"
)

// Result is a parsed text.
type Result struct {
	Body tree.Block
	// Names are the params that the text asks for, where it does so.
	Names []Use
	// Keys are where a key of hmac_sha256 is given.
	Keys []Use
	// Secrets are the references in the text, in their order.
	Secrets []secret.Reference
	// Differences are what Jinja2 reads otherwise, without a word.
	Differences []Difference
}

// Use is a name with its members, such as user.tags, and its place.
type Use struct {
	value.Place
	Path []string
	Asks bool // it may be missing: |default or "is defined" asks for it
}

// parser reads a document.
type parser struct {
	jinja bool
	list  []token.Token
	i     int
	depth int

	captured int // tags around that take what is printed in them for a value

	uses    []Use
	keys    []Use
	secrets []secret.Reference
	differ  []Difference
	calls   []Use           // of functions
	bound   map[string]bool // names that the text gives
}

const maxBlockDepth = 50

// Document parses the tokens of a text. The error is a *value.Error.
func Document(list []token.Token, jinja bool) (Result, error) {
	p := &parser{jinja: jinja, list: list, bound: map[string]bool{}}
	body, _, _, err := p.block()
	if err != nil {
		return Result{}, err
	}
	for _, call := range p.calls {
		if !p.bound[call.Path[0]] {
			return Result{}, p.noFunction(call)
		}
	}
	if body == nil {
		body = tree.Block{} // remarks only
	}
	r := Result{Body: body, Keys: p.keys, Secrets: p.secrets, Differences: p.differ}
	for _, use := range p.uses {
		if !p.bound[use.Path[0]] {
			r.Names = append(r.Names, use)
		}
	}
	return r, nil
}

const noFunctions = "%s is called, but templates have no functions besides now(), uuid() and object.items(): use a filter"

func (p *parser) noFunction(call Use) error {
	if p.jinja {
		return value.ErrorAt(call.Place, "there is no function %q", call.Path[0])
	}
	return value.ErrorAt(call.Place, noFunctions, call.Path[0])
}

func (p *parser) bind(names ...string) {
	for _, name := range names {
		p.bound[name] = true
	}
}

// block reads up to one of the tags in end, which it takes with what stands
// behind its name; at the end of the document the tag is "".
func (p *parser) block(end ...string) (b tree.Block, tag string, rest *tokens, err error) {
	if p.depth++; p.depth > maxBlockDepth {
		return nil, "", nil, value.ErrorAt(p.place(), "tags are nested more than %d deep", maxBlockDepth)
	}
	defer func() { p.depth-- }()
	for p.i < len(p.list) {
		tok := p.list[p.i]
		p.i++
		if tok.Kind == token.Data {
			b = append(b, tree.Text(tok.Val))
			continue
		}
		var n tree.Node
		switch tok.Val {
		case "{{":
			n, err = p.print(tok.Place)
		case "{%":
			var code *tokens
			if code, err = p.code("%}", tok.Place); err != nil {
				return nil, "", nil, err
			}
			id, ok := code.accept(token.Name)
			if !ok {
				return nil, "", nil, code.unexpected("a tag")
			}
			if slices.Contains(end, id.Val) {
				return b, id.Val, code, nil
			}
			n, err = p.tag(id.Val, tok.Place, code)
		default:
			err = value.ErrorAt(tok.Place, "unexpected %q", tok.Val)
		}
		if err != nil {
			return nil, "", nil, err
		}
		if n != nil {
			b = append(b, n)
		}
	}
	return b, "", nil, nil
}

func (p *parser) print(at value.Place) (tree.Node, error) {
	code, err := p.code("}}", at)
	if err != nil {
		return nil, err
	}
	code.prints = p.captured == 0
	what, err := code.wholeTuple()
	if err != nil {
		return nil, err
	}
	if s, ok := what.(*tree.Secret); ok {
		p.secrets = append(p.secrets, s.Of)
	}
	return &tree.Print{Place: at, What: what, Path: tree.PathOf(what)}, nil
}

// code takes the tokens up to the closing brace.
func (p *parser) code(closing string, at value.Place) (*tokens, error) {
	c := &tokens{parser: p}
	start := p.i
	for p.i < len(p.list) {
		tok := p.list[p.i]
		p.i++
		if tok.Kind == token.Symbol && tok.Val == closing {
			c.list, c.end = p.list[start:p.i-1], tok.Place
			return c, nil
		}
		if tok.Kind == token.Bad || tok.Kind == token.Symbol && (tok.Val == "{{" || tok.Val == "{%") {
			break // the lexer gave up on a character before here
		}
	}
	for i, tok := range p.list[start:p.i] {
		if tok.Kind == token.Bad {
			c.list, c.i = p.list[start:p.i], i
			return nil, c.unexpected(closing)
		}
	}
	return nil, value.ErrorAt(at, "is not closed by %s", closing)
}

func (p *parser) place() value.Place {
	if p.i < len(p.list) {
		return p.list[p.i].Place
	}
	return value.Place{}
}

// need says what must follow and gives what was found up to it.
func (p *parser) need(at value.Place, tag string, end ...string) (tree.Block, string, *tokens, error) {
	b, found, rest, err := p.block(end...)
	if err == nil && found == "" {
		err = value.ErrorAt(at, "{%% %s %%} has no {%% %s %%}", tag, end[len(end)-1])
	}
	return b, found, rest, err
}

// body is need for tags of two parts, whose end stands alone.
func (p *parser) body(at value.Place, tag string) (tree.Block, error) {
	if tag != "with" && tag != "block" {
		p.captured++
		defer func() { p.captured-- }()
	}
	b, _, rest, err := p.need(at, tag, "end"+tag)
	if err == nil {
		if tag == "block" || tag == "macro" {
			rest.accept(token.Name) // may be named again
		}
		err = rest.done()
	}
	return b, err
}
