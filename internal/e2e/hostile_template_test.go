package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"callfleet/internal/template"
)

// A template that means harm ends its own call with a failure that names the
// template, the attribute and the place, and nobody else's.
func TestHostileTemplates(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.wantNothingLeft(t, everyQueue...)
	api := serve(t, answer)
	good := s.put(t, map[string]any{"name": "good", "method": "GET", "url": api})
	big := strings.Repeat("x", 100_000)
	list := make([]int, 1000)
	for name, tc := range map[string]struct {
		payload string
		params  any
		says    []string
		refused bool // by template.Parse already
	}{
		"loops for ever": {
			"{% for a in l %}{% for b in l %}{% for c in l %}{% for d in l %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
			map[string]any{"l": list}, []string{"payload: line 1 column", "than"}, false,
		},
		"prints 1 GB": {
			"{% for a in l %}{% for b in l %}{{ big }}{% endfor %}{% endfor %}",
			map[string]any{"l": list, "big": big}, []string{"payload: line 1 column", "bytes"}, false,
		},
		"doubles a text": {
			"{% set x = big %}" + strings.Repeat("{% set x = x + x %}", 40) + "{{ x }}",
			map[string]any{"big": big}, []string{"payload: line 1 column", "bytes"}, false,
		},
		"pads a text":      {"{{ a|center:1000000000 }}", map[string]any{"a": "x"}, []string{"payload: line 1 column"}, true},
		"reads a file":     {`{% ssi "/etc/passwd" %}`, nil, []string{"payload: line 1 column", "ssi"}, true},
		"includes a file":  {`{% include "/etc/passwd" %}`, nil, []string{"payload: line 1 column", "include"}, true},
		"includes a param": {`{% include file %}`, map[string]any{"file": "/etc/passwd"}, []string{"payload: line 1 column", "include"}, true},
		"imports a file":   {`{% import "/etc/passwd" x %}`, nil, []string{"payload: line 1 column", "import"}, true},
		"extends a file":   {`{% extends "/etc/passwd" %}`, nil, []string{"payload: line 1 column", "extends"}, true},
		"recurses": {
			"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", nil, []string{"payload: line 1 column", "macro"}, true,
		},
		"nests brackets": {
			"{{ " + strings.Repeat("(", 50_000) + "1" + strings.Repeat(")", 50_000) + " }}", nil, []string{"payload: line 1 column", "deep"}, true,
		},
		"nests lists": {
			"{{ " + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + "|tojson }}", nil, []string{"payload: line 1 column", "deep"}, true,
		},
		"nests tags": {
			strings.Repeat("{% if true %}", 5_000) + strings.Repeat("{% endif %}", 5_000), nil, []string{"payload: line 1 column", "deep"}, true,
		},
		"negates for ever":   {"{{ " + strings.Repeat("not ", 50_000) + "true }}", nil, []string{"payload: line 1 column", "deep"}, true},
		"divides by zero":    {"{{ 1/n }}", map[string]any{"n": 0}, []string{"payload: line 1 column 5", "zero"}, false},
		"never ends":         {"\n{{ a", nil, []string{"payload: line 2 column"}, true},
		"names what is not":  {"{{ nothing }}", nil, []string{"payload: line 1 column 4", "nothing"}, false},
		"calls what is not":  {"{{ a.b.c() }}", map[string]any{"a": map[string]any{"b": 1}}, []string{"payload: line 1 column"}, true},
		"filters by nothing": {"{{ a|exec }}", map[string]any{"a": "ls"}, []string{"payload: line 1 column", "exec"}, true},
		"recurses in Jinja2": {
			"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", nil, []string{"payload: line 1 column", "deep"}, false,
		},
		"recurses by default in Jinja2": {
			"{% macro f(a=f()) %}{% endmacro %}{{ f() }}", nil, []string{"payload: line 1 column", "deep"}, false,
		},
		"ranges for ever in Jinja2": {
			"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", nil, []string{"payload: line 1 column", "than"}, false,
		},
		"repeats a text in Jinja2":   {"{{ 'x' * 1000000000 }}", nil, []string{"payload: line 1 column", "bytes"}, false},
		"includes a file in Jinja2":  {`{% include "/etc/passwd" %}`, nil, []string{"payload: line 1 column", "include"}, true},
		"asks for a class in Jinja2": {`{{ "".__class__.__mro__ }}`, nil, []string{"payload: line 1 column", "__class__"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hostile := map[string]any{
				"name": "hostile " + name, "method": "POST", "url": api, "contentType": "text/plain", "payload": tc.payload,
				"retry": map[string]any{"maxAttempts": 1},
			}
			if strings.HasSuffix(name, "in Jinja2") {
				hostile["engine"] = "jinja2"
			}
			key := s.put(t, hostile)
			wantRefused(t, hostile, tc.refused, tc.says)
			for _, mode := range modes {
				results := s.run(t, mode, line{key, tc.params}, line{good, nil})
				wantFailed(t, results[0], "Callfleet.RenderFailed", append(tc.says, "hostile "+name+" POST")...)
				wantOK(t, results[1])
			}
			wantOK(t, s.run(t, workflow, line{good, nil})[0])
		})
	}
}

