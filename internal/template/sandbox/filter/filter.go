// Package filter holds the filters of the template language. There are no
// others: pongo2's own are out of reach. Both engines have these:
//
//	tojson          any value as JSON, in Jinja2's spelling
//	default:x       x for what is missing; default(x, true) for all that is false
//	default_if_none:x  x for what is missing or null; "", 0 and false stay
//	required:"why"  an error with this reason for what is missing, null or ""
//	safe            text that is printed as it is, wherever it stands
//	urlencode       text percent-encoded (a space is %20), but for slashes outside
//	                of paths; an object as name=value&name=value, with + for a space
//	urlpath         a path segment: %2F for a slash; an error for "", "." and ".."
//	formencode      as a form does: + for a space, %2F for a slash
//	b64encode       base64 with padding
//	b64decode       the text of base64, with padding or without, of both alphabets
//	hmac_sha256:k   HMAC-SHA256 of a text, in hex; hmac_sha256(k, "base64") in base64
//	uuid            the UUID (version 5) that belongs to a text: the same each time
//	quote_header    a quoted-string, for parameters of headers
//	upper, lower, trim
//	join:", "       the items of a list, with the separator between them
//	length          of a list, an object, or a text in characters
//	first, last     item of a list, or character of a text
package filter

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"callfleet/internal/template/sandbox/escape"
	"callfleet/internal/template/sandbox/letter"
	"callfleet/internal/template/sandbox/value"
)

// Filter is one function of the language: a filter, a test, a method or a
// function. Filters are pure.
type Filter struct {
	Apply            func(*Call) (any, error)
	Params           []string // names of the arguments, in their order
	MinArgs, MaxArgs int      // MaxArgs below 0 is any number
	TakesUndefined   bool
}

// Arity says how many arguments the filter takes.
func (f *Filter) Arity() string {
	switch {
	case f.MaxArgs == 0:
		return "no argument"
	case f.MaxArgs < 0:
		return fmt.Sprintf("at least %d arguments", f.MinArgs)
	case f.MinArgs == f.MaxArgs:
		return fmt.Sprintf("%d argument", f.MinArgs)
	}
	return fmt.Sprintf("%d to %d arguments", f.MinArgs, f.MaxArgs)
}

// Takes says what is wrong with n arguments and those that have names; "" is
// nothing.
func (f *Filter) Takes(n int, names []string) string {
	for _, name := range names {
		switch i := slices.Index(f.Params, name); {
		case i < 0:
			return fmt.Sprintf("has no argument %q", name)
		case i < n:
			return fmt.Sprintf("gets %q twice", name)
		}
	}
	if n += len(names); n < f.MinArgs || f.MaxArgs >= 0 && n > f.MaxArgs {
		return "takes " + f.Arity()
	}
	return ""
}

// Call is one use of a filter.
type Call struct {
	*value.Budget
	Place value.Place
	Path  string // of what it is applied to, for messages
	Of    any
	Args  []any
	Named *Named // nil without any
}

// Named are arguments that are given by name.
type Named struct {
	Filter *Filter
	List   []value.Member
}

// Members are the arguments that are given by name.
func (c *Call) Members() []value.Member {
	if c.Named == nil {
		return nil
	}
	return c.Named.List
}

// Arg is the argument at i, given by place or by name.
func (c *Call) Arg(i int) (any, bool) {
	if i < len(c.Args) {
		return c.Args[i], true
	}
	if c.Named == nil {
		return nil, false
	}
	for _, m := range c.Named.List {
		if i < len(c.Named.Filter.Params) && m.Key == c.Named.Filter.Params[i] {
			return m.Value, true
		}
	}
	return nil, false
}

// Errorf is an error at the call.
func (c *Call) Errorf(format string, args ...any) error {
	return value.ErrorAt(c.Place, format, args...)
}

