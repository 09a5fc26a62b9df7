// Package param reads the params of a command line.
package param

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"callfleet/internal/call"
)

// maxParamFile bounds a file that is read as a text; a larger one is a body of
// its own.
const maxParamFile = 1 << 20

// Params are those of a command line.
type Params struct {
	members []param
}

// param is one of them: JSON, or a file that is no text or too large to be one.
type param struct {
	name  string
	value json.RawMessage
	file  string
}

// Parse reads command line arguments: "k=v" is a string, "k:=json" any
// JSON value as written, "k=@file" the text of a file, or a reference to it when
// it is no text or too large. All mistakes are reported.
func Parse(args []string) (Params, error) {
	var all Params
	var errs []error
	seen := map[string]bool{}
	for _, arg := range args {
		p, err := parseParam(arg)
		if err == nil && seen[p.name] {
			err = errors.New("is given twice")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("param %q: %w", p.name, err))
			continue
		}
		seen[p.name] = true
		all.members = append(all.members, p)
	}
	if len(errs) > 0 {
		return Params{}, errors.Join(errs...)
	}
	return all, nil
}

// JSON is the object of all params. put is asked to keep each file that is not
// in it, and says what stands for it.
func (p Params) JSON(ctx context.Context, put func(ctx context.Context, file string) (call.BlobRef, error)) (json.RawMessage, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range p.members {
		if i > 0 {
			out.WriteByte(',')
		}
		value := m.value
		if m.file != "" {
			ref, err := put(ctx, m.file)
			if err != nil {
				return nil, fmt.Errorf("param %q: %s: %w", m.name, m.file, err)
			}
			value = call.EncodeRef(ref)
		}
		out.Write(quote(m.name))
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

func quote(text string) json.RawMessage {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a string into memory: cannot fail
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

func parseParam(arg string) (param, error) {
	key, text, ok := strings.Cut(arg, "=")
	if !ok {
		return param{name: arg}, errors.New("want k=v, k:=json or k=@file")
	}
	name, typed := strings.CutSuffix(key, ":")
	switch {
	case name == "":
		return param{name: key}, errors.New("has no name")
	case typed && !json.Valid([]byte(text)):
		return param{name: name}, errors.New("what follows := is not JSON")
	case typed:
		return param{name: name, value: json.RawMessage(text)}, nil
	case strings.HasPrefix(text, "@"):
		return readParam(name, text[1:])
	case !utf8.ValidString(text):
		return param{name: name}, errors.New("is not valid UTF-8")
	}
	return param{name: name, value: quote(text)}, nil
}

// readParam reads the file if it is a text that is not too large.
func readParam(name, path string) (param, error) {
	p := param{name: name}
	f, err := os.Open(path)
	if err != nil {
		return p, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxParamFile+1))
	if err != nil {
		return p, err
	}
	if len(data) > maxParamFile || !utf8.Valid(data) {
		p.file = path
	} else {
		p.value = quote(string(data))
	}
	return p, nil
}
