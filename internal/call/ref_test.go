package call_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"callfleet/internal/call"
)

var digest = strings.Repeat("0a", 32)

func TestRefRoundTrip(t *testing.T) {
	t.Parallel()
	want := call.BlobRef{URL: "s3://b/k?<&>", Bytes: 7, ContentType: "image/png", SHA256: digest}
	got, ok, err := call.DecodeRef(call.EncodeRef(want))
	if err != nil || !ok || got != want {
		t.Errorf("got %+v, %v, %v", got, ok, err)
	}
}

func TestDecodeRef(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{ // "no": no reference, "": one, else what is wrong
		`{"$ref":{"url":"x","bytes":0,"sha256":"` + digest + `"}}`:          "",
		`{"$ref":{"url":"x","bytes":0,"sha256":"` + digest + `"},"more":1}`: "no",
		`{"a":{"$ref":{"url":"x"}}}`:                                        "no",
		`["$ref"]`:                                                          "no",
		`"$ref"`:                                                            "no",
		`{}`:                                                                "no",
		`7`:                                                                 "no",
		`{"$ref":null}`:                                                     "url",
		`{"$ref":"file:///etc/passwd"}`:                                     "must be an object",
		`{"$ref":{"url":"","bytes":0,"sha256":"` + digest + `"}}`:                   "url",
		`{"$ref":{"url":"x","bytes":-1,"sha256":"` + digest + `"}}`:                 "negative",
		`{"$ref":{"url":"x","bytes":1e99,"sha256":"` + digest + `"}}`:               "must be an object",
		`{"$ref":{"url":"x","bytes":1,"sha256":"` + digest[:63] + `"}}`:             "sha256",
		`{"$ref":{"url":"x","bytes":1,"sha256":"` + strings.ToUpper(digest) + `"}}`: "sha256",
		`{"$ref":{"url":"x","bytes":1}}`:                                            "sha256",
	} {
		_, ok, err := call.DecodeRef(json.RawMessage(value))
		switch {
		case want == "no" && (ok || err != nil), want == "" && (!ok || err != nil):
			t.Errorf("%s: %v, %v, want %q", value, ok, err, want)
		case want != "no" && want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want an error about %q", value, err, want)
		}
	}
}

func TestMapMembers(t *testing.T) {
	t.Parallel()
	got, err := call.MapMembers(json.RawMessage(` {"a<":1.50, "b\u00e9":{"x":[1, 2]}, "c":null} `), func(name string, v json.RawMessage) (json.RawMessage, error) {
		if name == "bé" {
			return json.RawMessage(`"new"`), nil
		}
		return nil, nil
	})
	if want := `{"a<":1.50,"bé":"new","c":null}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if got, err := call.MapMembers(json.RawMessage(`{}`), nil); err != nil || string(got) != "{}" {
		t.Errorf("got %s, %v", got, err)
	}
	broken := errors.New("broken")
	if _, err := call.MapMembers(json.RawMessage(`{"a":1}`), func(string, json.RawMessage) (json.RawMessage, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := call.MapMembers(json.RawMessage(`[1]`), nil); err == nil {
		t.Error("an array is taken")
	}
}

func FuzzDecodeRef(f *testing.F) {
	f.Add(string(call.EncodeRef(call.BlobRef{URL: "s3://b/k", Bytes: 1, SHA256: digest})))
	f.Add(`{"$ref":{"url":"x"}}`)
	f.Add(`{"$ref":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) || strings.TrimSpace(text) != text {
			return
		}
		r, ok, err := call.DecodeRef(json.RawMessage(text))
		if err == nil && ok && r.Check() != nil {
			t.Errorf("%q is a reference that is none: %v", text, r.Check())
		}
		_, _ = call.MapMembers(json.RawMessage(text), func(string, json.RawMessage) (json.RawMessage, error) { return nil, nil })
	})
}
