package template_test

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"callfleet/internal/call"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
)

//go:embed testdata/blns/blns.json
var naughtyList []byte

// naughty is the Big List of Naughty Strings, and what it lacks of our own
// fears: 500 at least.
func naughty(t *testing.T) []string {
	t.Helper()
	var list []string
	if err := json.Unmarshal(naughtyList, &list); err != nil {
		t.Fatal(err)
	}
	list = append(list, "..", "...", "%2e%2e", `\`, `\\`, `\"`, `","admin":true,"x":"`, `{{ v }}`, `{% for %}`, `{% raw %}`, `{# #}`, "a\r\nX-Evil: 1",
		"a\nb", "a\rb", "\x00", "a\x1fb", "\x7f", " a", "a ", "\ta", "a\t", "a\tb", "a;b", "a%", "%zz", "+", "a+b", "a=b&c=d", "#", "?", "//evil.example/", "@evil.example",
		"\u0085", "\u00a0", "\u2028\u2029", "\ufeff", "\ufffe\uffff", "\U0010ffff", "e\u0301", strings.Repeat("x", 4000))
	if len(list) < 500 {
		t.Fatalf("only %d strings", len(list))
	}
	return list
}

// echo answers with what it was sent in each place.
type echoed struct{ JSON, Path, Query, Form, Header, File string }

