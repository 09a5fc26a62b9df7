package producer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// maxParamFile bounds a param that is read from a file.
const maxParamFile = 1 << 20

// ParseParams makes params of command line arguments: "k=v" is a string,
// "k:=json" any JSON value as written, "k=@file" the text of a file. All
// mistakes are reported.
func ParseParams(args []string) (json.RawMessage, error) {
	var out bytes.Buffer
	var errs []error
	seen := map[string]bool{}
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	out.WriteByte('{')
	for _, arg := range args {
		key, value, err := parseParam(arg)
		if err == nil && seen[key] {
			err = errors.New("is given twice")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("param %q: %w", key, err))
			continue
		}
		seen[key] = true
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		_ = enc.Encode(key) // a string into memory: cannot fail
		out.Truncate(out.Len() - 1)
		out.WriteByte(':')
		if raw, ok := value.(json.RawMessage); ok {
			out.Write(raw)
			continue
		}
		_ = enc.Encode(value)
		out.Truncate(out.Len() - 1)
	}
	out.WriteByte('}')
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return out.Bytes(), nil
}

// parseParam returns a string or a json.RawMessage.
func parseParam(arg string) (key string, value any, err error) {
	key, text, ok := strings.Cut(arg, "=")
	if !ok {
		return arg, nil, errors.New("want k=v, k:=json or k=@file")
	}
	name, typed := strings.CutSuffix(key, ":")
	switch {
	case name == "":
		return key, nil, errors.New("has no name")
	case typed && !json.Valid([]byte(text)):
		return name, nil, errors.New("what follows := is not JSON")
	case typed:
		return name, json.RawMessage(text), nil
	case strings.HasPrefix(text, "@"):
		text, err = readParam(text[1:])
	}
	if err == nil && !utf8.ValidString(text) {
		err = errors.New("is not valid UTF-8")
	}
	return name, text, err
}

func readParam(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxParamFile+1))
	if err == nil && len(data) > maxParamFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxParamFile)
	}
	return string(data), err
}
