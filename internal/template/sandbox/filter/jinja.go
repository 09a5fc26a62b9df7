package filter

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"

	"callfleet/internal/template/sandbox/escape"
	"callfleet/internal/template/sandbox/letter"
	"callfleet/internal/template/sandbox/value"
)

// Jinja finds the filters that Jinja2 has besides those of both engines, and
// those of both that do more there; nil is none. They follow the Jinja2 3.1
// documentation, "List of Builtin Filters".
func Jinja(name string) *Filter {
	switch name {
	case "default", "d":
		return &Filter{Apply: jinjaDefault, Params: []string{"default_value", "boolean"}, MaxArgs: 2, TakesUndefined: true}
	case "length", "count":
		return Lookup("length")
	case "e", "escape":
		return &Filter{Apply: escapeHTML(true)}
	case "forceescape":
		return &Filter{Apply: escapeHTML(false)}
	case "string":
		return onStr(func(s string) string { return s })
	case "upper":
		return onStr(letter.Upper)
	case "lower":
		return onStr(letter.Lower)
	case "title":
		return onStr(letter.Title)
	case "capitalize":
		return onStr(letter.Capitalize)
	case "striptags":
		return onStr(func(s string) string {
			return strings.Join(strings.Fields(html.UnescapeString(escape.WithoutTags(s))), " ")
		})
	case "filesizeformat":
		return &Filter{Apply: fileSize, Params: []string{"binary"}, MaxArgs: 1}
	case "wordcount":
		return &Filter{Apply: wordCount}
	case "trim":
		return &Filter{Apply: Trim(strings.Trim, letter.TrimSpace), Params: []string{"chars"}, MaxArgs: 1}
	case "center":
		return &Filter{Apply: Pad(2, 80), Params: []string{"width"}, MaxArgs: 1}
	case "replace":
		return &Filter{Apply: Replace, Params: []string{"old", "new", "count"}, MinArgs: 2, MaxArgs: 3}
	case "indent":
		return &Filter{Apply: indent, Params: []string{"width", "first", "blank"}, MaxArgs: 3}
	case "truncate":
		return &Filter{Apply: truncate, Params: []string{"length", "killwords", "end", "leeway"}, MaxArgs: 4}
	case "format":
		return &Filter{Apply: format, MinArgs: 1, MaxArgs: -1}
	case "abs":
		return &Filter{Apply: absolute}
	case "int":
		return &Filter{Apply: toInt, Params: []string{"default", "base"}, MaxArgs: 2, TakesUndefined: false}
	case "float":
		return &Filter{Apply: toFloat, Params: []string{"default"}, MaxArgs: 1}
	case "round":
		return &Filter{Apply: round, Params: []string{"precision", "method"}, MaxArgs: 2}
	}
	return listFilter(name)
}

func listFilter(name string) *Filter {
	attribute := []string{"attribute"}
	switch name {
	case "join":
		return &Filter{Apply: Join, Params: []string{"d", "attribute"}, MaxArgs: 2}
	case "first":
		return &Filter{Apply: func(c *Call) (any, error) { return c.end(true) }}
	case "last":
		return &Filter{Apply: func(c *Call) (any, error) { return c.end(false) }}
	case "list":
		return &Filter{Apply: toList}
	case "items":
		return &Filter{Apply: Items}
	case "reverse":
		return &Filter{Apply: reverse}
	case "sort":
		return &Filter{Apply: sortList, Params: []string{"reverse", "case_sensitive", "attribute"}, MaxArgs: 3}
	case "dictsort":
		return &Filter{Apply: dictSort, Params: []string{"case_sensitive", "by", "reverse"}, MaxArgs: 3}
	case "unique":
		return &Filter{Apply: unique, Params: []string{"case_sensitive", "attribute"}, MaxArgs: 2}
	case "min":
		return &Filter{Apply: extreme(-1), Params: []string{"case_sensitive", "attribute"}, MaxArgs: 2}
	case "max":
		return &Filter{Apply: extreme(1), Params: []string{"case_sensitive", "attribute"}, MaxArgs: 2}
	case "sum":
		return &Filter{Apply: sum, Params: []string{"attribute", "start"}, MaxArgs: 2}
	case "map":
		return &Filter{Apply: mapped, Params: []string{"", "attribute", "default"}, MaxArgs: -1}
	case "select":
		return &Filter{Apply: chosen(true, false), MaxArgs: -1}
	case "reject":
		return &Filter{Apply: chosen(false, false), MaxArgs: -1}
	case "selectattr":
		return &Filter{Apply: chosen(true, true), MinArgs: 1, MaxArgs: -1}
	case "rejectattr":
		return &Filter{Apply: chosen(false, true), MinArgs: 1, MaxArgs: -1}
	case "groupby":
		return &Filter{Apply: groupBy, Params: append(attribute, "default", "case_sensitive"), MinArgs: 1, MaxArgs: 3}
	case "batch":
		return &Filter{Apply: batch, Params: []string{"linecount", "fill_with"}, MinArgs: 1, MaxArgs: 2}
	case "slice":
		return &Filter{Apply: slice, Params: []string{"slices", "fill_with"}, MinArgs: 1, MaxArgs: 2}
	}
	return nil
}

var htmlEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

// fileSize writes a count of bytes for people: in powers of 1,000, or 1,024.
func fileSize(c *Call) (any, error) {
	n, err := c.number()
	if err != nil {
		return nil, err
	}
	x, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return nil, c.Errorf("%s is too large", c.Path)
	}
	base, units := 1000.0, []string{"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"}
	if c.flag(0, false) {
		base, units = 1024, []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}
	}
	switch {
	case x == 1:
		return "1 Byte", nil
	case x < base:
		return fmt.Sprintf("%.0f Bytes", math.Trunc(x)+0), nil
	}
	for i, unit := range units {
		if x < math.Pow(base, float64(i+2)) || i == len(units)-1 {
			return fmt.Sprintf("%.1f %s", x/math.Pow(base, float64(i+1)), unit), nil
		}
	}
	return nil, nil // not reached
}

// str is what the filter is applied to, as text, whatever it is.
func (c *Call) str() (string, error) { return c.Str(c.Of, c.Place) }

func onStr(f func(string) string) *Filter {
	return &Filter{Apply: func(c *Call) (any, error) {
		s, err := c.str()
		if err != nil {
			return nil, err
		}
		return f(s), nil
	}}
}

// escapeHTML escapes a text once; what is HTML already stays as it is, if once
// is said.
func escapeHTML(once bool) func(*Call) (any, error) {
	return func(c *Call) (any, error) {
		if once && value.IsMarkup(c.Of) {
			return c.Of, nil
		}
		s, err := c.str()
		return value.Encoded{Text: htmlEscape.Replace(s), As: value.AsXML}, err
	}
}

// jinjaDefault replaces what is missing, and with a second argument what is
// false.
func jinjaDefault(c *Call) (any, error) {
	other, ok := c.Arg(0)
	if !ok {
		other = ""
	}
	_, missing := c.Of.(value.Undefined)
	boolean, _ := c.Arg(1)
	if missing || value.Truth(boolean) && !value.Truth(c.Of) {
		return other, nil
	}
	return c.Of, nil
}

// Whole is a whole number as an argument.
func (c *Call) Whole(i int, name string, otherwise, most int) (int, error) {
	arg, ok := c.Arg(i)
	if !ok {
		return otherwise, nil
	}
	number, ok := value.NumberOf(arg)
	n, whole := value.Integer(number)
	if !ok || !whole || n < -int64(most) || n > int64(most) {
		return 0, c.Errorf("the argument %q must be a whole number up to %d", name, most)
	}
	return int(n), nil
}

// TextArg is an argument that must be a text.
func (c *Call) TextArg(i int, otherwise string) (string, error) {
	arg, ok := c.Arg(i)
	if !ok || arg == nil {
		return otherwise, nil
	}
	s, ok := value.TextOf(arg)
	if !ok {
		return "", c.Errorf("argument %d must be a text, is %s", i+1, value.KindOf(arg))
	}
	return s, nil
}

func (c *Call) flag(i int, otherwise bool) bool {
	arg, ok := c.Arg(i)
	if !ok {
		return otherwise
	}
	return value.Truth(arg)
}
