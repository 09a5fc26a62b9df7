package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"callfleet/internal/producer/journal"
	"callfleet/internal/template/store"
)

// hostileValues try to get out of the place they are printed in.
func hostileValues() map[string]string {
	var controls strings.Builder
	for c := range 0x20 {
		controls.WriteByte(byte(c))
	}
	return map[string]string{
		"quotes":        `"','\"` + "`",
		"backslashes":   `\\\n\u0041\`,
		"closes json":   `","admin":true,"x":"`,
		"newlines":      "a\nb\r\nc\rd",
		"nul":           "a\x00b",
		"controls":      controls.String() + "\x7f",
		"line ends":     "a\u2028b\u2029c\u0085d",
		"unicode":       "Ünïcödé 漢字 🙂 \U0010ffff \ufeff",
		"template":      "{{ 7*7 }}{% for x in l %}{# x #}",
		"template end":  "}} %} #}",
		"markup":        "<script>alert('x')&amp;</script>",
		"percent":       "%00%2F%0d%0a%zz%",
		"reserved":      "a/b?c=d&e=f#g;h+i j@k:l",
		"parent":        "../../etc/passwd",
		"another host":  "@evil.example/",
		"spaces":        "  a  ",
		"looks null":    "null",
		"looks numeric": "1e999",
	}
}

// digest is how an echoing API tells what it got: the value itself, or the hash
// of a long one.
func digest(v string) string {
	if len(v) <= 4096 {
		return v
	}
	sum := sha256.Sum256([]byte(v))
	return hex.EncodeToString(sum[:])
}

// echo answers with the digest of the value it got, wherever it is in the
// request.
func echo(w http.ResponseWriter, r *http.Request) {
	var v string
	switch place, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/"); place {
	case "json":
		var body map[string]string
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body) != 1 {
			http.Error(w, "no JSON object of one member", http.StatusBadRequest)
			return
		}
		v = body["v"]
	case "form":
		text, _ := io.ReadAll(r.Body)
		form, err := url.ParseQuery(string(text))
		if err != nil || len(form) != 1 {
			http.Error(w, "no form of one field", http.StatusBadRequest)
			return
		}
		v = form.Get("v")
	case "query":
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil || len(query) != 1 {
			http.Error(w, "no query of one field", http.StatusBadRequest)
			return
		}
		v = query.Get("v")
	case "path":
		if strings.Contains(rest, "/") {
			http.Error(w, "more than one segment", http.StatusBadRequest)
			return
		}
		v, _ = url.PathUnescape(rest)
	case "header":
		v = r.Header.Get("X-V")
	case "text":
		text, _ := io.ReadAll(r.Body)
		v = string(text)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"got": digest(v)})
}

// places are templates that print v in each place of a request.
func places(api string) map[string]map[string]any {
	return map[string]map[string]any{
		"a text of JSON":   {"url": api + "/json", "contentType": "application/json", "payload": `{"v": "{{ v }}"}`},
		"a JSON value":     {"url": api + "/json", "contentType": "application/json", "payload": `{"v": {{ v|tojson }}}`},
		"a JSON structure": {"url": api + "/json", "payload": map[string]any{"v": "{{ v }}"}},
		"a form":           {"url": api + "/form", "contentType": "application/x-www-form-urlencoded", "payload": "v={{ v }}"},
		"a query":          {"url": api + "/query?v={{ v }}"},
		"a path":           {"url": api + "/path/{{ v }}"},
		"a text":           {"url": api + "/text", "contentType": "text/plain", "payload": "{{ v }}"},
		"a header":         {"url": api + "/header", "headers": map[string]any{"X-V": "{{ v }}"}},
	}
}

// echoed puts a template for every place and calls each with the values.
func (s *stack) putPlaces(t *testing.T) map[string]store.Key {
	t.Helper()
	keys := map[string]store.Key{}
	for place, attributes := range places(serve(t, echo)) {
		attributes["name"], attributes["method"] = place, "POST"
		keys[place] = s.put(t, attributes)
	}
	return keys
}

// Whatever a param holds arrives at the API byte for byte, in the place that
// the template gave it, or is refused by name.
func TestHostileParams(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.wantNothingLeft(t, everyQueue...)
	for place, key := range s.putPlaces(t) {
		for _, mode := range modes {
			t.Run(place+" "+mode, func(t *testing.T) {
				t.Parallel()
				var names []string
				var lines []line
				values := hostileValues()
				for name, v := range values {
					names = append(names, name)
					lines = append(lines, line{key, map[string]any{"v": v}})
				}
				lines = append(lines, line{key, map[string]any{"v": "good"}})
				results := s.run(t, mode, lines...)
				for i, name := range names {
					if place == "a header" && !headerValue(values[name]) {
						wantFailed(t, results[i], "Callfleet.RenderFailed", "a header POST", "headers.X-V", "control character")
						continue
					}
					if place == "a header" && strings.Trim(values[name], " \t") != values[name] {
						// RFC 9110 §5.5: white space around it is not of the value, and would be lost
						wantFailed(t, results[i], "Callfleet.RenderFailed", "a header POST", "headers.X-V", "begins or ends with white space")
						continue
					}
					wantEchoed(t, name, results[i], values[name])
				}
				wantEchoed(t, "good", results[len(names)], "good")
			})
		}
	}
}

func headerValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func wantEchoed(t *testing.T, name string, got journal.Result, want string) {
	t.Helper()
	var output struct{ Body struct{ Got string } }
	if err := json.Unmarshal(got.Output, &output); err != nil || got.StatusCode != 200 {
		t.Errorf("%s: status %s %d, error %q (%s)", name, got.Status, got.StatusCode, got.Error, got.Cause)
		return
	}
	if output.Body.Got != digest(want) {
		t.Errorf("%s: the API got %q, want %q", name, output.Body.Got, want)
	}
}

// A text of a megabyte goes through where there is room for it: in place of one
// that is too large for a message goes a reference. It is refused with the bound
// where there is no room.
func TestLargeParams(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.wantNothingLeft(t, everyQueue...)
	keys := s.putPlaces(t)
	text := func(n int) string { return strings.Repeat("0123456789abcde\n", n/16) }
	const render = "Callfleet.RenderFailed"
	for place, tc := range map[string]map[string]struct {
		bytes int
		fail  string
		says  []string
	}{
		"a text of JSON": {
			workflow: {400_000, "", nil},
			direct:   {960_000, "", nil},
		},
		"a JSON structure": {
			workflow: {200_000, "", nil},
			direct:   {1_200_000, "", nil},
		},
		"a form":   {workflow: {200_000, "", nil}, direct: {960_000, "", nil}},
		"a text":   {workflow: {240_000, "", nil}, direct: {960_000, "", nil}},
		"a query":  {workflow: {200_000, render, []string{"a query POST: url", "16384 bytes"}}, direct: {960_000, render, []string{"url", "16384 bytes"}}},
		"a path":   {workflow: {12_000, "", nil}, direct: {960_000, render, []string{"a path POST: url", "16384 bytes"}}},
		"a header": {workflow: {200_000, render, []string{"headers"}}, direct: {960_000, render, []string{"headers"}}},
	} {
		for mode, c := range tc {
			t.Run(place+" "+mode, func(t *testing.T) {
				t.Parallel()
				v := text(c.bytes)
				results := s.run(t, mode, line{keys[place], map[string]any{"v": v}}, line{keys[place], map[string]any{"v": "good"}})
				if c.fail != "" {
					wantFailed(t, results[0], c.fail, c.says...)
				} else {
					wantEchoed(t, "large", results[0], v)
				}
				wantEchoed(t, "good", results[1], "good")
			})
		}
	}
}

// What is no object is a bad line. What Step Functions does not take has its
// outcome too, though there is no execution to tell it.
func TestParamsThatAreNone(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	key := s.put(t, map[string]any{"name": "good", "method": "GET", "url": serve(t, answer)})
	deep := json.RawMessage(`{"v":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + `}`)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			results := s.run(t, mode,
				line{key, "text"}, line{key, []int{1}}, line{key, 7}, line{key, json.RawMessage(`{"a":1,"a":2}`)},
				line{key, deep}, line{key, nil},
			)
			for i, r := range results[:3] {
				wantFailed(t, r, "Callfleet.BadInput", fmt.Sprintf("line %d: params: must be an object", i+1))
			}
			wantOK(t, results[3])
			if mode == workflow {
				wantFailed(t, results[4], "Callfleet.NotStarted", results[4].ID, "nested too deep")
			} else {
				wantOK(t, results[4])
			}
			wantOK(t, results[5])
		})
	}
}
