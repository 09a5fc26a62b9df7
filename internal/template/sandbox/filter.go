package sandbox

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// filter is one function of the language. Filters are pure.
type filter struct {
	apply            func(*filterCall) (any, error)
	minArgs, maxArgs int
	takesUndefined   bool
}

func (f *filter) arity() string {
	switch {
	case f.maxArgs == 0:
		return "no argument"
	case f.minArgs == f.maxArgs:
		return fmt.Sprintf("%d argument", f.minArgs)
	}
	return fmt.Sprintf("%d to %d arguments", f.minArgs, f.maxArgs)
}

// filterCall is one use of a filter.
type filterCall struct {
	run   *Run
	place place
	path  expr // what it is applied to, for messages
	of    any
	args  []any
}

func (c *filterCall) errorf(format string, args ...any) error {
	return errorAt(c.place, format, args...)
}

// filterNamed is nil for a name that is not in the list. There are no others:
// pongo2's own filters are out of reach.
func filterNamed(name string) *filter {
	switch name {
	case "tojson":
		return &filter{apply: toJSON}
	case "safe":
		return &filter{apply: safe}
	case "required":
		return &filter{apply: required, maxArgs: 1, takesUndefined: true}
	case "default":
		return &filter{apply: orDefault, minArgs: 1, maxArgs: 1, takesUndefined: true}
	case "urlencode":
		return &filter{apply: urlEncode}
	case "urlpath":
		return &filter{apply: urlPathSegment}
	case "formencode":
		return &filter{apply: formEncoded}
	case "b64encode":
		return &filter{apply: base64Encode}
	case "quote_header":
		return &filter{apply: quoteHeader}
	case "upper":
		return &filter{apply: onText(strings.ToUpper)}
	case "lower":
		return &filter{apply: onText(strings.ToLower)}
	case "trim":
		return &filter{apply: onText(strings.TrimSpace)}
	case "join":
		return &filter{apply: join, maxArgs: 1}
	case "length":
		return &filter{apply: length}
	case "first":
		return &filter{apply: func(c *filterCall) (any, error) { return c.item(true) }}
	case "last":
		return &filter{apply: func(c *filterCall) (any, error) { return c.item(false) }}
	}
	return nil
}

// text is what a filter on texts is applied to.
func (c *filterCall) text() (string, error) {
	s, ok := printed(c.of)
	if !ok {
		return "", c.errorf("%s is %s, the filter needs a text or a number", pathOf(c.path), kindOf(c.of))
	}
	return s, c.run.grow(len(s), c.place)
}

func onText(f func(string) string) func(*filterCall) (any, error) {
	return func(c *filterCall) (any, error) {
		s, err := c.text()
		if err != nil {
			return nil, err
		}
		return f(s), nil
	}
}

func toJSON(c *filterCall) (any, error) {
	s, err := c.run.toJSON(c.of, c.place)
	return encoded{s, asJSON}, err
}

func safe(c *filterCall) (any, error) {
	s, err := c.text()
	return encoded{s, asIs}, err
}

// required refuses what is missing, null or empty, in the author's words.
func required(c *filterCall) (any, error) {
	if s, ok := textOf(c.of); c.of != nil && (!ok || s != "") {
		if _, missing := c.of.(undefined); !missing {
			return c.of, nil
		}
	}
	if len(c.args) == 0 {
		return nil, c.errorf("%s is required", pathOf(c.path))
	}
	message, ok := c.args[0].(string)
	if !ok {
		return nil, c.errorf("the message of required must be a text")
	}
	return nil, c.errorf("%s is required: %s", pathOf(c.path), message)
}

// orDefault replaces what is missing or null; empty texts and zero stay.
func orDefault(c *filterCall) (any, error) {
	if _, missing := c.of.(undefined); missing || c.of == nil {
		return c.args[0], nil
	}
	return c.of, nil
}

func urlEncode(c *filterCall) (any, error) { return c.encode(percentEncode) }

