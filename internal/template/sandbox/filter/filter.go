// Package filter holds the filters of the template language. There are no
// others: pongo2's own are out of reach.
//
//	tojson          any value as JSON, as it was written in params
//	default:x       x for what is missing or null; "", 0 and false stay
//	required:"why"  an error with this reason for what is missing, null or ""
//	safe            text that is printed as it is, wherever it stands
//	urlencode       text percent-encoded (a space is %20, a slash %2F); an
//	                object as name=value&name=value
//	urlpath         the same, and an error for "", "." and ".."
//	formencode      as urlencode, with + for a space
//	b64encode       base64 with padding
//	quote_header    a quoted-string, for parameters of headers
//	upper, lower, trim
//	join:", "       the items of a list, with the separator between them
//	length          of a list, an object, or a text in characters
//	first, last     item of a list, or character of a text
package filter

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"callfleet/internal/template/sandbox/escape"
	"callfleet/internal/template/sandbox/value"
)

// Filter is one function of the language. Filters are pure.
type Filter struct {
	Apply            func(*Call) (any, error)
	MinArgs, MaxArgs int
	TakesUndefined   bool
}

// Arity says how many arguments the filter takes.
func (f *Filter) Arity() string {
	switch {
	case f.MaxArgs == 0:
		return "no argument"
	case f.MinArgs == f.MaxArgs:
		return fmt.Sprintf("%d argument", f.MinArgs)
	}
	return fmt.Sprintf("%d to %d arguments", f.MinArgs, f.MaxArgs)
}

// Call is one use of a filter.
type Call struct {
	*value.Budget
	Place value.Place
	Path  string // of what it is applied to, for messages
	Of    any
	Args  []any
}

func (c *Call) errorf(format string, args ...any) error {
	return value.ErrorAt(c.Place, format, args...)
}

// Lookup is nil for a name that is not in the list.
func Lookup(name string) *Filter {
	switch name {
	case "tojson":
		return &Filter{Apply: toJSON}
	case "safe":
		return &Filter{Apply: safe}
	case "required":
		return &Filter{Apply: required, MaxArgs: 1, TakesUndefined: true}
	case "default":
		return &Filter{Apply: orDefault, MinArgs: 1, MaxArgs: 1, TakesUndefined: true}
	case "urlencode":
		return &Filter{Apply: urlEncode}
	case "urlpath":
		return &Filter{Apply: urlPathSegment}
	case "formencode":
		return &Filter{Apply: formEncoded}
	case "b64encode":
		return &Filter{Apply: base64Encode}
	case "quote_header":
		return &Filter{Apply: quoteHeader}
	case "upper":
		return &Filter{Apply: onText(strings.ToUpper)}
	case "lower":
		return &Filter{Apply: onText(strings.ToLower)}
	case "trim":
		return &Filter{Apply: onText(strings.TrimSpace)}
	case "join":
		return &Filter{Apply: join, MaxArgs: 1}
	case "length":
		return &Filter{Apply: length}
	case "first":
		return &Filter{Apply: func(c *Call) (any, error) { return c.item(true) }}
	case "last":
		return &Filter{Apply: func(c *Call) (any, error) { return c.item(false) }}
	}
	return nil
}

// text is what a filter on texts is applied to.
func (c *Call) text() (string, error) {
	s, ok := value.Printed(c.Of)
	if !ok {
		return "", c.errorf("%s is %s, the filter needs a text or a number", c.Path, value.KindOf(c.Of))
	}
	return s, c.Grow(len(s), c.Place)
}

func onText(f func(string) string) func(*Call) (any, error) {
	return func(c *Call) (any, error) {
		s, err := c.text()
		if err != nil {
			return nil, err
		}
		return f(s), nil
	}
}

func toJSON(c *Call) (any, error) {
	s, err := c.ToJSON(c.Of, c.Place)
	return value.Encoded{Text: s, As: value.AsJSON}, err
}

func safe(c *Call) (any, error) {
	s, err := c.text()
	return value.Encoded{Text: s, As: value.AsIs}, err
}

// required refuses what is missing, null or empty, in the author's words.
func required(c *Call) (any, error) {
	if s, ok := value.TextOf(c.Of); c.Of != nil && (!ok || s != "") {
		if _, missing := c.Of.(value.Undefined); !missing {
			return c.Of, nil
		}
	}
	if len(c.Args) == 0 {
		return nil, c.errorf("%s is required", c.Path)
	}
	message, ok := c.Args[0].(string)
	if !ok {
		return nil, c.errorf("the message of required must be a text")
	}
	return nil, c.errorf("%s is required: %s", c.Path, message)
}

