package call

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// What one message may be. A decoder refuses more before it looks at it.
const (
	// MaxMessageBytes bounds an encoded Request or Task: what one message of
	// SQS, and of NATS by default, holds.
	MaxMessageBytes = 1 << 20
	// MaxInputBytes bounds the input and the output of an execution and of a
	// task (a hard quota of Step Functions): a Request above it can be called
	// in direct mode only.
	MaxInputBytes = 256 << 10
	// MaxIDLength bounds the name of an execution.
	MaxIDLength = 80
	// MaxTemplateName bounds a template's name: it is a DynamoDB sort key in
	// some tables.
	MaxTemplateName = 1024

	maxMethod  = 32
	maxFlowKey = 256
	maxSeconds = 365 * 24 * 3600 // a year: no task of Step Functions lives longer
)

// EncodeRequest is the JSON of r, with params as written ({} when there are
// none), or the mistake that DecodeRequest would find.
func EncodeRequest(r Request) ([]byte, error) {
	if len(r.Params) == 0 {
		r.Params = json.RawMessage("{}")
	}
	r.Method = PinMethod(r.Method, r.Version)
	data, err := encode(r)
	if err == nil {
		_, err = decodeRequest(data)
	}
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return data, nil
}

// DecodeRequest reads a request. Fields it does not know are ignored; a field
// of the wrong type is an error that names it; null is as good as absent. The
// result shares memory with data, which must not be changed afterwards.
func DecodeRequest(data []byte) (Request, error) {
	r, err := decodeRequest(data)
	if err != nil {
		return Request{}, fmt.Errorf("decode request: %w", err)
	}
	return r, nil
}

