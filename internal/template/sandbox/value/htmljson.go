package value

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// HTMLJSON is a value as the tojson of Jinja2 writes it: in ASCII, fit for
// HTML, the members by name; indent is that of a level, and below 0 all is on
// one line. Numbers are as they were written.
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
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			w.WriteByte('\\')
			w.WriteByte(byte(c))
		case c == '\n':
			w.WriteString(`\n`)
		case c == '\r':
			w.WriteString(`\r`)
		case c == '\t':
			w.WriteString(`\t`)
		case c == '\b':
			w.WriteString(`\b`)
		case c == '\f':
			w.WriteString(`\f`)
		case c >= 0x10000:
			high, low := utf16.EncodeRune(c)
			fmt.Fprintf(w, `\u%04x\u%04x`, high, low)
		case c < ' ' || c > 0x7e || strings.ContainsRune("<>&'", c):
			fmt.Fprintf(w, `\u%04x`, c)
		default:
			w.WriteByte(byte(c))
		}
	}
	w.WriteByte('"')
	return nil
}
