package filter

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"callfleet/internal/template/sandbox/value"
)

// Function finds a function of both engines; nil is none. now and uuid are the
// only ones that are not pure.
func Function(name string) *Filter {
	switch name {
	case "now":
		return &Filter{Apply: now, Params: []string{"format"}, MaxArgs: 1}
	case "uuid":
		return &Filter{Apply: randomUUID}
	}
	return nil
}

// base64Decode takes both alphabets, with padding or without.
func base64Decode(c *Call) (any, error) {
	s, err := c.Text()
	if err != nil {
		return nil, err
	}
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return nil, c.Errorf("%s is no base64", c.Path)
	}
	if !utf8.Valid(b) {
		return nil, c.Errorf("%s is the base64 of something that is no text", c.Path)
	}
	return string(b), nil
}

func hmacSHA256(c *Call) (any, error) {
	s, err := c.Text()
	if err != nil {
		return nil, err
	}
	arg, _ := c.Arg(0)
	key, ok := value.TextOf(arg)
	if !ok || key == "" {
		return nil, c.Errorf("the key of hmac_sha256 must be a text that is not empty")
	}
	if err := c.Step(c.Place, 1+len(s)/8); err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(s))
	switch encoding, _ := c.Arg(1); encoding {
	case nil, "hex":
		return hex.EncodeToString(h.Sum(nil)), nil
	case "base64":
		return base64.StdEncoding.EncodeToString(h.Sum(nil)), nil
	}
	return nil, c.Errorf(`the encoding of hmac_sha256 must be "hex" or "base64"`)
}

// nameUUID is version 5 of RFC 9562 §5.5, in the namespace of object
// identifiers: the same for the same text, on every attempt.
func nameUUID(c *Call) (any, error) {
	s, err := c.Text()
	if err != nil {
		return nil, err
	}
	if err := c.Step(c.Place, 1+len(s)/8); err != nil {
		return nil, err
	}
	h := sha1.New()
	h.Write([]byte("\x6b\xa7\xb8\x12\x9d\xad\x11\xd1\x80\xb4\x00\xc0\x4f\xd4\x30\xc8"))
	h.Write([]byte(s))
	return formatUUID([16]byte(h.Sum(nil)[:16]), 5), nil
}

func formatUUID(b [16]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func randomUUID(*Call) (any, error) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return formatUUID(b, 4), nil
}

// now is the time at which the rendering began to ask: the same in all of its
// texts.
func now(c *Call) (any, error) {
	t := c.Now().UTC()
	switch format, _ := c.Arg(0); format {
	case nil, "rfc3339":
		return t.Format(time.RFC3339), nil
	case "http":
		return t.Format(http.TimeFormat), nil
	case "date":
		return t.Format(time.DateOnly), nil
	case "unix":
		return value.WholeNumber(int(t.Unix())), nil
	case "unix_ms":
		return value.WholeNumber(int(t.UnixMilli())), nil
	}
	return nil, c.Errorf(`the format of now must be "rfc3339", "http", "date", "unix" or "unix_ms"`)
}