func decodeRequest(data []byte) (Request, error) {
	r := Request{Params: json.RawMessage("{}")}
	if len(data) > MaxMessageBytes {
		return r, tooLarge(data, MaxMessageBytes)
	}
	err := eachField(data, func(name string, v json.RawMessage) error {
		switch name {
		case "id":
			return named(name, decodeString(v, &r.ID))
		case "templateName":
			return named(name, decodeString(v, &r.Template))
		case "method":
			return named(name, decodeString(v, &r.Method))
		case "params":
			return named(name, decodeObject(v, &r.Params))
		case "flowKey":
			return named(name, decodeString(v, &r.FlowKey))
		case "deadline":
			return named(name, decodeTime(v, &r.Deadline))
		case "trace":
			return named(name, decodeTrace(v, &r.Trace))
		case "templateVersion":
			if !isNull(v) { // ignored, the call would be made with another version
				return named(name, errors.New("belongs to call files; a request pins a version by its method, as GET@3"))
			}
		case "batch":
			return named(name, decodeBatch(v, &r.Batch))
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	if r.ID != "" {
		if err := ValidateID(r.ID); err != nil {
			return r, named("id", err)
		}
	}
	if err := ValidateTemplateName(r.Template); err != nil {
		return r, named("templateName", err)
	}
	r.Method, r.Version = CutVersion(r.Method)
	return r, named("method", ValidateMethod(r.Method))
}

// EncodeTask is the JSON of t, or the mistake that DecodeTask would find.
func EncodeTask(t Task) ([]byte, error) {
	if len(t.Params) == 0 {
		t.Params = json.RawMessage("{}")
	}
	data, err := encode(t)
	if err == nil {
		_, err = decodeTask(data)
	}
	if err != nil {
		return nil, fmt.Errorf("encode task: %w", err)
	}
	return data, nil
}

// DecodeTask reads a task by the rules of DecodeRequest. The template is only
// known to be an object: template.Parse judges it. A member "request" is the
// request as the state machine got it: it gives what the task's own members
// leave open.
func DecodeTask(data []byte) (Task, error) {
	t, err := decodeTask(data)
	if err != nil {
		return Task{}, fmt.Errorf("decode task: %w", err)
	}
	return t, nil
}

func decodeTask(data []byte) (Task, error) {
	var t Task
	var request json.RawMessage
	if len(data) > MaxMessageBytes {
		return t, tooLarge(data, MaxMessageBytes)
	}
	err := eachField(data, func(name string, v json.RawMessage) error {
		switch name {
		case "taskToken":
			return named(name, decodeString(v, &t.Token))
		case "id":
			return named(name, decodeString(v, &t.ID))
		case "template":
			return named(name, decodeObject(v, &t.Template))
		case "params":
			return named(name, decodeObject(v, &t.Params))
		case "flowKey":
			return named(name, decodeString(v, &t.FlowKey))
		case "deadline":
			return named(name, decodeTime(v, &t.Deadline))
		case "trace":
			return named(name, decodeTrace(v, &t.Trace))
		case "timeoutSeconds":
			return named(name, decodeSeconds(v, &t.TimeoutSeconds))
		case "batch":
			return named(name, decodeBatch(v, &t.Batch))
		case "request":
			return named(name, decodeObject(v, &request))
		}
		return nil
	})
	if err == nil && request != nil {
		err = named("request", fillFromRequest(&t, request))
	}
	if err != nil {
		return t, err
	}
	if t.Params == nil {
		t.Params = json.RawMessage("{}")
	}
	if t.Template == nil {
		return t, errors.New("template: is missing")
	}
	if t.ID != "" {
		return t, named("id", ValidateID(t.ID))
	}
	return t, nil
}

// fillFromRequest takes what a task's own fields leave open from the request
// that the state machine passed on: an execution's input, which need not be
// one that the fleet's producer wrote.
func fillFromRequest(t *Task, request json.RawMessage) error {
	return eachField(request, func(name string, v json.RawMessage) error {
		switch {
		case name == "id" && t.ID == "":
			return named(name, decodeString(v, &t.ID))
		case name == "params" && t.Params == nil:
			return named(name, decodeObject(v, &t.Params))
		case name == "flowKey" && t.FlowKey == "":
			return named(name, decodeString(v, &t.FlowKey))
		case name == "deadline" && t.Deadline.IsZero():
			return named(name, decodeTime(v, &t.Deadline))
		case name == "trace" && t.Trace == nil:
			return named(name, decodeTrace(v, &t.Trace))
		case name == "batch" && t.Batch == nil:
			return named(name, decodeBatch(v, &t.Batch))
		}
		return nil
	})
}

// encode is json.Marshal without the escaping of <, > and &, which would
// change the text of params.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// ErrID says that a text is no request id: of an outcome, that it is of an
// execution which no producer has asked for.
var ErrID = errors.New("is no request id")

// idError says why a text is no request id.
type idError string

func (e idError) Error() string      { return string(e) }
func (idError) Is(target error) bool { return target == ErrID }

// ValidateID checks a request id: 1 to 80 characters of A-Z a-z 0-9 - _. The
// error is ErrID.
func ValidateID(id string) error {
	if id == "" || len(id) > MaxIDLength {
		return idError(fmt.Sprintf("must have 1 to %d characters, has %d", MaxIDLength, len(id)))
	}
	for i := range len(id) {
		if c := id[i]; !alphanumeric(c) && c != '-' && c != '_' {
			return idError(fmt.Sprintf("may hold A-Z a-z 0-9 - _ only, character %d is another", i+1))
		}
	}
	return nil
}

// ValidateTemplateName checks the name of a template: any text without control
// characters, at most MaxTemplateName bytes.
func ValidateTemplateName(name string) error {
	if name == "" {
		return errors.New("is missing")
	}
	if len(name) > MaxTemplateName {
		return fmt.Errorf("has %d bytes, at most %d are allowed", len(name), MaxTemplateName)
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] == 0x7f {
			return fmt.Errorf("byte %d is a control character", i+1)
		}
	}
	return nil
}

// ValidateFlowKey checks a flow key: 1 to 256 printable ASCII characters, no
// spaces.
func ValidateFlowKey(key string) error {
	if key == "" || len(key) > maxFlowKey {
		return fmt.Errorf("must have 1 to %d characters, has %d", maxFlowKey, len(key))
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return fmt.Errorf("character %d is no printable ASCII character", i+1)
		}
	}
	return nil
}

// ValidateMethod checks an HTTP method: capitals, digits, - and _, such as GET.
func ValidateMethod(method string) error {
	if method == "" {
		return errors.New("is missing")
	}
	if len(method) > maxMethod {
		return fmt.Errorf("has %d characters, at most %d are allowed", len(method), maxMethod)
	}
	for i := range len(method) {
		if c := method[i]; !alphanumeric(c) && c != '-' && c != '_' || c >= 'a' {
			return errors.New("must be an HTTP method in capitals, such as GET")
		}
	}
	return nil
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
