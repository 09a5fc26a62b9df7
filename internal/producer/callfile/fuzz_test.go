package callfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"unicode/utf8"
)

// read reads text to its end and checks what holds for every file.
func read(t *testing.T, text []byte, o Options) []Line {
	t.Helper()
	r, err := NewReader(bytes.NewReader(text), o)
	if err != nil {
		if !errors.Is(err, ErrInput) {
			t.Fatalf("open: %v", err)
		}
		return nil
	}
	var lines []Line
	for {
		l, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return lines // broken compression
		}
		if n := len(lines); l.Number < 1 || n > 0 && l.Number <= lines[n-1].Number {
			t.Fatalf("line %d comes after line %d", l.Number, lines[n-1].Number)
		}
		if l.Err == nil {
			var object map[string]any
			dec := json.NewDecoder(bytes.NewReader(l.Request.Params))
			dec.UseNumber()
			if err := dec.Decode(&object); err != nil || object == nil {
				t.Fatalf("line %d: params %q: %v", l.Number, l.Request.Params, err)
			}
			if l.Request.Template == "" || l.Request.Method == "" || !utf8.Valid(l.Request.Params) {
				t.Fatalf("line %d: request %+v", l.Number, l.Request)
			}
		}
		lines = append(lines, l)
	}
	n, err := Count(bytes.NewReader(text), r.Format(), o.MaxLine)
	if err != nil || n != int64(len(lines)) {
		t.Fatalf("counted %d lines, %v; read %d", n, err, len(lines))
	}
	return lines
}

func FuzzJSONLines(f *testing.F) {
	for _, seed := range []string{
		`{"templateName":"t","method":"GET","params":{"a":1.0}}`, "{\"template\":\"t\",\"method\":\"get\"}\r\n\n{}\n", "\ufeff{", "[1]\nnull\n\"x\"",
		`{"template":"t","method":"GET","deadline":"2026-01-31T12:00:00Z","id":"a","flowKey":"f"}`, "\x1f\x8b\x08", "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) { read(t, text, Options{Format: FormatJSONL, MaxLine: 128}) })
}

func FuzzCSV(f *testing.F) {
	for _, seed := range []string{
		"template,method,a\nt,GET,1\n", "template,method,a\r\nt,GET,\"x\r\ny\"\r\n", "template,method\nt,GET,\"\nt,GET\n", "a\"b,\"c\"\"d\"\n", "\ufefftemplate,method,id\n",
		"template,method,a\nt,GET,5\" pipe\nt,GET,\"a\"b\n\n\"\"\"\n", ",,,\n\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) { read(t, text, Options{Format: FormatCSV, MaxLine: 128}) })
}
