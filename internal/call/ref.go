package call

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// refMember is the only member of a param that stands for a blob.
const refMember = "$ref"

// EncodeRef is {"$ref": r}, which stands for the value of a param.
func EncodeRef(r BlobRef) json.RawMessage {
	data, err := encode(map[string]BlobRef{refMember: r})
	if err != nil {
		panic("encode reference: " + err.Error()) // texts and a number
	}
	return data
}

// DecodeRef reads {"$ref": {…}}; ok is false when the value is anything else. A
// reference that lacks something is an error.
func DecodeRef(value json.RawMessage) (r BlobRef, ok bool, err error) {
	if !MayHoldRef(value) || value[0] != '{' {
		return r, false, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(value, &members); err != nil || len(members) != 1 || members[refMember] == nil {
		return r, false, nil
	}
	if err := json.Unmarshal(members[refMember], &r); err != nil {
		return r, true, errors.New(`$ref: must be an object like {"url": "…", "bytes": 1, "sha256": "…"}`)
	}
	return r, true, r.Check()
}

// MayHoldRef reports whether there can be a reference in a JSON text: most have
// none, and need not be parsed for it.
func MayHoldRef(text []byte) bool { return bytes.Contains(text, []byte(`"$ref"`)) }

// Check finds what makes a reference useless.
func (r BlobRef) Check() error {
	switch {
	case r.URL == "":
		return errors.New("$ref: url: is missing")
	case r.Bytes < 0:
		return errors.New("$ref: bytes: must not be negative")
	case !hexDigest(r.SHA256):
		return errors.New("$ref: sha256: must be 64 digits of lower-case hex")
	}
	return nil
}

func hexDigest(s string) bool {
	for _, c := range []byte(s) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return len(s) == 64
}

// MapMembers is a JSON object with each member's value replaced by what f makes
// of it; nil leaves it as it is. Names and their order stay.
func MapMembers(object json.RawMessage, f func(name string, value json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error) {
	var out bytes.Buffer
	out.Grow(len(object))
	out.WriteByte('{')
	err := eachField(object, func(name string, value json.RawMessage) error {
		changed, err := f(name, value)
		if err != nil {
			return err
		}
		if changed != nil {
			value = changed
		}
		key, err := encode(name)
		if err != nil {
			return fmt.Errorf("member %q: %w", name, err)
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		out.Write(key)
		out.WriteByte(':')
		out.Write(value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}
