// Package method holds what Jinja2 templates may call: the methods of Python's
// texts, lists and dicts that change nothing, and Jinja2's functions.
package method

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"callfleet/internal/template/sandbox/filter"
	"callfleet/internal/template/sandbox/letter"
	"callfleet/internal/template/sandbox/value"
)

// Lookup finds a method; nil is none.
func Lookup(name string) *filter.Filter {
	switch name {
	case "items":
		return &filter.Filter{Apply: func(c *filter.Call) (any, error) {
			l, err := filter.Items(c)
			if err == nil {
				l.(*value.List).View = "dict_items"
			}
			return l, err
		}}
	case "keys":
		return &filter.Filter{Apply: onObject("dict_keys", func(m value.Member) any { return m.Key })}
	case "values":
		return &filter.Filter{Apply: onObject("dict_values", func(m value.Member) any { return m.Value })}
	case "get":
		return &filter.Filter{Apply: get, MinArgs: 1, MaxArgs: 2}
	case "count":
		return &filter.Filter{Apply: count, MinArgs: 1, MaxArgs: 1}
	case "index":
		return &filter.Filter{Apply: index, MinArgs: 1, MaxArgs: 1}
	}
	if f := changing(name); f != nil {
		return textual(f)
	}
	if f := asking(name); f != nil {
		return textual(f)
	}
	return nil
}

// changing finds the methods of texts that make another text of one, or many.
func changing(name string) *filter.Filter {
	switch name {
	case "upper", "lower", "capitalize":
		return filter.Jinja(name)
	case "title":
		return &filter.Filter{Apply: func(c *filter.Call) (any, error) {
			s, err := c.Text()
			return letter.TitleCase(s), err
		}}
	case "strip":
		return &filter.Filter{Apply: filter.Jinja("trim").Apply, MaxArgs: 1}
	case "lstrip":
		return &filter.Filter{Apply: filter.Trim(strings.TrimLeft, func(s string) string { return strings.TrimLeftFunc(s, unicode.IsSpace) }), MaxArgs: 1}
	case "rstrip":
		return &filter.Filter{Apply: filter.Trim(strings.TrimRight, func(s string) string { return strings.TrimRightFunc(s, unicode.IsSpace) }), MaxArgs: 1}
	case "ljust":
		return &filter.Filter{Apply: filter.Pad(0, 0), MinArgs: 1, MaxArgs: 2}
	case "rjust":
		return &filter.Filter{Apply: filter.Pad(1, 0), MinArgs: 1, MaxArgs: 2}
	case "center":
		return &filter.Filter{Apply: filter.Pad(2, 0), MinArgs: 1, MaxArgs: 2}
	case "zfill":
		return &filter.Filter{Apply: zeroFill, MinArgs: 1, MaxArgs: 1}
	case "replace":
		return &filter.Filter{Apply: filter.Replace, MinArgs: 2, MaxArgs: 3}
	case "split":
		return &filter.Filter{Apply: split, Params: []string{"sep", "maxsplit"}, MaxArgs: 2}
	case "splitlines":
		return &filter.Filter{Apply: func(c *filter.Call) (any, error) {
			s, err := c.Text()
			return texts(strings.Split(strings.TrimSuffix(strings.ReplaceAll(s, "\r\n", "\n"), "\n"), "\n")), err
		}}
	case "join":
		return &filter.Filter{Apply: joinOf, MinArgs: 1, MaxArgs: 1}
	case "format":
		return &filter.Filter{Apply: formatBraces, MaxArgs: -1}
	case "removeprefix":
		return withPart(func(s, part string) any { return strings.TrimPrefix(s, part) })
	case "removesuffix":
		return withPart(func(s, part string) any { return strings.TrimSuffix(s, part) })
	case "partition":
		return withPart(partition)
	}
	return nil
}

