package call

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

func encodeLines[T any](what string, all []T) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for i, v := range all {
		if err := e.Encode(v); err != nil {
			return nil, fmt.Errorf("encode %s %d of a batch: %w", what, i+1, err)
		}
	}
	return b.Bytes(), nil
}

func decodeLines[T any](data []byte, what string, decode func([]byte) (T, error)) ([]T, error) {
	var all []T
	for line := range bytes.Lines(data) {
		v, err := decode(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			return nil, fmt.Errorf("decode %s %d of a batch: %w", what, len(all)+1, err)
		}
		all = append(all, v)
	}
	return all, nil
}

// decodeBatchCall reads a call by the rules of DecodeRequest.
func decodeBatchCall(data []byte) (BatchCall, error) {
	c := BatchCall{Params: json.RawMessage("{}")}
	err := eachField(data, func(name string, v json.RawMessage) error {
		switch name {
		case "id":
			return named(name, decodeString(v, &c.ID))
		case "params":
			return named(name, decodeObject(v, &c.Params))
		case "flowKey":
			return named(name, decodeString(v, &c.FlowKey))
		case "deadline":
			return named(name, decodeTime(v, &c.Deadline))
		case "trace":
			return named(name, decodeTrace(v, &c.Trace))
		}
		return nil
	})
	if err == nil {
		err = named("id", ValidateID(c.ID))
	}
	return c, err
}

func decodeBatch(v json.RawMessage, into **Batch) error {
	if isNull(v) {
		return nil
	}
	b := &Batch{}
	err := eachField(v, func(name string, v json.RawMessage) error {
		switch name {
		case "count":
			return named(name, decodeCount(v, &b.Count))
		case "timeoutSeconds":
			return named(name, decodeSeconds(v, &b.TimeoutSeconds))
		case "calls":
			return named(name, decodeCallList(v, &b.Calls))
		case "callsRef":
			return named(name, decodeBlobRef(v, &b.CallsRef))
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case (b.Calls == nil) == (b.CallsRef == nil):
		return errors.New("one of calls and callsRef must be there")
	case b.Calls != nil && len(b.Calls) != b.Count:
		return fmt.Errorf("count: is %d, but there are %d calls", b.Count, len(b.Calls))
	}
	*into = b
	return nil
}

func decodeCount(v json.RawMessage, n *int) error {
	parsed, err := strconv.Atoi(string(v))
	if err != nil || parsed < 1 || parsed > MaxBatch {
		return fmt.Errorf("must be a whole number from 1 to %d", MaxBatch)
	}
	*n = parsed
	return nil
}

func decodeCallList(v json.RawMessage, calls *[]BatchCall) error {
	if isNull(v) {
		return nil
	}
	var texts []json.RawMessage
	if err := json.Unmarshal(v, &texts); err != nil {
		return fmt.Errorf("must be an array, is %s", kindOf(v))
	}
	all := make([]BatchCall, 0, len(texts))
	for i, text := range texts {
		c, err := decodeBatchCall(text)
		if err != nil {
			return fmt.Errorf("call %d: %w", i+1, err)
		}
		all = append(all, c)
	}
	*calls = all
	return nil
}

func decodeBlobRef(v json.RawMessage, into **BlobRef) error {
	if isNull(v) {
		return nil
	}
	var r BlobRef
	if err := json.Unmarshal(v, &r); err != nil {
		return errors.New(`must be an object like {"url": "…", "bytes": 1, "sha256": "…"}`)
	}
	if err := r.Check(); err != nil {
		return err
	}
	*into = &r
	return nil
}