func formEncoded(c *filterCall) (any, error) { return c.encode(formEncode) }

// encode encodes a text, or an object as name=value pairs.
func (c *filterCall) encode(f func(string) string) (any, error) {
	o, ok := c.of.(*object)
	if !ok {
		s, err := c.text()
		return encoded{f(s), asURL}, err
	}
	if err := c.run.open(o, c.place); err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, m := range o.members {
		s, ok := printed(m.value)
		if !ok {
			return nil, c.errorf("%s.%s is %s and has no place in a query or form", pathOf(c.path), m.key, kindOf(m.value))
		}
		if err := c.run.grow(b.Len()+len(m.key)+len(s), c.place); err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(f(m.key))
		b.WriteByte('=')
		b.WriteString(f(s))
	}
	return encoded{b.String(), asURL}, nil
}

func urlPathSegment(c *filterCall) (any, error) {
	s, err := c.text()
	if err == nil && (s == "" || s == "." || s == "..") {
		err = c.errorf("%s is empty or dots, which is no path segment", pathOf(c.path))
	}
	return encoded{percentEncode(s), asURL}, err
}

func base64Encode(c *filterCall) (any, error) {
	s, err := c.text()
	return base64.StdEncoding.EncodeToString([]byte(s)), err
}

// quoteHeader makes a quoted-string (RFC 9110 §5.6.4).
func quoteHeader(c *filterCall) (any, error) {
	s, err := c.text()
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return nil, c.errorf("%s holds a control character, which a header cannot carry", pathOf(c.path))
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`, nil
}

func join(c *filterCall) (any, error) {
	separator := ""
	if len(c.args) > 0 {
		var ok bool
		if separator, ok = printed(c.args[0]); !ok {
			return nil, c.errorf("the separator of join must be a text")
		}
	}
	l, ok := c.of.(*list)
	if !ok {
		return nil, c.errorf("%s is %s, join needs a list", pathOf(c.path), kindOf(c.of))
	}
	if err := c.run.open(l, c.place); err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, item := range l.items {
		s, ok := printed(item)
		if !ok {
			return nil, c.errorf("item %d of %s is %s, join needs texts and numbers", i+1, pathOf(c.path), kindOf(item))
		}
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(s)
		if b.Len() > c.run.limits.MaxOutput {
			return nil, c.errorf("makes more than %d bytes", c.run.limits.MaxOutput)
		}
	}
	return b.String(), c.run.step(c.place, len(l.items)+b.Len()/64)
}

func length(c *filterCall) (any, error) {
	switch of := c.of.(type) {
	case *list:
		err := c.run.open(of, c.place)
		return wholeNumber(len(of.items)), err
	case *object:
		err := c.run.open(of, c.place)
		return wholeNumber(len(of.members)), err
	}
	s, ok := textOf(c.of)
	if !ok {
		return nil, c.errorf("%s is %s and has no length", pathOf(c.path), kindOf(c.of))
	}
	return wholeNumber(utf8.RuneCountInString(s)), c.run.step(c.place, len(s)/64)
}

// item is the first or last item of a list, or character of a text.
func (c *filterCall) item(first bool) (any, error) {
	if l, ok := c.of.(*list); ok {
		if err := c.run.open(l, c.place); err != nil {
			return nil, err
		}
		switch n := len(l.items); {
		case n == 0:
		case first:
			return l.items[0], nil
		default:
			return l.items[n-1], nil
		}
	} else if s, ok := textOf(c.of); !ok {
		return nil, c.errorf("%s is %s, the filter needs a list or a text", pathOf(c.path), kindOf(c.of))
	} else if s != "" {
		_, size := utf8.DecodeRuneInString(s)
		if first {
			return s[:size], nil
		}
		_, size = utf8.DecodeLastRuneInString(s)
		return s[len(s)-size:], nil
	}
	return undefined{path: pathOf(c.path), reason: "it is empty"}, nil
}

var xmlEscaper = sync.OnceValue(func() *strings.Replacer {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;")
})
