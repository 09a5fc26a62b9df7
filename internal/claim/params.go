package claim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"callfleet/internal/call"
)

// The content types of params that Shrink puts: they come back as what they
// were.
const (
	textType = "text/plain; charset=utf-8"
	jsonType = "application/json"
)

// Resolve replaces the references among params by what they stand for: a JSON
// value where the blob's content type says so, else its text. The params named
// except are left alone. The error is a *call.Failure, or the cause of ctx.
func (c *Checker) Resolve(ctx context.Context, params json.RawMessage, except []string) (json.RawMessage, error) {
	if !call.MayHoldRef(params) {
		return params, nil
	}
	left := c.opts.MaxParams
	resolved, err := call.MapMembers(params, func(name string, value json.RawMessage) (json.RawMessage, error) {
		ref, ok, err := call.DecodeRef(value)
		switch {
		case slices.Contains(except, name), err == nil && !ok:
			return nil, nil
		case err != nil:
			return nil, badParam(name, err.Error())
		}
		if left -= ref.Bytes; left < 0 {
			return nil, badParam(name, fmt.Sprintf("params from references have more than %d bytes; a whole body may be larger, see payloadRef", c.opts.MaxParams))
		}
		value, err = c.value(ctx, ref)
		if f, ok := errors.AsType[*call.Failure](err); ok {
			return nil, &call.Failure{Name: f.Name, Cause: paramCause(name, f.Cause)}
		}
		return value, err
	})
	if err == nil {
		return resolved, nil
	}
	if _, ok := errors.AsType[*call.Failure](err); ok || ctx.Err() != nil {
		return nil, err
	}
	return nil, &call.Failure{Name: call.RenderFailed, Cause: "params: " + err.Error()}
}

func badParam(name, cause string) error {
	return &call.Failure{Name: call.BadReference, Cause: paramCause(name, cause)}
}

func paramCause(name, cause string) string {
	return fmt.Sprintf("param %.100q: %s", name, cause)
}

// value reads a whole blob.
func (c *Checker) value(ctx context.Context, ref call.BlobRef) (json.RawMessage, error) {
	r, err := c.Open(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data := bytes.NewBuffer(make([]byte, 0, ref.Bytes+bytes.MinRead))
	if _, err := io.Copy(data, r); err != nil {
		return nil, err
	}
	switch text := data.Bytes(); {
	case isJSON(ref.ContentType) && json.Valid(text):
		return text, nil
	case !utf8.Valid(text):
		return nil, &call.Failure{Name: call.BadReference, Cause: "the blob is no text: it can only be a whole body, see payloadRef"}
	default:
		return quote(text), nil
	}
}

func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == jsonType || strings.HasSuffix(t, "+json"))
}

func quote(text []byte) json.RawMessage {
	var b bytes.Buffer
	b.Grow(len(text) + len(text)/16 + 3)
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(string(text)) // a string always has JSON
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// leastMoved is the smallest value that is worth a reference.
const leastMoved = 1 << 10

// Shrink puts the largest params of the request id into the store until what is
// left has at most so many bytes, and returns it with references in their
// place. Params that are small enough, or cannot get smaller, stay as they are.
// The error is a *call.Failure when a value is too large for the store.
func (c *Checker) Shrink(ctx context.Context, id string, params json.RawMessage, most int) (json.RawMessage, error) {
	if len(params) <= most {
		return params, nil
	}
	moved, err := largest(params, len(params)-most)
	if err != nil || len(moved) == 0 {
		return params, nil // whoever encodes the request says what is wrong with it
	}
	return call.MapMembers(params, func(name string, value json.RawMessage) (json.RawMessage, error) {
		if !slices.Contains(moved, name) {
			return nil, nil
		}
		kind, data := jsonType, []byte(value)
		if value[0] == '"' {
			var text string
			if err := json.Unmarshal(value, &text); err != nil {
				return nil, err
			}
			kind, data = textType, []byte(text)
		}
		ref, err := c.PutParam(ctx, id, kind, bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("param %q: %w", name, err)
		}
		return call.EncodeRef(ref), nil
	})
}

// largest are the names of the fewest params that make so many bytes or more.
func largest(params json.RawMessage, bytes int) ([]string, error) {
	type member struct {
		name string
		size int
	}
	var all []member
	_, err := call.MapMembers(params, func(name string, value json.RawMessage) (json.RawMessage, error) {
		if len(value) >= leastMoved {
			all = append(all, member{name, len(value)})
		}
		return nil, nil
	})
	slices.SortStableFunc(all, func(a, b member) int { return b.size - a.size })
	var names []string
	for _, m := range all {
		if bytes <= 0 {
			break
		}
		names = append(names, m.name)
		bytes -= m.size - refSize
	}
	return names, err
}

// refSize is about what a reference takes.
const refSize = 400