// An item that is no template, or whose request is none, ends its own call with
// every mistake named.
func TestBrokenTemplates(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.wantNothingLeft(t, everyQueue...)
	good := s.put(t, map[string]any{"name": "good", "method": "GET", "url": serve(t, answer)})
	for name, tc := range map[string]struct {
		attributes string // of the item, after PK and SK
		params     any
		says       []string
	}{
		"has wrong types": {
			`"url":{"N":"7"},"headers":{"L":[]},"timeoutSeconds":{"N":"-1"},"retry":{"M":{"times":{"N":"1"}}},"engine":{"S":"jinja"}`, nil,
			[]string{"url: must be", "headers: must be", "timeoutSeconds: must be", "retry.times: is unknown", "engine: must be"},
		},
		"has no URL":          {`"payload":{"S":"x"}`, nil, []string{"url: is missing"}},
		"reads by URL":        {`"url":{"S":"file:///etc/passwd"}`, nil, []string{"url: must begin with http:// or https://"}},
		"reads by param":      {`"url":{"S":"{{ u }}"}`, map[string]any{"u": "file:///etc/passwd"}, []string{"url: does not begin with http:// or https://"}},
		"calls nobody":        {`"url":{"S":"http://"}`, nil, []string{"url: has no host"}},
		"climbs":              {`"url":{"S":"http://127.0.0.1/a/{{ p }}/b"}`, map[string]any{"p": ".."}, []string{"url", "dots"}},
		"changes the host":    {`"url":{"S":"http://{{ h }}.example/"}`, map[string]any{"h": "evil.example/"}, []string{"url", "not allowed in a host"}},
		"smuggles a length":   {`"url":{"S":"http://127.0.0.1/"},"headers":{"M":{"Content-Length":{"S":"5"}}}`, nil, []string{"headers.Content-Length: is set by the HTTP client"}},
		"smuggles a chunk":    {`"url":{"S":"http://127.0.0.1/"},"headers":{"M":{"transfer-encoding":{"S":"chunked"}}}`, nil, []string{"headers.transfer-encoding: is set by the HTTP client"}},
		"has a bad header":    {`"url":{"S":"http://127.0.0.1/"},"headers":{"M":{"a b":{"S":"c"}}}`, nil, []string{`"a b" is no header name`}},
		"breaks out of JSON":  {`"url":{"S":"http://127.0.0.1/"},"payload":{"S":"{\"a\": {{ v|safe }} }"}`, map[string]any{"v": "1, }"}, []string{"payload: is not JSON when rendered, from line 1 column"}},
		"wants what is not":   {`"url":{"S":"http://127.0.0.1/"},"payload":{"S":"{{ a.b }}"}`, map[string]any{"a": map[string]any{}}, []string{"payload: line 1 column", "a.b is not in params"}},
		"prints a whole list": {`"url":{"S":"http://127.0.0.1/"},"payload":{"S":"{{ a }}"}`, map[string]any{"a": []int{1}}, []string{"a is a list", "write |tojson"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			item := fmt.Sprintf(`{"PK":{"S":%q},"SK":{"S":"POST"},%s}`, "broken "+name, tc.attributes)
			key := s.putItem(t, "broken "+name, "POST", json.RawMessage(item))
			for _, mode := range modes {
				results := s.run(t, mode, line{key, tc.params}, line{good, nil})
				wantFailed(t, results[0], "Callfleet.RenderFailed", append(tc.says, "broken "+name+" POST")...)
				wantOK(t, results[1])
			}
		})
	}
}

// A template that the store takes and an execution cannot carry says so, and
// works without one.
func TestTemplateTooLargeForAnExecution(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	key := s.put(t, map[string]any{"name": "large", "method": "POST", "url": serve(t, answer), "payload": strings.Repeat("x", 300_000)})
	wantFailed(t, s.run(t, workflow, line{key, nil})[0], "States.DataLimitExceeded", "template large POST", "256 KiB", "--direct")
	wantOK(t, s.run(t, direct, line{key, nil})[0])
}

// wantRefused checks that a mistake which needs no params is found before
// there are any, and in the same words.
func wantRefused(t *testing.T, attributes map[string]any, refused bool, says []string) {
	t.Helper()
	plain, err := json.Marshal(attributes)
	if err != nil {
		t.Fatal(err)
	}
	item, err := template.FromPlain(plain)
	if err != nil {
		t.Fatal(err)
	}
	_, err = template.Parse(item)
	if (err != nil) != refused {
		t.Fatalf("parse: %v; want refused %t", err, refused)
	}
	for _, text := range says {
		if err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("parse: %q does not say %q", err, text)
		}
	}
}
