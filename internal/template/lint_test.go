package template_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"callfleet/internal/call"
	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
)

const declared = `"params":{"type":"object","required":["id"],"properties":{"id":{"type":"string"},"user":{"type":"object","properties":{"name":{"type":"string"}}},
 "tags":{"type":"array"}}}`

func TestLint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, template, want string }{
		{"good", `"url":"https://h/{{ id }}",` + declared + `,"example":{"id":"a"}`, ""},
		{"unknown name", `"url":"https://h/{{ id }}/{{ nmae }}",` + declared, "url: line 1 column 23: nmae is not among the params that the template declares"},
		{"unknown member", "\"url\":\"https://h/\",\"payload\":{\"a\":[\"x\",\"{{ id }}\\n{{ user.nmae }}\"]}," + declared, "payload.a.1: line 2 column 4: user.nmae is not among"},
		{"unknown in a condition", `"url":"https://h/{% if nmae %}x{% endif %}",` + declared, "url: line 1 column 17: nmae is not among"},
		{"unknown in jinja2", `"engine":"jinja2","url":"https://h/{{ [id, nmae]|join }}",` + declared, "url: line 1 column 19: nmae is not among"},
		{"asked about", `"url":"https://h/{{ nmae|default:\"x\" }}{% if other is defined %}y{% endif %}",` + declared, ""},
		{"names of its own", `"url":"https://h/{% set x = id %}{% for y in tags %}{{ y }}{{ x }}{{ loop.index }}{% endfor %}{{ params.id }}",` + declared, ""},
		{"open schema", `"url":"https://h/{{ other }}","params":{"properties":{"id":{}},"additionalProperties":true}`, ""},
		{"no schema", `"url":"https://h/{{ other }}"`, ""},
		{"bad schema", `"url":"https://h/","params":{"type":"nothing"}`, "params: "},
		{"schema that is a text", `"url":"https://h/","params":"x"`, "params: must be a map (M), is S"},
		{"response", `"url":"https://h/","response":{"headers":["A"],"select":"$.a","required":true,"status":{"404":"NotFound"}}`, ""},
		{"response with a bad path", `"url":"https://h/","response":{"select":{"a":"$.a","b":"$.b["}}`, "response.select.b: line 1 column 5: is no JSONPath: expected an index"},
		{"response with a bad name", `"url":"https://h/","response":{"status":{"404":"States.ALL"}}`, "response.status.404: must not begin with States. or Callfleet."},
		{"unknown filter", `"url":"https://h/{{ id|nope }}"`, `url: line 1 column 17: there is no filter "nope"`},
		{"Jinja2 under pongo2", `"url":"https://h/{{ id ~ id }}"`, `it is Jinja2, which "engine": "jinja2" reads`},
		{"unknown function", `"engine":"jinja2","url":"https://h/{{ nope() }}"`, `url: line 1 column 14: there is no function "nope"`},
		{"example against the schema", `"url":"https://h/",` + declared + `,"example":{"id":7}`, "example: id is number, must be string"},
		{"example that is missing", `"url":"https://h/{{ id }}","example":{}`, "url: line 1 column 14: id is not in params (with the example)"},
		{"payload is no JSON", `"url":"https://h/","payload":"{\"a\": {{ id }} {{ id }}}","example":{"id":1}`, "payload: is not JSON when rendered, from line 1 column 9 of the output on (with the example)"},
		{"no host", `"url":"https:///x"`, "url: has no host"},
		{"no host with the example", `"url":"{{ base }}/x","example":{"base":"https://"}`, "url: has no host (with the example)"},
		{"attempt as long as the task", `"url":"https://h/","timeoutSeconds":900`, "timeoutSeconds: must be less than the 15m0s that a task has"},
		{"pause as long as the task", `"url":"https://h/","retry":{"maxDelaySeconds":900}`, "retry.maxDelaySeconds: must be less than"},
		{"attempts longer than the task", `"url":"https://h/","timeoutSeconds":300,"retry":{"maxAttempts":4}`, "warning: retry.maxAttempts: all attempts together may take longer"},
		{"bearer in clear", `"url":"https://h/","headers":{"Authorization":"Bearer abcdef"}`, "warning: headers.Authorization: line 1 column 1: holds a credential in clear text"},
		{"basic in clear", `"url":"https://h/","headers":{"authorization":"Basic YTpi"}`, "warning: headers.authorization: line 1 column 1: holds a credential"},
		{"bearer as a param", `"url":"https://h/","headers":{"Authorization":"Bearer {{ token }}"}`, ""},
		{"key in a header", `"url":"https://h/","headers":{"X-Api-Key":"abc"}`, "warning: headers.X-Api-Key: line 1 column 1: holds a credential"},
		{"known key in the payload", "\"url\":\"https://h/\",\"payload\":\"a\\nb ghp_abcdefghijkl\"", "warning: payload: line 2 column 3: holds what looks like a secret"},
		{"known key in the URL", `"url":"https://h/?k=AIzaSyabcdefgh"`, "warning: url: line 1 column 14: holds what looks like a secret"},
		{"encoding that is not undone", `"url":"https://h/","headers":{"accept-encoding":"gzip, br"}`, "headers.accept-encoding: asks for an encoding that is not undone here"},
		{"any encoding", `"url":"https://h/","headers":{"Accept-Encoding":"*"}`, "headers.Accept-Encoding: asks for an encoding"},
		{"encoding as a param", `"url":"https://h/","headers":{"Accept-Encoding":"{{ id }}"},` + declared + `,"example":{"id":"deflate"}`, "headers.Accept-Encoding: asks for an encoding that is not undone here"},
		{"encoding as a param that is undone", `"url":"https://h/","headers":{"Accept-Encoding":"{{ id }}"},` + declared + `,"example":{"id":"gzip"}`, ""},
		{"encodings that are undone", `"url":"https://h/","headers":{"Accept-Encoding":"GZIP;q=1.0, identity; q=0.5"}`, ""},
		{"header that cannot be read", `"url":"https://h/","headers":{"Accept-Encoding":"{{ id"}`, "headers.Accept-Encoding: line 1 column 1: is not closed"},
		{"encoding as a key", `"url":"https://h/","auth":{"type":"apiKey","name":"accept-encoding","value":"secret://env/CALLFLEET_SECRET_T"}`, "auth.name: is no header name, or one that the HTTP client sets"},
		{"two names over an object", `"url":"https://h/{% for k, v in user %}{{ k }}{{ v }}{% endfor %}",` + declared, "url: line 1 column 26: a loop with two names over an object is pongo2's, Jinja2 takes the names in it apart: write user.items()"},
		{"two names over items", `"url":"https://h/{% for k, v in user.items() %}{{ k }}{{ v }}{% endfor %}",` + declared, ""},
		{"two names over a declared list", `"url":"https://h/{% for a, b in tags %}{{ a }}{{ b }}{% endfor %}",` + declared, ""},
		{"two names over a list that is written out", `"url":"https://h/{% for a, b in [[1, 2]] %}{{ a }}{{ b }}{% endfor %}",` + declared, ""},
		{"two names over what is not declared", `"url":"https://h/{% for a, b in x.y %}{{ a }}{{ b }}{% endfor %}"`, "url: line 1 column 28: a loop with two names over an object"},
		{"null is no param", `"url":"https://h/{{ id if id != null else \"x\" }}",` + declared, ""},
		{"two names in jinja2", `"engine":"jinja2","url":"https://h/{% for a, b in x %}{{ a }}{{ b }}{% endfor %}"`, ""},
		{"member that is a method", `"url":"https://h/{{ order.items|length }}"`, `url: line 1 column 20: order.items is a method in Jinja2, whatever the object holds: write order["items"]`},
		{"member by its name", `"url":"https://h/{{ order[\"items\"]|length }}"`, ""},
		{"key as a param", `"url":"https://h/","headers":{"X-S":"{{ id|hmac_sha256(key) }}"}`, "warning: headers.X-S: line 1 column 19: the key of hmac_sha256 is a param"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			it, err := itemjson.FromPlain([]byte(`{"name":"a","method":"POST",` + tt.template + `}`))
			if err != nil {
				t.Fatal(err)
			}
			_, warnings, err := template.Lint(it)
			findings := warnings
			if e, ok := errors.AsType[*template.Error](err); ok {
				findings = slices.Concat(warnings, e.Problems)
			}
			found := tt.want == "" && len(findings) == 0
			for _, f := range findings {
				found = found || tt.want != "" && strings.Contains(f.String(), tt.want)
				if f.Warning == (err != nil && len(findings) == 1) {
					t.Errorf("%v: a warning must not refuse, a mistake must", f)
				}
			}
			if !found {
				t.Errorf("got  %v\nwant %s", findings, tt.want)
			}
		})
	}
}

// Params that break the declared schema are refused before anything is
// rendered.
func TestRenderChecksDeclaredParams(t *testing.T) {
	t.Parallel()
	it, err := itemjson.FromPlain([]byte(`{"name":"a","method":"POST","url":"https://h/{{ id|default:\"x\" }}",` + declared + `}`))
	if err != nil {
		t.Fatal(err)
	}
	r := template.NewRenderer(template.Options{})
	for params, want := range map[string]string{
		`{"id":"a"}`: "", `{}`: "template a POST: params: params lacks id", ``: "params lacks id", `{"id":5}`: "params: id is number, must be string",
	} {
		_, err := r.Render(t.Context(), it, json.RawMessage(params))
		f, failed := errors.AsType[*call.Failure](err)
		if want == "" && err != nil || want != "" && (!failed || f.Name != call.RenderFailed || !strings.Contains(fmt.Sprint(f.Cause), want)) {
			t.Errorf("%s: got %v, want %s", params, err, want)
		}
	}
}
