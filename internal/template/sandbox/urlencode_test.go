package sandbox_test

import (
	"strings"
	"testing"

	"callfleet/internal/template/sandbox"
)

// A value does not leave the place it is printed in, urlencode or not: Jinja2
// leaves slashes, a path must not.
func TestURLEncodeByPlace(t *testing.T) {
	t.Parallel()
	const given = `{"v":"../x/y?z#","a":"/","s":"a b","dots":"..","o":{"k 1":"a/b c+d"},"null":null}`
	for _, tt := range []struct {
		name string
		at   sandbox.Position
		text string
		want string // "!" begins an error
	}{
		{"path", sandbox.URL, `https://h/p/{{ v|urlencode }}/end`, `https://h/p/..%2Fx%2Fy%3Fz%23/end`},
		{"path and safe", sandbox.URL, `https://h/p/{{ v|urlencode|safe }}/end`, `https://h/p/..%2Fx%2Fy%3Fz%23/end`},
		{"path and safe twice", sandbox.URL, `https://h/p/{{ v|urlencode|safe|safe }}/end`, `https://h/p/..%2Fx%2Fy%3Fz%23/end`},
		{"path of a base", sandbox.URL, `{{ "https://h/p/" }}{{ v|urlencode }}`, `https://h/p/..%2Fx%2Fy%3Fz%23`},
		{"path, as it is", sandbox.URL, `https://h/p/{{ v }}`, `https://h/p/..%2Fx%2Fy%3Fz%23`},
		{"path, changed behind", sandbox.URL, `https://h/p/{{ v|urlencode|lower }}`, `https://h/p/..%2Fx%2Fy%253fz%2523`},
		{"path, a slash alone", sandbox.URL, `https://h/{{ a|urlencode }}{{ a|urlencode }}evil`, `https://h/%2F%2Fevil`},
		{"path, a space", sandbox.URL, `https://h/{{ s|urlencode }}/{{ s|formencode }}/{{ o|urlencode }}`, `https://h/a%20b/a%20b/k%201=a%2Fb%20c%2Bd`},
		{"path, set before", sandbox.URL, `{% set x = v|urlencode %}https://h/{{ x }}`, `https://h/..%2Fx%2Fy%3Fz%23`},
		{"path, by a condition", sandbox.URL, `https://h/{{ v|urlencode if s else s }}`, `https://h/..%2Fx%2Fy%3Fz%23`},
		{"path, in a loop", sandbox.URL, `https://h{% for x in [v, a] %}/{{ x|urlencode }}{% endfor %}`, `https://h/..%2Fx%2Fy%3Fz%23/%2F`},
		{"host", sandbox.URL, `https://{{ v|urlencode }}.example/`, `!a character that is not allowed in a host`},
		{"host and safe", sandbox.URL, `https://{{ a|urlencode }}/`, `!a character that is not allowed in a host`},
		{"scheme", sandbox.URL, `https:{{ a|urlencode }}/h`, `!stands in the scheme`},
		{"query", sandbox.URL, `https://h/p?q={{ v|urlencode }}&r=1`, `https://h/p?q=../x/y%3Fz%23&r=1`},
		{"query of an object", sandbox.URL, `https://h/p?{{ o|urlencode }}`, `https://h/p?k+1=a%2Fb+c%2Bd`},
		{"form", sandbox.Form, `a={{ v|urlencode }}&{{ o|urlencode }}`, `a=../x/y%3Fz%23&k+1=a%2Fb+c%2Bd`},
		{"header", sandbox.Text, `{{ v|urlencode }}`, `../x/y%3Fz%23`},
		{"JSON string", sandbox.JSON, `{"a": "{{ v|urlencode }}"}`, `{"a": "../x/y%3Fz%23"}`},
		{"JSON outside quotes", sandbox.JSON, `{"a": {{ v|urlencode }}}`, `!is a text outside quotes`},
		{"JSON value", sandbox.JSON, `{"a": {{ v|urlencode|tojson }}}`, `{"a": "../x/y%3Fz%23"}`},
		{"XML", sandbox.XML, `<a>{{ v|urlencode }}</a>`, `<a>../x/y%3Fz%23</a>`},
		{"null", sandbox.URL, `https://h/{{ null|urlencode }}`, `!is null`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for engine, run := range map[string]func() (string, error){
				"pongo2": func() (string, error) { return run(t.Context(), tt.text, tt.at, given) },
				"jinja2": func() (string, error) { return runJinja(t.Context(), tt.text, tt.at, given) },
			} {
				got, err := run()
				if want, isErr := strings.CutPrefix(tt.want, "!"); isErr {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%s: got %q, %v\nwant %s", engine, got, err, want)
					}
				} else if err != nil || got != tt.want {
					t.Errorf("%s: got  %s, %v\nwant %s", engine, got, err, tt.want)
				}
			}
		})
	}
}

// A macro, a filter block or a captured text is no way around either.
func TestJinjaURLEncodeInPath(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{% macro f(x) %}{{ x|urlencode }}{% endmacro %}https://h/{{ f(v) }}`:                                    `https://h/..%2Fx`,
		`{% set x %}{{ v|urlencode }}{% endset %}https://h/{{ x }}`:                                              `https://h/..%2Fx`,
		`https://h/{% filter urlencode %}{{ v }}{% endfilter %}`:                                                 `https://h/..%2Fx`,
		`https://h/{{ v|urlencode ~ "/y" }}`:                                                                     `https://h/..%2Fx%2Fy`,
		`https://h{% for x in [v]|map("urlencode") %}/{{ x }}{% endfor %}`:                                       `https://h/..%2Fx`,
		`https://h/{{ [v]|map("urlencode")|join }}`:                                                              `https://h/..%2Fx`,
		`{% macro f() %}{{ caller() }}{% endmacro %}https://h/{% call f() %}{{ v|urlencode|safe }}{% endcall %}`: `https://h/..%2Fx`,
	} {
		if got, err := runJinja(t.Context(), text, sandbox.URL, `{"v":"../x"}`); err != nil || got != want {
			t.Errorf("%s: got  %s, %v\nwant %s", text, got, err, want)
		}
	}
}