// asking finds the methods that ask something about a text.
func asking(name string) *filter.Filter {
	switch name {
	case "startswith":
		return withPart(func(s, part string) any { return strings.HasPrefix(s, part) })
	case "endswith":
		return withPart(func(s, part string) any { return strings.HasSuffix(s, part) })
	case "find":
		return withPart(func(s, part string) any { return runeIndex(s, strings.Index(s, part)) })
	case "rfind":
		return withPart(func(s, part string) any { return runeIndex(s, strings.LastIndex(s, part)) })
	case "isdigit":
		return all(unicode.IsDigit)
	case "isalpha":
		return all(unicode.IsLetter)
	case "isalnum":
		return all(func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
	case "isspace":
		return all(unicode.IsSpace)
	case "isupper":
		return filter.Test("upper")
	case "islower":
		return filter.Test("lower")
	}
	return nil
}

// textual keeps a method of texts from other values, as Python does.
func textual(f *filter.Filter) *filter.Filter {
	of := *f
	of.Apply = func(c *filter.Call) (any, error) {
		if _, ok := value.TextOf(c.Of); !ok {
			return nil, c.Errorf("%s is %s, which has no such method", c.Path, value.KindOf(c.Of))
		}
		return f.Apply(c)
	}
	return &of
}

func partition(s, part string) any {
	before, after, found := strings.Cut(s, part)
	if !found {
		part = ""
	}
	return &value.List{Items: []any{before, part, after}, Tuple: true}
}

func onObject(view string, f func(value.Member) any) func(*filter.Call) (any, error) {
	return func(c *filter.Call) (any, error) {
		o, ok := c.Of.(*value.Object)
		if !ok {
			return nil, c.Errorf("%s is %s, which has no such method", c.Path, value.KindOf(c.Of))
		}
		if err := c.Open(o, c.Place); err != nil {
			return nil, err
		}
		l := &value.List{Items: make([]any, len(o.Members)), View: view}
		for i, m := range o.Members {
			l.Items[i] = f(m)
		}
		return l, c.Step(c.Place, 1+len(l.Items))
	}
}

func get(c *filter.Call) (any, error) {
	o, ok := c.Of.(*value.Object)
	if !ok {
		return nil, c.Errorf("%s is %s, which has no such method", c.Path, value.KindOf(c.Of))
	}
	if err := c.Open(o, c.Place); err != nil {
		return nil, err
	}
	if v, ok, _ := value.Lookup(o, c.Args[0]); ok {
		return v, nil
	}
	v, _ := c.Arg(1)
	return v, nil
}

func texts(list []string) *value.List {
	l := &value.List{Items: make([]any, len(list))}
	for i, s := range list {
		l.Items[i] = s
	}
	return l
}

func split(c *filter.Call) (any, error) {
	s, err := c.Text()
	if err != nil {
		return nil, err
	}
	if err := c.Step(c.Place, 1+len(s)/2); err != nil {
		return nil, err
	}
	n, err := c.Whole(1, "maxsplit", -1, filter.MaxWidth)
	if err != nil {
		return nil, err
	}
	if arg, ok := c.Arg(0); !ok || arg == nil {
		if n >= 0 {
			return nil, c.Errorf("split with maxsplit needs a separator")
		}
		return texts(strings.Fields(s)), nil
	}
	separator, err := c.TextArg(0, "")
	if err == nil && separator == "" {
		err = c.Errorf("split needs a separator that is not empty")
	}
	if n >= 0 {
		n++
	}
	return texts(strings.SplitN(s, separator, n)), err
}

// joinOf is separator.join(list), whose items must be texts.
func joinOf(c *filter.Call) (any, error) {
	separator, err := c.Text()
	if err != nil {
		return nil, err
	}
	of := filter.Call{Budget: c.Budget, Place: c.Place, Path: "the list", Of: c.Args[0], Args: []any{separator}}
	list, err := of.List()
	if err != nil {
		return nil, err
	}
	for i, item := range list {
		if _, ok := value.TextOf(item); !ok {
			return nil, c.Errorf("item %d of the list is %s, the method join needs texts", i+1, value.KindOf(item))
		}
	}
	return filter.Join(&of)
}

func withPart(f func(s, part string) any) *filter.Filter {
	return &filter.Filter{MinArgs: 1, MaxArgs: 1, Apply: func(c *filter.Call) (any, error) {
		s, err := c.Text()
		if err != nil {
			return nil, err
		}
		part, err := c.TextArg(0, "")
		return f(s, part), err
	}}
}

func runeIndex(s string, i int) value.Number {
	if i > 0 {
		i = utf8.RuneCountInString(s[:i])
	}
	return value.WholeNumber(i)
}

func all(f func(rune) bool) *filter.Filter {
	return &filter.Filter{Apply: func(c *filter.Call) (any, error) {
		s, err := c.Text()
		return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !f(r) }), err
	}}
}

