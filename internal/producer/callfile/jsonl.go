package callfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"callfleet/internal/call"
)

var errNotUTF8 = errors.New("is not valid UTF-8")

// jsonLines reads one JSON object per line.
type jsonLines struct{ splitter }

func (j *jsonLines) next() (Line, error) {
	for {
		text, err := j.line()
		if errors.Is(err, errTooLong) {
			return Line{Number: j.number, Err: err}, nil
		}
		if err != nil {
			return Line{}, err
		}
		if blank(text) {
			continue
		}
		l := Line{Number: j.number}
		l.Request, l.Err = parseObject(text)
		return l, nil
	}
}

// parseObject reads one request as a caller writes it. A field it does not
// know is a mistake: most are misspelt ones.
func parseObject(text []byte) (call.Request, error) {
	var r call.Request
	if !utf8.Valid(text) {
		return r, errNotUTF8
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return r, describe(err)
	}
	if fields == nil {
		return r, errors.New("is null, want an object")
	}
	_, both := fields["templateName"]
	for name, v := range fields {
		if name == "template" && both {
			return r, errors.New("has both templateName and template")
		}
		if err := setField(&r, name, v); err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
	}
	return r, checkRequest(&r)
}

func describe(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("is %s, want an object", e.Value)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("is not JSON: %w (byte %d)", e, e.Offset)
	}
	return fmt.Errorf("is not JSON: %w", err)
}

func setField(r *call.Request, name string, v json.RawMessage) error {
	switch name {
	case "templateName", "template":
		return setString(&r.Template, v)
	case "method":
		return setString(&r.Method, v)
	case "id":
		return setString(&r.ID, v)
	case "flowKey":
		return setString(&r.FlowKey, v)
	case "templateVersion":
		return setVersion(r, strings.Trim(string(v), `"`))
	case "deadline":
		var text string
		if err := setString(&text, v); err != nil {
			return err
		}
		return setDeadline(r, text)
	case "params":
		if string(v) == "null" {
			return nil
		}
		if v[0] != '{' {
			return errors.New("must be an object")
		}
		r.Params = v
		return nil
	}
	return errors.New("is no field of a call; known are templateName, method, templateVersion, params, id, flowKey, deadline")
}

func setString(s *string, v json.RawMessage) error {
	if err := json.Unmarshal(v, s); err != nil {
		return errors.New("must be a string")
	}
	return nil
}

func setDeadline(r *call.Request, text string) error {
	if text == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return errors.New("must be a time such as 2026-01-31T12:00:00Z")
	}
	r.Deadline = t
	return nil
}

// setVersion takes a number, or its text. Empty is the current version.
func setVersion(r *call.Request, text string) error {
	if text == "" || text == "null" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > call.MaxVersion {
		return errors.New("must be the number of a version, as \"producer template history\" prints it")
	}
	r.Version = n
	return nil
}

// checkRequest completes a request and checks what every call needs.
func checkRequest(r *call.Request) error {
	if method, version := call.CutVersion(r.Method); version > 0 {
		if r.Version > 0 && r.Version != version {
			return fmt.Errorf("method: pins version %d, templateVersion is %d", version, r.Version)
		}
		r.Method, r.Version = method, version
	}
	r.Method = strings.ToUpper(r.Method)
	if r.Params == nil {
		r.Params = json.RawMessage("{}")
	}
	if err := call.ValidateTemplateName(r.Template); err != nil {
		return fmt.Errorf("templateName: %w", err)
	}
	if err := call.ValidateMethod(r.Method); err != nil {
		return fmt.Errorf("method: %w", err)
	}
	return nil
}
