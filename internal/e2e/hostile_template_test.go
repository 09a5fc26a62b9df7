package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"callfleet/internal/template"
)

// A template that means harm ends its own call with a failure that names the
// template, the attribute and the place, and nobody else's.
func TestHostileTemplates(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
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
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hostile := map[string]any{
				"name": "hostile " + name, "method": "POST", "url": api, "contentType": "text/plain", "payload": tc.payload,
				"retry": map[string]any{"maxAttempts": 1},
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