// count counts the parts of a text, or the items of a list.
func count(c *filter.Call) (any, error) {
	if s, ok := value.TextOf(c.Of); ok {
		part, err := c.TextArg(0, "")
		return value.WholeNumber(strings.Count(s, part)), err
	}
	list, err := c.List()
	if err != nil {
		return nil, err
	}
	n := 0
	for _, item := range list {
		same, err := c.Equal(item, c.Args[0], c.Place, 0)
		if err != nil {
			return nil, err
		}
		if same {
			n++
		}
	}
	return value.WholeNumber(n), nil
}

var brace = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\{\{|\}\}|\{([^{}]*)\}|[{}]`) })

// formatBraces is Python's str.format with {}, {0} and {name}, and nothing
// behind them.
func formatBraces(c *filter.Call) (any, error) {
	s, err := c.Text()
	if err != nil {
		return nil, err
	}
	next := 0
	size := len(s)
	out := brace().ReplaceAllStringFunc(s, func(part string) string {
		if part == "{{" || part == "}}" {
			return part[:1]
		}
		key := strings.Trim(part, "{}")
		i, number := strconv.Atoi(key)
		if key == "" && len(part) == 2 {
			i, number = next, nil
			next++
		}
		var v any
		found := number == nil && 0 <= i && i < len(c.Args)
		if found {
			v = c.Args[i]
		}
		for _, m := range c.Members() {
			if m.Key == key {
				v, found = m.Value, true
			}
		}
		if !found && err == nil {
			err = c.Errorf("format knows {}, {0} and {name} of its arguments, and nothing behind them")
		}
		text, wrong := c.Str(v, c.Place)
		if size += len(text); err == nil {
			err = wrong
		}
		if err == nil {
			err = c.Grow(size, c.Place)
		}
		if err != nil {
			return ""
		}
		return text
	})
	return out, err
}

// index is where a text has a part, or a list an item.
func index(c *filter.Call) (any, error) {
	if s, ok := value.TextOf(c.Of); ok {
		part, err := c.TextArg(0, "")
		if i := strings.Index(s, part); err == nil && i >= 0 {
			return runeIndex(s, i), nil
		}
		return nil, c.Errorf("%s does not hold this", c.Path)
	}
	list, err := c.List()
	if err != nil {
		return nil, err
	}
	for i, item := range list {
		if same, err := c.Equal(item, c.Args[0], c.Place, 0); same || err != nil {
			return value.WholeNumber(i), err
		}
	}
	return nil, c.Errorf("%s does not hold this", c.Path)
}

func zeroFill(c *filter.Call) (any, error) {
	s, err := c.Text()
	if err != nil {
		return nil, err
	}
	n, err := c.Whole(0, "width", 0, filter.MaxWidth)
	missing := max(0, n-utf8.RuneCountInString(s))
	sign := ""
	if s != "" && (s[0] == '-' || s[0] == '+') {
		sign, s = s[:1], s[1:]
	}
	return sign + strings.Repeat("0", missing) + s, err
}
