package value

import (
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// HTMLJSON is a value as the tojson of Jinja2 writes it: in ASCII, fit for
// HTML, the members by name; indent is that of a level, and below 0 all is on
// one line. Numbers are as they print.
func (g *Budget) HTMLJSON(v any, indent int, at Place) (string, error) {
	w := htmlJSON{Budget: g, at: at, indent: indent}
	err := w.value(v, 0)
	return w.String(), err
}

type htmlJSON struct {
	*Budget
	strings.Builder
	at     Place
	indent int
}

func (w *htmlJSON) value(v any, depth int) error {
	if depth > maxEqualDepth {
		return ErrorAt(w.at, "values are nested more than %d deep", maxEqualDepth)
	}
	if err := w.Step(w.at, 1); err != nil {
		return err
	}
	if w.Len() > w.MaxOutput() {
		return ErrorAt(w.at, "makes more than %d bytes", w.MaxOutput())
	}
	if s, ok := TextOf(v); ok {
		return w.text(s)
	}
	switch v := v.(type) {
	case *List:
		if !v.plain() {
			return ErrorAt(w.at, "a range, and what a method of an object gives, has no JSON: write |list")
		}
		if err := w.Open(v, w.at); err != nil {
			return err
		}
		return w.items('[', ']', len(v.Items), depth, func(i int) error { return w.value(v.Items[i], depth+1) })
	case *Object:
		if err := w.Open(v, w.at); err != nil {
			return err
		}
		members := slices.Clone(v.Members)
		slices.SortStableFunc(members, func(a, b Member) int { return strings.Compare(a.Key, b.Key) })
		return w.items('{', '}', len(members), depth, func(i int) error {
			if err := w.text(members[i].Key); err != nil {
				return err
			}
			w.WriteString(": ")
			return w.value(members[i].Value, depth+1)
		})
	}
	s, err := w.ToJSON(v, w.at)
	w.WriteString(s)
	return err
}

func (w *htmlJSON) items(opening, closing byte, n, depth int, item func(int) error) error {
	w.WriteByte(opening)
	for i := range n {
		switch {
		case i > 0 && w.indent < 0:
			w.WriteString(", ")
		case i > 0:
			w.WriteByte(',')
		}
		w.line(depth + 1)
		if err := item(i); err != nil {
			return err
		}
	}
	if n > 0 {
		w.line(depth)
	}
	w.WriteByte(closing)
	return nil
}

func (w *htmlJSON) line(depth int) {
	if w.indent >= 0 {
		w.WriteByte('\n')
		w.WriteString(strings.Repeat(" ", w.indent*depth))
	}
}

func (w *htmlJSON) text(s string) error {
	if err := w.Budget.Grow(w.Len()+len(s), w.at); err != nil {
		return err
	}
	w.WriteByte('"')
	plain := 0 // where what needs no escape begins
	for i, c := range s {
		if ' ' <= c && c <= '~' && strings.IndexByte("\"\\<>&'", byte(c)) < 0 {
			continue
		}
		w.WriteString(s[plain:i])
		w.escape(c)
		plain = i + utf8.RuneLen(c)
	}
	w.WriteString(s[plain:])
	w.WriteByte('"')
	return w.Budget.Grow(w.Len(), w.at)
}

func (w *htmlJSON) escape(c rune) {
	if i := strings.IndexRune("\"\\\n\r\t\b\f", c); i >= 0 {
		w.WriteByte('\\')
		w.WriteByte("\"\\nrtbf"[i])
		return
	}
	if c >= 0x10000 {
		high, low := utf16.EncodeRune(c)
		w.escape(high)
		c = low
	}
	const hex = "0123456789abcdef"
	w.WriteString(`\u`)
	for shift := 12; shift >= 0; shift -= 4 {
		w.WriteByte(hex[c>>shift&15])
	}
}
