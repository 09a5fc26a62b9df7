package sandbox

import (
	"strings"

	"github.com/flosch/pongo2/v6"

	"callfleet/internal/secret"
	"callfleet/internal/template/sandbox/value"
)

// node is one part of a document. A node is never written to after parsing.
type node interface {
	exec(r *Run, s *scope) error
}

type (
	block []node
	text  string
	print struct {
		value.Place
		what expr
		path string // for messages
	}
	branch struct {
		value.Place
		conds  []expr
		bodies []block // one more than conds when there is an else
	}
	forLoop struct {
		value.Place
		key, value string // value is "" unless two names are given
		over       expr
		body, none block
	}
	assign struct {
		value.Place
		name string
		what expr
	}
	with struct {
		value.Place
		sets []assign
		body block
	}
)

// parser reads a document from pongo2's tokens.
type parser struct {
	doc     *pongo2.Parser
	depth   int
	trim    bool               // the last brace takes the white space after it
	secrets []secret.Reference // in the order of the text
}

const maxBlockDepth = 50

// tags that end or split a block, and the block each belongs to.
var inner = map[string]string{
	"elif": "if", "else": "if or for", "endif": "if", "empty": "for", "endfor": "for", "endwith": "with", "endcomment": "comment",
}

// block reads up to one of the tags in end, which it takes with what stands
// behind its name; at the end of the document the tag is "".
func (p *parser) block(end ...string) (b block, tag string, rest *tokens, err error) {
	if p.depth++; p.depth > maxBlockDepth {
		return nil, "", nil, value.ErrorAt(p.place(), "tags are nested more than %d deep", maxBlockDepth)
	}
	defer func() { p.depth-- }()
	for p.doc.Remaining() > 0 {
		tok := p.doc.Current()
		p.doc.Consume()
		if tok.Typ == pongo2.TokenHTML {
			if t := p.text(tok.Val); t != "" {
				b = append(b, t)
			}
			continue
		}
		at := placeOf(tok)
		switch tok.Val {
		case "{{":
			code, err := p.code("}}", at)
			if err != nil {
				return nil, "", nil, err
			}
			code.prints = true
			what, err := code.whole()
			if err != nil {
				return nil, "", nil, err
			}
			if s, ok := what.(*secretMark); ok {
				p.secrets = append(p.secrets, s.of)
			}
			b = append(b, &print{at, what, pathOf(what)})
		case "{%":
			code, err := p.code("%}", at)
			if err != nil {
				return nil, "", nil, err
			}
			id, ok := code.accept(pongo2.TokenIdentifier)
			if !ok {
				return nil, "", nil, code.unexpected("a tag")
			}
			for _, name := range end {
				if id.Val == name {
					return b, name, code, nil
				}
			}
			n, err := p.tag(id.Val, at, code)
			if err != nil {
				return nil, "", nil, err
			}
			if n != nil {
				b = append(b, n)
			}
		default:
			return nil, "", nil, value.ErrorAt(at, "unexpected %q", tok.Val)
		}
	}
	return b, "", nil, nil
}

// text applies the white space control of the braces around it.
func (p *parser) text(s string) text {
	const space = " \n\r\t"
	if p.trim {
		s = strings.TrimLeft(s, space)
	}
	if next := p.doc.PeekType(pongo2.TokenSymbol); next != nil && next.TrimWhitespaces {
		s = strings.TrimRight(s, space)
	}
	p.trim = false
	return text(s)
}

// code takes the tokens up to the closing brace.
func (p *parser) code(closing string, at value.Place) (*tokens, error) {
	c := &tokens{}
	for p.doc.Remaining() > 0 {
		tok := p.doc.Current()
		p.doc.Consume()
		if tok.Typ == pongo2.TokenSymbol && tok.Val == closing {
			c.end = placeOf(tok)
			p.trim = tok.TrimWhitespaces
			return c, nil
		}
		c.list = append(c.list, tok)
		if tok.Typ == pongo2.TokenHTML || tok.Typ == pongo2.TokenSymbol && (tok.Val == "{{" || tok.Val == "{%") {
			break // pongo2's lexer gave up on a character before here
		}
	}
	for i, tok := range c.list {
		if tok.Typ == pongo2.TokenHTML {
			c.i = i
			return nil, c.unexpected(closing)
		}
	}
	return nil, value.ErrorAt(at, "is not closed by %s", closing)
}

func (p *parser) place() value.Place {
	if tok := p.doc.Current(); tok != nil {
		return placeOf(tok)
	}
	return value.Place{}
}