// orDefault replaces what is missing or null; empty texts and zero stay.
func orDefault(c *Call) (any, error) {
	if _, missing := c.Of.(value.Undefined); missing || c.Of == nil {
		return c.Args[0], nil
	}
	return c.Of, nil
}

func urlEncode(c *Call) (any, error) { return c.encode(escape.Percent) }

func formEncoded(c *Call) (any, error) { return c.encode(escape.Form) }

// encode encodes a text, or an object as name=value pairs.
func (c *Call) encode(f func(string) string) (any, error) {
	o, ok := c.Of.(*value.Object)
	if !ok {
		s, err := c.text()
		return value.Encoded{Text: f(s), As: value.AsURL}, err
	}
	if err := c.Open(o, c.Place); err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, m := range o.Members {
		s, ok := value.Printed(m.Value)
		if !ok {
			return nil, c.errorf("%s.%s is %s and has no place in a query or form", c.Path, m.Key, value.KindOf(m.Value))
		}
		if err := c.Grow(b.Len()+len(m.Key)+len(s), c.Place); err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(f(m.Key))
		b.WriteByte('=')
		b.WriteString(f(s))
	}
	return value.Encoded{Text: b.String(), As: value.AsURL}, nil
}

func urlPathSegment(c *Call) (any, error) {
	s, err := c.text()
	if err == nil && (s == "" || s == "." || s == "..") {
		err = c.errorf("%s is empty or dots, which is no path segment", c.Path)
	}
	return value.Encoded{Text: escape.Percent(s), As: value.AsURL}, err
}

func base64Encode(c *Call) (any, error) {
	s, err := c.text()
	return base64.StdEncoding.EncodeToString([]byte(s)), err
}

// quoteHeader makes a quoted-string (RFC 9110 §5.6.4).
func quoteHeader(c *Call) (any, error) {
	s, err := c.text()
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return nil, c.errorf("%s holds a control character, which a header cannot carry", c.Path)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`, nil
}

func join(c *Call) (any, error) {
	separator := ""
	if len(c.Args) > 0 {
		var ok bool
		if separator, ok = value.Printed(c.Args[0]); !ok {
			return nil, c.errorf("the separator of join must be a text")
		}
	}
	l, ok := c.Of.(*value.List)
	if !ok {
		return nil, c.errorf("%s is %s, join needs a list", c.Path, value.KindOf(c.Of))
	}
	if err := c.Open(l, c.Place); err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, item := range l.Items {
		s, ok := value.Printed(item)
		if !ok {
			return nil, c.errorf("item %d of %s is %s, join needs texts and numbers", i+1, c.Path, value.KindOf(item))
		}
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(s)
		if b.Len() > c.MaxOutput() {
			return nil, c.errorf("makes more than %d bytes", c.MaxOutput())
		}
	}
	return b.String(), c.Step(c.Place, len(l.Items)+b.Len()/64)
}

func length(c *Call) (any, error) {
	switch of := c.Of.(type) {
	case *value.List:
		err := c.Open(of, c.Place)
		return value.WholeNumber(len(of.Items)), err
	case *value.Object:
		err := c.Open(of, c.Place)
		return value.WholeNumber(len(of.Members)), err
	}
	s, ok := value.TextOf(c.Of)
	if !ok {
		return nil, c.errorf("%s is %s and has no length", c.Path, value.KindOf(c.Of))
	}
	return value.WholeNumber(utf8.RuneCountInString(s)), c.Step(c.Place, len(s)/64)
}

// item is the first or last item of a list, or character of a text.
func (c *Call) item(first bool) (any, error) {
	if l, ok := c.Of.(*value.List); ok {
		if err := c.Open(l, c.Place); err != nil {
			return nil, err
		}
		switch n := len(l.Items); {
		case n == 0:
		case first:
			return l.Items[0], nil
		default:
			return l.Items[n-1], nil
		}
	} else if s, ok := value.TextOf(c.Of); !ok {
		return nil, c.errorf("%s is %s, the filter needs a list or a text", c.Path, value.KindOf(c.Of))
	} else if s != "" {
		_, size := utf8.DecodeRuneInString(s)
		if first {
			return s[:size], nil
		}
		_, size = utf8.DecodeLastRuneInString(s)
		return s[len(s)-size:], nil
	}
	return value.Undefined{Path: c.Path, Reason: "it is empty"}, nil
}
