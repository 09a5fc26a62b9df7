package content

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ contentType, body, want, encoding string }{
		"object":            {"application/json", `{"a": 1.0}`, `{"a": 1.0}`, ""},
		"scalar":            {"application/json; charset=utf-8", `42`, `42`, ""},
		"problem":           {"application/problem+json", `"x"`, `"x"`, ""},
		"object as text":    {"text/plain", ` [1]`, ` [1]`, ""},
		"object untyped":    {"", `{}`, `{}`, ""},
		"scalar as text":    {"text/plain", `42`, `"42"`, ""},
		"no JSON":           {"application/json", `{"a":`, `"{\"a\":"`, ""},
		"byte order mark":   {"application/json", "\xef\xbb\xbf{}", `{}`, ""},
		"html":              {"text/html", `<a href="x">&</a>`, `"<a href=\"x\">&</a>"`, ""},
		"empty":             {"application/json", ``, `""`, ""},
		"latin-1":           {"text/plain", "caf\xe9", `"Y2Fm6Q=="`, "base64"},
		"zero byte":         {"text/plain", "a\x00b", `"YQBi"`, "base64"},
		"broken in JSON":    {"application/json", "{\"a\":\"\xff\"}", `"eyJhIjoi/yJ9"`, "base64"},
		"line separator":    {"text/plain", "a\u2028\n", `"a\u2028\n"`, ""},
		"two values":        {"application/json", `{} {}`, `"{} {}"`, ""},
		"broken media type": {"application/json;;=", `7`, `"7"`, ""},
	} {
		got, encoding := Classify(tc.contentType, []byte(tc.body))
		if string(got) != tc.want || encoding != tc.encoding {
			t.Errorf("%s: got %s %q, want %s %q", name, got, encoding, tc.want, tc.encoding)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add("application/json", []byte(`{"a":[1,2.50,"x"]}`))
	f.Add("text/html", []byte("<p>é</p>\x00"))
	f.Add("", []byte("\xef\xbb\xbf[]"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		value, encoding := Classify(contentType, body)
		if !json.Valid(value) || !utf8.Valid(value) {
			t.Fatalf("%q makes %q, which is no JSON", body, value)
		}
		var s string
		if json.Unmarshal(value, &s) != nil {
			return // JSON as it came
		}
		if encoding == "base64" {
			b, err := base64.StdEncoding.DecodeString(s)
			if err != nil || string(b) != string(body) {
				t.Fatalf("%q does not come back from base64: %q, %v", body, b, err)
			}
		} else if s != string(body) && string(value) != string(body) && !isJSON(contentType) {
			t.Fatalf("%q became %q", body, s)
		}
	})
}
