package call

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// eachField calls f with every member of the JSON object in data, in order.
// Names are matched as written, unlike encoding/json, which ignores case: what
// a state machine finds under $.params has to be what we find. The values are
// parts of data.
func eachField(data []byte, f func(name string, value json.RawMessage) error) error {
	if !json.Valid(data) {
		return syntaxError(data)
	}
	i := skipSpace(data, 0)
	if data[i] != '{' {
		return fmt.Errorf("must be a JSON object, is %s", kindOf(data[i:]))
	}
	for i = skipSpace(data, i+1); data[i] != '}'; {
		end := endOfString(data, i)
		name := data[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			var s string
			if err := json.Unmarshal(data[i:end], &s); err != nil {
				return err
			}
			name = []byte(s)
		}
		i = skipSpace(data, skipSpace(data, end)+1) // past the colon
		end = endOfValue(data, i)
		if err := f(string(name), json.RawMessage(data[i:end:end])); err != nil {
			return err
		}
		if i = skipSpace(data, end); data[i] == ',' {
			i = skipSpace(data, i+1)
		}
	}
	return nil
}

// syntaxError says where data stops being JSON, and shows none of it: it may
// hold secrets.
func syntaxError(data []byte) error {
	if len(data) == 0 {
		return errors.New("is empty")
	}
	var v json.RawMessage
	err := json.Unmarshal(data, &v)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("is not JSON (byte %d)", syntax.Offset)
	}
	return errors.New("is not JSON")
}

// The scanners below walk text that json.Valid has accepted.

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

func endOfString(data []byte, i int) int {
	for i++; data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func endOfValue(data []byte, i int) int {
	switch data[i] {
	case '"':
		return endOfString(data, i)
	case '{', '[':
		return endOfNested(data, i)
	}
	for i < len(data) && bytes.IndexByte([]byte(",]} \n\t\r"), data[i]) < 0 {
		i++
	}
	return i
}

func endOfNested(data []byte, i int) int {
	for depth := 0; ; {
		switch data[i] {
		case '"':
			i = endOfString(data, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if i++; depth == 0 {
			return i
		}
	}
}

func isNull(v json.RawMessage) bool { return len(v) == 4 && v[0] == 'n' }

// kindOf names the kind of valid JSON, for messages.
func kindOf(v []byte) string {
	switch v[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// decodeString sets *s; null leaves it as it is.
func decodeString[S ~string](v json.RawMessage, s *S) error {
	if isNull(v) {
		return nil
	}
	if v[0] != '"' {
		return fmt.Errorf("must be a string, is %s", kindOf(v))
	}
	if inner := v[1 : len(v)-1]; plainASCII(inner) {
		*s = S(inner)
		return nil
	}
	var text string
	if err := json.Unmarshal(v, &text); err != nil {
		return err
	}
	*s = S(text)
	return nil
}

// plainASCII reports whether a JSON string stands for itself.
func plainASCII(b []byte) bool {
	for _, c := range b {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

// decodeObject sets *o to the text of an object; null leaves it as it is.
func decodeObject(v json.RawMessage, o *json.RawMessage) error {
	if isNull(v) {
		return nil
	}
	if v[0] != '{' {
		return fmt.Errorf("must be an object, is %s", kindOf(v))
	}
	*o = v
	return nil
}

func decodeTime(v json.RawMessage, t *time.Time) error {
	var text string
	if err := decodeString(v, &text); err != nil || text == "" {
		return err
	}
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return errors.New("must be a time such as 2026-01-31T12:00:00Z")
	}
	*t = parsed
	return nil
}

func decodeSeconds(v json.RawMessage, n *int) error {
	if isNull(v) {
		return nil
	}
	parsed, err := strconv.Atoi(string(v))
	if err != nil || parsed < 0 || parsed > maxSeconds {
		return fmt.Errorf("must be a whole number from 0 to %d", maxSeconds)
	}
	*n = parsed
	return nil
}

func decodeTrace(v json.RawMessage, t **Trace) error {
	if isNull(v) {
		return nil
	}
	var trace Trace
	err := eachField(v, func(name string, value json.RawMessage) error {
		switch name {
		case "traceparent":
			return named(name, decodeString(value, &trace.Parent))
		case "tracestate":
			return named(name, decodeString(value, &trace.State))
		}
		return nil
	})
	if err != nil {
		return err
	}
	*t = &trace
	return nil
}

// named puts the field's name before an error.
func named(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", field, err)
}
