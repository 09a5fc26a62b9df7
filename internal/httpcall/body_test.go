package httpcall

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"
	"time"
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
		got, encoding := classify(tc.contentType, []byte(tc.body))
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
		value, encoding := classify(contentType, body)
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

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		value, date string
		want        time.Duration
		ok          bool
	}{
		"none":           {"", "", 0, false},
		"seconds":        {"120", "", 2 * time.Minute, true},
		"zero":           {" 0 ", "", 0, true},
		"date":           {"Sun, 01 Mar 2026 12:00:30 GMT", "", 30 * time.Second, true},
		"server's clock": {"Sun, 01 Mar 2026 13:00:30 GMT", "Sun, 01 Mar 2026 13:00:00 GMT", 30 * time.Second, true},
		"past":           {"Sun, 01 Mar 2026 11:00:00 GMT", "", 0, true},
		"huge":           {"99999999999999999999", "", 1<<63 - 1, true},
		"large":          {"9999999999", "", 1<<63 - 1, true},
		"negative":       {"-1", "", 0, false},
		"nonsense":       {"soon", "", 0, false},
		"fraction":       {"1.5", "", 0, false},
	} {
		h := http.Header{"Retry-After": {tc.value}, "Date": {tc.date}}
		if got, ok := retryAfter(h, now); got != tc.want || ok != tc.ok {
			t.Errorf("%s: got %s %t, want %s %t", name, got, ok, tc.want, tc.ok)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "")
	f.Add("Sun, 01 Mar 2026 12:00:30 GMT", "Sun, 01 Mar 2026 12:00:00 GMT")
	f.Add("99999999999999999999", "x")
	f.Fuzz(func(t *testing.T, value, date string) {
		if d, _ := retryAfter(http.Header{"Retry-After": {value}, "Date": {date}}, time.Unix(0, 0)); d < 0 {
			t.Fatalf("%q at %q is a wait of %s", value, date, d)
		}
	})
}
