package parse

import (
	"slices"

	"callfleet/internal/template/sandbox/token"
	"callfleet/internal/template/sandbox/tree"
	"callfleet/internal/template/sandbox/value"
)

// tags that end or split a block, and the block each belongs to.
var inner = map[string]string{
	"elif": "if", "else": "if or for", "endif": "if", "empty": "for", "endfor": "for", "endwith": "with", "endcomment": "comment",
	"endset": "set", "endmacro": "macro", "endcall": "call", "endfilter": "filter", "endblock": "block", "endraw": "raw",
}

func (p *parser) tag(id string, at value.Place, code *tokens) (tree.Node, error) {
	switch id {
	case "if":
		return p.branch(at, code)
	case "for":
		return p.forLoop(at, code)
	case "set":
		return p.set(at, code)
	case "with":
		return p.with(at, code)
	}
	if p.jinja {
		return p.jinjaTag(id, at, code)
	}
	if id == "comment" {
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

func (p *parser) jinjaTag(id string, at value.Place, code *tokens) (tree.Node, error) {
	switch id {
	case "macro":
		return p.macro(at, code)
	case "call":
		return p.callBlock(at, code)
	case "filter":
		return p.filterBlock(at, code)
	case "print":
		what, err := code.wholeTuple()
		return &tree.Print{Place: at, What: what, Path: tree.PathOf(what)}, err
	case "block":
		if _, err := code.identifier(); err != nil {
			return nil, err
		}
		body, err := p.body(at, "block")
		return &tree.Scope{Body: body}, err
	case "include", "import", "from", "extends":
		return nil, value.ErrorAt(at, "tag %q is not allowed: templates read no other files", id)
	}
	if of, ok := inner[id]; ok && id != "empty" && id != "endcomment" {
		return nil, value.ErrorAt(at, "{%% %s %%} belongs to %s, and is not inside it", id, of)
	}
	return nil, value.ErrorAt(at, "tag %q is not allowed: there are if, for, set, with, macro, call, filter, block, print and raw", id)
}

func (p *parser) branch(at value.Place, code *tokens) (tree.Node, error) {
	n := &tree.Branch{Place: at}
	end := []string{"elif", "else", "endif"}
	for tag := "if"; ; {
		switch {
		case tag == "else" || tag == "endif":
			if err := code.done(); err != nil {
				return nil, err
			}
		default:
			cond, err := code.wholeTuple()
			if err != nil {
				return nil, err
			}
			n.Conds = append(n.Conds, cond)
		}
		if tag == "endif" {
			return n, nil
		}
		if tag == "else" {
			end = []string{"endif"}
		}
		var body tree.Block
		var err error
		if body, tag, code, err = p.need(at, "if", end...); err != nil {
			return nil, err
		}
		n.Bodies = append(n.Bodies, body)
	}
}

func (p *parser) forLoop(at value.Place, code *tokens) (tree.Node, error) {
	n := &tree.For{Place: at, Unpack: p.jinja}
	var err error
	if n.Names, err = code.targets(); err != nil {
		return nil, err
	}
	if len(n.Names) > 2 && !p.jinja {
		return nil, value.ErrorAt(at, "a loop has one name, or two for object.items()")
	}
	if _, ok := code.accept(token.Keyword, "in"); !ok {
		return nil, code.unexpected("in")
	}
	if slices.Contains(n.Names, "loop") {
		return nil, value.ErrorAt(at, "loop is what the loop tells of itself: take another name")
	}
	p.bind(n.Names...)
	p.bind("loop", "forloop")
	if err := p.loopOver(n, code); err != nil {
		return nil, err
	}
	p.pairs(n)
	end := []string{"empty", "else", "endfor"}
	if p.jinja {
		end = end[1:]
	}
	var tag string
	if n.Body, tag, code, err = p.need(at, "for", end...); err != nil {
		return nil, err
	}
	if tag != "endfor" {
		if err := code.done(); err != nil {
			return nil, err
		}
		if n.None, _, code, err = p.need(at, "for", "endfor"); err != nil {
			return nil, err
		}
	}
	return n, code.done()
}

// loopOver reads what stands behind "in".
func (p *parser) loopOver(n *tree.For, code *tokens) error {
	var err error
	if !p.jinja {
		n.Over, err = code.whole()
		return err
	}
	if n.Over, err = code.tuple(false); err != nil {
		return err
	}
	if code.word("if") {
		if n.If, err = code.expression(); err != nil {
			return err
		}
	}
	n.Recursive = code.word("recursive")
	return code.done()
}

func (p *parser) set(at value.Place, code *tokens) (tree.Node, error) {
	if !p.jinja {
		a, err := p.assignment(code)
		if err == nil {
			err = code.done()
		}
		return &a, err
	}
	a := tree.Assign{Place: code.place()}
	var err error
	if a.Names, err = code.targets(); err != nil {
		return nil, err
	}
	if len(a.Names) == 1 && code.symbol(".") {
		if a.Member, err = code.identifier(); err != nil {
			return nil, err
		}
	} else {
		p.bind(a.Names...)
	}
	if code.symbol("=") {
		if a.What, err = code.wholeTuple(); err != nil {
			return nil, err
		}
		return &a, nil
	}
	if len(a.Names) != 1 || a.Member != "" {
		return nil, code.unexpected("=")
	}
	c := &tree.Capture{Place: at, Name: a.Names[0]}
	if c.Apply, err = code.filtersOf(&tree.Captured{Place: at}); err != nil {
		return nil, err
	}
	if err := code.done(); err != nil {
		return nil, err
	}
	c.Body, err = p.body(at, "set")
	return c, err
}

func (p *parser) assignment(code *tokens) (tree.Assign, error) {
	a := tree.Assign{Place: code.place()}
	name, err := code.identifier()
	if err != nil {
		return a, err
	}
	if !code.symbol("=") {
		return a, code.unexpected("=")
	}
	p.bind(name)
	a.Names = []string{name}
	a.What, err = code.expression()
	return a, err
}

func (p *parser) with(at value.Place, code *tokens) (tree.Node, error) {
	n := &tree.With{Place: at}
	for !p.jinja || code.i < len(code.list) {
		a, err := p.assignment(code)
		if err != nil {
			return nil, err
		}
		n.Sets = append(n.Sets, a)
		if !code.symbol(",") && p.jinja {
			if err := code.done(); err != nil {
				return nil, err
			}
		}
		if code.i == len(code.list) {
			break
		}
	}
	var err error
	n.Body, err = p.body(at, "with")
	return n, err
}

// comment skips to endcomment, whatever stands in between.
func (p *parser) comment(at value.Place) error {
	is := func(i int, kind token.Kind, val string) bool {
		return i < len(p.list) && p.list[i].Kind == kind && p.list[i].Val == val
	}
	for ; p.i < len(p.list); p.i++ {
		if is(p.i, token.Symbol, "{%") && is(p.i+1, token.Name, "endcomment") && is(p.i+2, token.Symbol, "%}") {
			p.i += 3
			return nil
		}
	}
	return value.ErrorAt(at, "{%% comment %%} has no {%% endcomment %%}")
}

func (p *parser) macro(at value.Place, code *tokens) (tree.Node, error) {
	name, err := code.identifier()
	if err != nil {
		return nil, err
	}
	p.bind(name)
	n := &tree.MacroOf{Place: at, Name: name}
	if !code.symbol("(") {
		return nil, code.unexpected("(")
	}
	if err := p.signature(n, code); err != nil {
		return nil, err
	}
	if err := code.done(); err != nil {
		return nil, err
	}
	n.Body, err = p.body(at, "macro")
	return n, err
}

// signature reads the params of a macro behind the opening bracket.
func (p *parser) signature(n *tree.MacroOf, code *tokens) error {
	p.bind("caller")
	for !code.symbol(")") {
		if len(n.Params) > 0 && !code.symbol(",") {
			return code.unexpected(", or )")
		}
		name, err := code.identifier()
		if err != nil {
			return err
		}
		p.bind(name)
		n.Params = append(n.Params, name)
		if code.symbol("=") {
			e, err := code.expression()
			if err != nil {
				return err
			}
			n.Defaults = append(n.Defaults, e)
		} else if len(n.Defaults) > 0 {
			return value.ErrorAt(code.place(), "a parameter without a default follows one that has one")
		}
	}
	return nil
}

func (p *parser) callBlock(at value.Place, code *tokens) (tree.Node, error) {
	n := &tree.CallBlock{Place: at, Caller: &tree.MacroOf{Place: at}}
	if code.symbol("(") {
		if err := p.signature(n.Caller, code); err != nil {
			return nil, err
		}
	}
	e, err := code.whole()
	if err != nil {
		return nil, err
	}
	call, ok := e.(*tree.Call)
	if !ok {
		return nil, value.ErrorAt(at, "{%% call %%} needs the call of a macro")
	}
	n.What = call
	n.Caller.Body, err = p.body(at, "call")
	return n, err
}

func (p *parser) filterBlock(at value.Place, code *tokens) (tree.Node, error) {
	n := &tree.Capture{Place: at}
	e, err := code.filter(&tree.Captured{Place: at})
	if err == nil {
		n.Apply, err = code.filtersOf(e)
	}
	if err == nil {
		err = code.done()
	}
	if err != nil {
		return nil, err
	}
	n.Body, err = p.body(at, "filter")
	return n, err
}