// Lookup is nil for a name that is not in the list of filters of both engines.
func Lookup(name string) *Filter {
	switch name {
	case "tojson":
		return &Filter{Apply: toJSON, Params: []string{"indent"}, MaxArgs: 1}
	case "safe":
		return &Filter{Apply: safe}
	case "required":
		return &Filter{Apply: required, MaxArgs: 1, TakesUndefined: true}
	case "default":
		return &Filter{Apply: orDefault, MinArgs: 1, MaxArgs: 2, TakesUndefined: true}
	case "default_if_none":
		return &Filter{Apply: defaultIfNone, MinArgs: 1, MaxArgs: 1, TakesUndefined: true}
	case "urlencode":
		return &Filter{Apply: urlEncode}
	case "urlpath":
		return &Filter{Apply: urlPathSegment}
	case "formencode":
		return &Filter{Apply: formEncoded}
	case "b64encode":
		return &Filter{Apply: base64Encode}
	case "b64decode":
		return &Filter{Apply: base64Decode}
	case "hmac_sha256":
		return &Filter{Apply: hmacSHA256, Params: []string{"key", "encoding"}, MinArgs: 1, MaxArgs: 2}
	case "uuid":
		return &Filter{Apply: nameUUID}
	case "quote_header":
		return &Filter{Apply: quoteHeader}
	case "upper":
		return &Filter{Apply: onText(letter.Upper)}
	case "lower":
		return &Filter{Apply: onText(letter.Lower)}
	case "trim":
		return &Filter{Apply: onText(letter.TrimSpace)}
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

// Text is what a filter on texts is applied to.
func (c *Call) Text() (string, error) {
	s, ok := value.Printed(c.Of)
	if !ok {
		return "", c.Errorf("%s is %s, the filter needs a text or a number", c.Path, value.KindOf(c.Of))
	}
	return s, c.Grow(len(s), c.Place)
}

func onText(f func(string) string) func(*Call) (any, error) {
	return func(c *Call) (any, error) {
		s, err := c.Text()
		if err != nil {
			return nil, err
		}
		return f(s), nil
	}
}

func toJSON(c *Call) (any, error) {
	by := -1
	if arg, ok := c.Arg(0); ok && arg != nil {
		var err error
		if by, err = c.Whole(0, "indent", 0, 100); err != nil {
			return nil, err
		}
	}
	s, err := c.HTMLJSON(c.Of, by, c.Place)
	return value.Encoded{Text: s, As: value.AsJSON}, err
}

// safe leaves a text as it is. What urlencode made keeps its slashes out of
// paths all the same: who writes |urlencode|safe means it to be encoded once.
func safe(c *Call) (any, error) {
	s, err := c.Text()
	as := value.AsIs
	if e, ok := c.Of.(value.Encoded); ok && (e.As == value.AsURL || e.As == value.AsURLSafe) {
		as = value.AsURLSafe
	}
	return value.Encoded{Text: s, As: as}, err
}

// required refuses what is missing, null or empty, in the author's words.
func required(c *Call) (any, error) {
	if s, ok := value.TextOf(c.Of); c.Of != nil && (!ok || s != "") {
		if _, missing := c.Of.(value.Undefined); !missing {
			return c.Of, nil
		}
	}
	if len(c.Args) == 0 {
		return nil, c.Errorf("%s is required", c.Path)
	}
	message, ok := c.Args[0].(string)
	if !ok {
		return nil, c.Errorf("the message of required must be a text")
	}
	return nil, c.Errorf("%s is required: %s", c.Path, message)
}

// orDefault is pongo2's default, which replaces what is missing, and with true
// behind it what is false. pongo2 would replace null, Jinja2 leaves it: an
// error, unless it makes no difference to a condition.
func orDefault(c *Call) (any, error) {
	v, err := jinjaDefault(c)
	if c.Of == nil && v == nil && err == nil && value.Truth(c.Args[0]) {
		return nil, c.Errorf(`%s is null, which default leaves as it is: write default_if_none for what is missing or null, or default(…, true) for all that is false`, c.Path)
	}
	return v, err
}

// defaultIfNone replaces what is missing or null; empty texts, zero and false
// stay.
func defaultIfNone(c *Call) (any, error) {
	if _, missing := c.Of.(value.Undefined); missing || c.Of == nil {
		return c.Args[0], nil
	}
	return c.Of, nil
}

// urlEncode leaves the slashes of a text, as Jinja2 does: who prints it knows
// whether it stands in a path.
func urlEncode(c *Call) (any, error) { return c.encode(escape.Quote) }

func formEncoded(c *Call) (any, error) { return c.encode(escape.Form) }

// encode encodes a text, or an object as name=value pairs of a form.
func (c *Call) encode(text func(string) string) (any, error) {
	o, ok := c.Of.(*value.Object)
	if !ok {
		s, err := c.Text()
		return value.Encoded{Text: text(s), As: value.AsURL}, err
	}
	if err := c.Open(o, c.Place); err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, m := range o.Members {
		s, ok := value.Printed(m.Value)
		if !ok {
			return nil, c.Errorf("%s.%s is %s and has no place in a query or form", c.Path, m.Key, value.KindOf(m.Value))
		}
		if err := c.Grow(b.Len()+len(m.Key)+len(s), c.Place); err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escape.Form(m.Key))
		b.WriteByte('=')
		b.WriteString(escape.Form(s))
	}
	return value.Encoded{Text: b.String(), As: value.AsPairs}, nil
}

func urlPathSegment(c *Call) (any, error) {
	s, err := c.Text()
	if err == nil && (s == "" || s == "." || s == "..") {
		err = c.Errorf("%s is empty or dots, which is no path segment", c.Path)
	}
	return value.Encoded{Text: escape.Percent(s), As: value.AsURL}, err
}

func base64Encode(c *Call) (any, error) {
	s, err := c.Text()
	return base64.StdEncoding.EncodeToString([]byte(s)), err
}

// quoteHeader makes a quoted-string (RFC 9110 §5.6.4).
func quoteHeader(c *Call) (any, error) {
	s, err := c.Text()
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return nil, c.Errorf("%s holds a control character, which a header cannot carry", c.Path)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`, nil
}

func join(c *Call) (any, error) {
	separator := ""
	if len(c.Args) > 0 {
		var ok bool
		if separator, ok = value.Printed(c.Args[0]); !ok {
			return nil, c.Errorf("the separator of join must be a text")
		}
	}
	l, ok := c.Of.(*value.List)
	if !ok {
		return nil, c.Errorf("%s is %s, join needs a list", c.Path, value.KindOf(c.Of))
	}
	if err := c.Open(l, c.Place); err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, item := range l.Items {
		s, ok := value.Printed(item)
		if !ok {
			return nil, c.Errorf("item %d of %s is %s, join needs texts and numbers", i+1, c.Path, value.KindOf(item))
		}
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(s)
		if b.Len() > c.MaxOutput() {
			return nil, c.Errorf("makes more than %d bytes", c.MaxOutput())
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
		return nil, c.Errorf("%s is %s and has no length", c.Path, value.KindOf(c.Of))
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
		return nil, c.Errorf("%s is %s, the filter needs a list or a text", c.Path, value.KindOf(c.Of))
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