// need says what must follow and gives what was found up to it.
func (p *parser) need(at value.Place, tag string, end ...string) (block, string, *tokens, error) {
	b, found, rest, err := p.block(end...)
	if err == nil && found == "" {
		err = value.ErrorAt(at, "{%% %s %%} has no {%% %s %%}", tag, end[len(end)-1])
	}
	return b, found, rest, err
}

func (p *parser) tag(id string, at value.Place, code *tokens) (node, error) {
	switch id {
	case "if":
		return p.branch(at, code)
	case "for":
		return p.forLoop(at, code)
	case "set":
		a, err := p.assignment(code)
		if err == nil && code.i < len(code.list) {
			err = code.unexpected("the end of the tag")
		}
		return &a, err
	case "with":
		return p.with(at, code)
	case "comment":
		return nil, p.comment(at)
	}
	if of, ok := inner[id]; ok {
		return nil, value.ErrorAt(at, "{%% %s %%} belongs to %s, and is not inside it", id, of)
	}
	if id == "raw" {
		return nil, value.ErrorAt(at, "there is no tag %q: use {%% verbatim %%}", id)
	}
	return nil, value.ErrorAt(at, "tag %q is not allowed: there are if, for, set, with, comment and verbatim", id)
}

func (p *parser) branch(at value.Place, code *tokens) (node, error) {
	n := &branch{Place: at}
	end := []string{"elif", "else", "endif"}
	for tag := "if"; ; {
		switch {
		case tag == "else" || tag == "endif":
			if code.i < len(code.list) {
				return nil, code.unexpected("the end of the tag")
			}
		default:
			cond, err := code.whole()
			if err != nil {
				return nil, err
			}
			n.conds = append(n.conds, cond)
		}
		if tag == "endif" {
			return n, nil
		}
		if tag == "else" {
			end = []string{"endif"}
		}
		var body block
		var err error
		if body, tag, code, err = p.need(at, "if", end...); err != nil {
			return nil, err
		}
		n.bodies = append(n.bodies, body)
	}
}

func (p *parser) forLoop(at value.Place, code *tokens) (node, error) {
	n := &forLoop{Place: at}
	var err error
	if n.key, err = code.identifier(); err != nil {
		return nil, err
	}
	if code.symbol(",") {
		if n.value, err = code.identifier(); err != nil {
			return nil, err
		}
	}
	if _, ok := code.accept(pongo2.TokenKeyword, "in"); !ok {
		return nil, code.unexpected("in")
	}
	if n.over, err = code.whole(); err != nil {
		return nil, err
	}
	var tag string
	if n.body, tag, code, err = p.need(at, "for", "empty", "else", "endfor"); err != nil {
		return nil, err
	}
	if tag != "endfor" {
		if code.i < len(code.list) {
			return nil, code.unexpected("the end of the tag")
		}
		if n.none, _, code, err = p.need(at, "for", "endfor"); err != nil {
			return nil, err
		}
	}
	if code.i < len(code.list) {
		return nil, code.unexpected("the end of the tag")
	}
	return n, nil
}

func (p *parser) assignment(code *tokens) (assign, error) {
	a := assign{Place: code.place()}
	var err error
	if a.name, err = code.identifier(); err != nil {
		return a, err
	}
	if !code.symbol("=") {
		return a, code.unexpected("=")
	}
	a.what, err = code.expression()
	return a, err
}

func (p *parser) with(at value.Place, code *tokens) (node, error) {
	n := &with{Place: at}
	for {
		a, err := p.assignment(code)
		if err != nil {
			return nil, err
		}
		n.sets = append(n.sets, a)
		code.symbol(",")
		if code.i == len(code.list) {
			break
		}
	}
	body, _, rest, err := p.need(at, "with", "endwith")
	if err == nil && rest.i < len(rest.list) {
		err = rest.unexpected("the end of the tag")
	}
	n.body = body
	return n, err
}

// comment skips to endcomment, whatever stands in between.
func (p *parser) comment(at value.Place) error {
	for p.doc.Remaining() > 0 {
		if p.doc.Match(pongo2.TokenSymbol, "{%") == nil {
			p.doc.Consume()
			continue
		}
		if p.doc.Match(pongo2.TokenIdentifier, "endcomment") == nil {
			continue
		}
		if end := p.doc.Match(pongo2.TokenSymbol, "%}"); end != nil {
			p.trim = end.TrimWhitespaces
			return nil
		}
	}
	return value.ErrorAt(at, "{%% comment %%} has no {%% endcomment %%}")
}