func echo(w http.ResponseWriter, r *http.Request) {
	e := echoed{Path: strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/p/"), "/end"), Query: r.URL.Query().Get("q"), Header: r.Header.Get("X-V")}
	if r.Header.Get("Content-Type") == "application/json" {
		body, err := io.ReadAll(r.Body)
		var got struct{ A, B string }
		if err == nil {
			err = json.Unmarshal(body, &got)
		}
		if err != nil || got.B != "end" {
			http.Error(w, fmt.Sprint(err, got.B), http.StatusBadRequest)
			return
		}
		e.JSON = got.A
	} else if e.Form = r.PostFormValue("a"); r.PostFormValue("b") != "end" {
		http.Error(w, "form", http.StatusBadRequest)
		return
	}
	if file, _, err := r.FormFile("f"); err == nil {
		content, err := io.ReadAll(file)
		if err != nil || r.MultipartForm.Value["f"] != nil {
			http.Error(w, "file", http.StatusBadRequest)
			return
		}
		e.File = string(content)
	}
	if r.URL.Query().Get("x") != "end" || !strings.HasSuffix(r.URL.Path, "/end") {
		http.Error(w, "url", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(e)
}

// naughtyPlaces are the positions a string is sent in, alone in its request,
// with the reason for which a place may refuse it.
var naughtyPlaces = []struct {
	name, url, header, kind string
	payload                 any
	got                     func(echoed) string
	refusal                 func(string) string
}{
	{"JSON string", "/p/x/end?x=end", "", "application/json", `{"A": "{{ v }}", "B": "end"}`, func(e echoed) string { return e.JSON }, never},
	{"JSON value", "/p/x/end?x=end", "", "application/json", `{"A": {{ v|tojson }}, "B": "end"}`, func(e echoed) string { return e.JSON }, never},
	{"path segment", "/p/{{ v }}/end?x=end", "", "application/json", `{"B": "end"}`, func(e echoed) string { return e.Path }, noSegment},
	{"path segment, urlencode", "/p/{{ v|urlencode }}/end?x=end", "", "application/json", `{"B": "end"}`, func(e echoed) string { return e.Path }, noSegment},
	{"path segment, urlencode and safe", "/p/{{ v|urlencode|safe }}/end?x=end", "", "application/json", `{"B": "end"}`, func(e echoed) string { return e.Path }, noSegment},
	{"query value, urlencode", "/p/x/end?q={{ v|urlencode }}&x=end", "", "application/json", `{"B": "end"}`, func(e echoed) string { return e.Query }, never},
	{"form value, urlencode", "/p/x/end?x=end", "", "application/x-www-form-urlencoded", `a={{ v|urlencode }}&b=end`, func(e echoed) string { return e.Form }, never},
	{"query value", "/p/x/end?q={{ v }}&x=end", "", "application/json", `{"B": "end"}`, func(e echoed) string { return e.Query }, never},
	{"form value", "/p/x/end?x=end", "", "application/x-www-form-urlencoded", `a={{ v }}&b=end`, func(e echoed) string { return e.Form }, never},
	{"form field", "/p/x/end?x=end", "", "application/x-www-form-urlencoded", map[string]any{"a": "{{ v }}", "b": "end"}, func(e echoed) string { return e.Form }, never},
	{"multipart field", "/p/x/end?x=end", "", "multipart/form-data", map[string]any{"a": "{{ v }}", "b": "end"}, func(e echoed) string { return e.Form }, never},
	{"multipart file", "/p/x/end?x=end", "", "multipart/form-data", []any{
		map[string]string{"name": "b", "value": "end"}, map[string]string{"name": "f", "ref": "v", "filename": "f.txt"},
	}, func(e echoed) string { return e.File }, never},
	{"header value", "/p/x/end?x=end", `{{ v }}`, "application/json", `{"B": "end"}`, func(e echoed) string { return e.Header }, func(s string) string {
		switch {
		case strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
			return "headers.X-V: holds a line break or another control character"
		case strings.Trim(s, " \t") != s:
			return "headers.X-V: begins or ends with white space, which HTTP takes away"
		}
		return ""
	}},
}

func never(string) string { return "" }

func noSegment(s string) string {
	switch s {
	case "":
		return "is empty, which would lead to another path"
	case ".", "..":
		return "has a path segment of dots only, which would lead to another path"
	}
	return ""
}

// Done-when 1 of the escaping: every string comes back from a real API byte for
// byte, or is refused by name.
func TestNaughtyStrings(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(server.Close)
	client, err := httpcall.New(httpcall.Options{Egress: egresstest.Loopback(), MaxAttempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	strs := naughty(t)
	for _, engine := range engines {
		for _, place := range naughtyPlaces {
			t.Run(engine+"/"+place.name, func(t *testing.T) {
				t.Parallel()
				r := template.NewRenderer(template.Options{})
				plain, err := json.Marshal(map[string]any{
					"name": "a", "method": "POST", "engine": engine, "url": server.URL + place.url, "contentType": place.kind, "payload": place.payload,
					"headers": map[string]string{"X-V": place.header},
				})
				if err != nil {
					t.Fatal(err)
				}
				it, err := itemjson.FromPlain(plain)
				if err != nil {
					t.Fatal(err)
				}
				equal, refused := 0, 0
				for _, s := range strs {
					if !utf8.ValidString(s) {
						t.Fatalf("%q is no text", s)
					}
					params, err := json.Marshal(map[string]string{"v": s})
					if err != nil {
						t.Fatal(err)
					}
					rendered, err := r.Render(t.Context(), it, params)
					if why := place.refusal(s); why != "" {
						if f, ok := errors.AsType[*call.Failure](err); !ok || f.Name != call.RenderFailed || !strings.Contains(f.Cause, why) {
							t.Errorf("%q: got %v, want refused: %s", s, err, why)
						}
						refused++
						continue
					}
					if err != nil {
						t.Errorf("%q is refused: %v", s, err)
						continue
					}
					result, err := client.Do(t.Context(), rendered, "key")
					if err != nil || result.StatusCode != http.StatusOK {
						t.Errorf("%q: %v %s %v", s, result.StatusCode, result.Body, err)
						continue
					}
					var e echoed
					if err := json.Unmarshal(result.Body, &e); err != nil || place.got(e) != s {
						t.Errorf("%q came back as %q (%v)", s, place.got(e), err)
						continue
					}
					equal++
				}
				t.Logf("%d equal, %d refused by name, of %d", equal, refused, len(strs))
			})
		}
	}
}

var engines = []string{"pongo2", "jinja2"}
