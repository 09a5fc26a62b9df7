package callfile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"callfleet/internal/call"
)

// records reads CSV (RFC 4180) under a header row. The columns templateName
// (or template), method, templateVersion, id, flowKey and deadline are the
// call's own; every other one is a param, as a string.
type records struct {
	splitter
	columns []column
	parser  *csv.Reader
	current bytes.Reader // what parser reads
	out     bytes.Buffer // params being written
	strings *json.Encoder
}

// column is one column of the header. set is nil for a param.
type column struct {
	set func(r *call.Request, text string) error
	key string // of a param: its quoted name and a colon
}

func newRecords(in *bufio.Reader) (*records, error) {
	c := &records{splitter: splitter{in: in}}
	c.strings = json.NewEncoder(&c.out)
	c.strings.SetEscapeHTML(false)
	for {
		text, _, err := c.record()
		switch {
		case errors.Is(err, io.EOF):
			return c, nil // an empty file: no calls
		case err != nil:
			return nil, fmt.Errorf("%w: header: %w", ErrInput, err)
		case blank(text):
			continue
		}
		names, err := c.parse(text)
		if err == nil {
			err = c.setColumns(names)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: header: %w", ErrInput, err)
		}
		return c, nil
	}
}

func (c *records) setColumns(names []string) error {
	seen := map[string]bool{}
	for i, name := range names {
		name = strings.TrimSpace(name)
		if name == "" {
			return fmt.Errorf("column %d has no name", i+1)
		}
		if name == "template" {
			name = "templateName"
		}
		if seen[name] {
			return fmt.Errorf("column %q is there twice", name)
		}
		seen[name] = true
		col := column{set: special(name)}
		if col.set == nil {
			col.key = c.quote(name) + ":"
		}
		c.columns = append(c.columns, col)
	}
	for _, name := range []string{"templateName", "method"} {
		if !seen[name] {
			return fmt.Errorf("column %q is missing; found %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}

func special(name string) func(*call.Request, string) error {
	into := func(field func(*call.Request) *string) func(*call.Request, string) error {
		return func(r *call.Request, text string) error { *field(r) = text; return nil }
	}
	switch name {
	case "templateName":
		return into(func(r *call.Request) *string { return &r.Template })
	case "method":
		return into(func(r *call.Request) *string { return &r.Method })
	case "id":
		return into(func(r *call.Request) *string { return &r.ID })
	case "flowKey":
		return into(func(r *call.Request) *string { return &r.FlowKey })
	case "templateVersion":
		return func(r *call.Request, text string) error {
			if err := setVersion(r, strings.TrimSpace(text)); err != nil {
				return fmt.Errorf("templateVersion: %w", err)
			}
			return nil
		}
	case "deadline":
		return func(r *call.Request, text string) error {
			if err := setDeadline(r, text); err != nil {
				return fmt.Errorf("deadline: %w", err)
			}
			return nil
		}
	}
	return nil
}

func (c *records) next() (Line, error) {
	for {
		text, first, err := c.record()
		l := Line{Number: first}
		switch {
		case errors.Is(err, errTooLong), errors.Is(err, errOpenQuote):
			l.Err = err
			return l, nil
		case err != nil:
			return Line{}, err
		case blank(text):
			continue
		}
		l.Request, l.Err = c.request(text)
		return l, nil
	}
}

func (c *records) request(text []byte) (call.Request, error) {
	var r call.Request
	if !utf8.Valid(text) {
		return r, errNotUTF8
	}
	fields, err := c.parse(text)
	if err != nil {
		return r, err
	}
	if len(fields) != len(c.columns) {
		return r, fmt.Errorf("has %d fields, the header has %d", len(fields), len(c.columns))
	}
	c.out.Reset()
	c.out.WriteByte('{')
	for i, text := range fields {
		if set := c.columns[i].set; set != nil {
			if err := set(&r, text); err != nil {
				return r, err
			}
			continue
		}
		if c.out.Len() > 1 {
			c.out.WriteByte(',')
		}
		c.out.WriteString(c.columns[i].key)
		c.writeString(text)
	}
	c.out.WriteByte('}')
	r.Params = bytes.Clone(c.out.Bytes())
	return r, checkRequest(&r)
}

// parse takes one record apart. A new parser is made only after a mistake,
// which may leave the old one in the middle of the record.
func (c *records) parse(text []byte) ([]string, error) {
	c.current.Reset(text)
	if c.parser == nil {
		c.parser = csv.NewReader(&c.current)
		c.parser.FieldsPerRecord = -1
		c.parser.ReuseRecord = true
	}
	fields, err := c.parser.Read()
	if err == nil {
		// Reads the end, which makes the parser ready for the next record.
		if _, err = c.parser.Read(); errors.Is(err, io.EOF) {
			return fields, nil
		}
	}
	c.parser = nil
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return nil, fmt.Errorf("is not CSV: %w (column %d)", e.Err, e.Column)
	}
	return nil, errors.New("is not one CSV record")
}

func (c *records) quote(s string) string {
	defer c.out.Reset()
	c.writeString(s)
	return c.out.String()
}

func (c *records) writeString(s string) {
	_ = c.strings.Encode(s)         // a string into memory: cannot fail
	c.out.Truncate(c.out.Len() - 1) // the line end that Encode adds
}
