package response

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"callfleet/internal/call"
	"callfleet/internal/template/itemjson"
)

// parse reads the response of a plain template.
func parse(t *testing.T, text string) (r *call.Response, problems []string) {
	t.Helper()
	item, err := itemjson.FromPlain([]byte(`{"name": "n", "method": "GET", "response": ` + text + `}`))
	if err != nil {
		t.Fatal(err)
	}
	attributes, err := itemjson.Decode(item)
	if err != nil {
		t.Fatal(err)
	}
	r = Parse(attributes.Get("response"), func(attribute string, column int, message string) {
		problems = append(problems, fmt.Sprintf("%s:%d: %s", attribute, column, message))
	})
	return r, problems
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"all"`:                      "response:0: must be a map (M), is S",
		`{"header": []}`:             "response.header:0: is unknown: there are headers, body, select, required and status",
		`{"headers": "Retry-After"}`: "response.headers:0: must be a list (L) of at most 100 names",
		`{"headers": ["A", 1]}`:      "response.headers.1:0: must be a text (S), is N",
		`{"headers": ["X *"]}`:       "response.headers.0:0: is no header name, or the beginning of one and a *",
		`{"headers": ["X-*-Y"]}`:     "response.headers.0:0: is no header name, or the beginning of one and a *",
		`{"headers": [""]}`:          "response.headers.0:0: is no header name, or the beginning of one and a *",
		`{"body": "some"}`:           "response.body:0: must be inline, none or ref",
		`{"body": true}`:             "response.body:0: must be inline, none or ref",
		`{"select": 1}`:              "response.select:0: must be a JSONPath (S), or a map (M) of 1 to 100 of them",
		`{"select": {}}`:             "response.select:0: must be a JSONPath (S), or a map (M) of 1 to 100 of them",
		`{"select": "id"}`:           "response.select:1: is no JSONPath: a path starts with $",
		`{"select": {"a": "$.b["}}`:  "response.select.a:5: is no JSONPath: expected an index",
		`{"select": {"a": ["$"]}}`:   "response.select.a:0: must be a JSONPath (S), is L",
		`{"select": "$.` + strings.Repeat("a", 1030) + `"}`:      "response.select:0: has more than 1024 bytes",
		`{"select": "$.a", "body": "none"}`:                      "response.body:0: none does not go with select, which reads the body",
		`{"required": true}`:                                     "response.required:0: is about select, which is not there",
		`{"select": "$.a", "required": ["a"]}`:                   "response.required:0: must be true or false (BOOL): select is one path",
		`{"select": {"a": "$.a"}, "required": ["a", "b"]}`:       "response.required.1:0: is no name of select",
		`{"select": {"a": "$.a"}, "required": "a"}`:              "response.required:0: must be true or false (BOOL), or a list (L) of names of select",
		`{"status": ["404"]}`:                                    "response.status:0: must be a map (M) of at most 100 status codes",
		`{"status": {"4XX": "A"}}`:                               "response.status.4XX:0: is no status code such as 404, and no class such as 4xx",
		`{"status": {"600": "A"}}`:                               "response.status.600:0: is no status code such as 404, and no class such as 4xx",
		`{"status": {"404": 1}}`:                                 "response.status.404:0: must be a text (S), is N",
		`{"status": {"404": "States.Timeout"}}`:                  "response.status.404:0: must not begin with States. or Callfleet., which are errors of others",
		`{"status": {"404": "callfleet.Mine"}}`:                  "response.status.404:0: must not begin with States. or Callfleet., which are errors of others",
		`{"status": {"404": "not found"}}`:                       "response.status.404:0: must be the name of an error such as NotFound (a letter, then at most 79 letters, digits and . _ -), or ok",
		`{"status": {"404": ""}}`:                                "response.status.404:0: must be the name of an error such as NotFound (a letter, then at most 79 letters, digits and . _ -), or ok",
		`{"status": {"404": "` + strings.Repeat("a", 81) + `"}}`: "response.status.404:0: must be the name of an error such as NotFound (a letter, then at most 79 letters, digits and . _ -), or ok",
	} {
		if _, got := parse(t, text); len(got) != 1 || got[0] != want {
			t.Errorf("%.60s: %q, want %q", text, got, want)
		}
	}
}

func TestHeadersAndStatus(t *testing.T) {
	t.Parallel()
	r, problems := parse(t, `{"headers": ["retry-after", "X-RateLimit-*"], "status": {"404": "NotFound", "4xx": "Refused", "409": "ok", "202": "NotReady"}}`)
	if problems != nil {
		t.Fatal(problems)
	}
	for name, want := range map[string]bool{
		"Retry-After": true, "X-Ratelimit-Remaining": true, "X-Ratelimit-": true, "X-Rate": false, "Retry-After-Too": false, "Date": false,
	} {
		if r.Shows(name) != want {
			t.Errorf("shows %s: %v", name, !want)
		}
	}
	for status, want := range map[int]call.FailureName{200: "", 202: "NotReady", 404: "NotFound", 400: "Refused", 409: "", 500: ""} {
		if got := r.Fails(status); got != want {
			t.Errorf("%d fails with %q, want %q", status, got, want)
		}
		if ok := r.Accepts(status); ok != (status == 409) {
			t.Errorf("%d accepted: %v", status, ok)
		}
	}
	if want := "headers: retry-after, x-ratelimit-*; 202: NotReady; 404: NotFound; 409: ok; 4xx: Refused"; r.String() != want {
		t.Errorf("says %s, want %s", r, want)
	}
	if all, _ := parse(t, `{}`); !all.Shows("Date") || all.Selector != nil || all.Accepts(200) {
		t.Errorf("an empty response is %+v", all)
	}
	if none, _ := parse(t, `{"headers": []}`); none.Shows("Date") {
		t.Error("an empty list shows headers")
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	const chat = "\xef\xbb\xbf" + `{"id": "c-1", "n": 12345678901234567890, "f": 3.0, "null": null, "choices": [{"message": {"content": "a \"b\"\u00e9"}}, {}], "usage": {"total_tokens": 17}}`
	for _, row := range []struct{ response, body, want, missing string }{
		{`{"select": "$.choices[0].message.content"}`, chat, `"a \"b\"é"`, ""},
		{`{"select": {"answer": "$.choices[0].message.content", "tokens": "$.usage.total_tokens"}}`, chat, `{"answer":"a \"b\"é","tokens":17}`, ""},
		{`{"select": {"z": "$.n", "a": "$.f", "o": "$.usage"}}`, chat, `{"z":12345678901234567890,"a":3.0,"o":{"total_tokens":17}}`, ""},
		{`{"select": {"a": "$.nope", "b": "$.choices[7].message", "c": "$.null"}}`, chat, `{"a":null,"b":null,"c":null}`, ""},
		{`{"select": {"a": "$..content", "b": "$..nope", "c": "$.choices[*].nope"}}`, chat, `{"a":["a \"b\"é"],"b":[],"c":[]}`, ""},
		{`{"select": "$.choices.length()"}`, chat, `2`, ""},
		{`{"select": "$"}`, `[1, 2]`, `[1, 2]`, ""},
		{`{"select": "$", "required": true}`, `<html>`, `null`, "the body is not JSON"},
		{`{"select": {"a": "$.a"}}`, `<html>`, `{"a":null}`, ""},
		{`{"select": {"a": "$.a"}}`, ``, `{"a":null}`, ""},
		{`{"select": {"a": "$.a"}, "required": true}`, ``, `{"a":null}`, "the body is not JSON"},
		{`{"select": {"a": "$.null"}, "required": true}`, chat, `{"a":null}`, ""},
		{`{"select": {"a": "$.nope", "b": "$.id"}, "required": ["b"]}`, chat, `{"a":null,"b":"c-1"}`, ""},
		{`{"select": {"a": "$.nope", "b": "$.id"}, "required": ["b", "a"]}`, chat, `{"a":null,"b":"c-1"}`, "the body has no $.nope"},
		{`{"select": {"a": "$..nope"}, "required": true}`, chat, `{"a":[]}`, "the body has no $..nope"},
		{`{"select": {"a": "$.id.x"}, "required": true}`, chat, `{"a":null}`, "the body has no $.id.x"},
		{`{"select": {"a": "$.id"}, "required": false}`, `{"id": "\ud800"}`, "{\"a\":\"\ufffd\"}", ""},
	} {
		r, problems := parse(t, row.response)
		if problems != nil {
			t.Errorf("%s: %v", row.response, problems)
			continue
		}
		got, missing := r.Selector.Select([]byte(row.body))
		if string(got) != row.want || missing != row.missing {
			t.Errorf("%s of %.20s: %s %q, want %s %q", row.response, row.body, got, missing, row.want, row.missing)
		}
		if !json.Valid(got) {
			t.Errorf("%s: %s is no JSON", row.response, got)
		}
	}
}

// What is too large is null, and so is what selects too much.
func TestSelectTooMuch(t *testing.T) {
	t.Parallel()
	r, _ := parse(t, `{"select": {"a": "$.a", "all": "$..*..*..*"}, "required": ["a"]}`)
	if got, missing := r.Selector.Select(nil); string(got) != `{"a":null,"all":null}` || missing != "the body is too large to select from" {
		t.Errorf("%s, %q", got, missing)
	}
	deep := `{"a": 1, "b": ` + strings.Repeat("[", 900) + strings.Repeat("]", 900) + `}`
	if got, missing := r.Selector.Select([]byte(deep)); string(got) != `{"a":1,"all":null}` || missing != "" {
		t.Errorf("%s, %q", got, missing)
	}
	if got, _ := r.Selector.Select([]byte(`{"a": ` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`)); string(got) != `{"a":null,"all":null}` {
		t.Errorf("nested too deep: %s", got)
	}
}

func TestSelectedSharesNoMemory(t *testing.T) {
	t.Parallel()
	r, _ := parse(t, `{"select": "$.a"}`)
	body := []byte(`{"a": "x"}`)
	got, _ := r.Selector.Select(body)
	copy(body, slices.Repeat([]byte("#"), len(body)))
	if string(got) != `"x"` {
		t.Errorf("selection changed with the body: %s", got)
	}
}
