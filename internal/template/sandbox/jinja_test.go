package sandbox_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"callfleet/internal/template/sandbox"
)

func runJinja(ctx context.Context, text string, at sandbox.Position, params string) (string, error) {
	p, err := sandbox.Compile(text, at, sandbox.Jinja2)
	if err != nil {
		return "", err
	}
	values, err := sandbox.ParseParams(json.RawMessage(params))
	if err != nil {
		return "", err
	}
	out, err := sandbox.NewRun(ctx, values, limits).Append(nil, p)
	return string(out), err
}

// What only Jinja2 can print stays in its place as well.
func TestJinjaEscapingByPosition(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		at   sandbox.Position
		text string
		want string // "!" begins an error
	}{
		{"list in a JSON string", sandbox.JSON, `{"a": "{{ list }}"}`, `{"a": "['a', 2, 'c']"}`},
		{"list outside of one", sandbox.JSON, `{"a": {{ list }}, "b": {{ null }}, "c": {{ {"x": [i]} }}}`, `{"a": ["a",2,"c"], "b": null, "c": {"x":[7]}}`},
		{"null in a URL", sandbox.URL, `https://h/{{ null }}`, `!is null, which does not print`},
		{"list in a URL", sandbox.URL, `https://h/?a={{ list }}`, `!is a list, which does not print`},
		{"macro in a JSON string", sandbox.JSON, `{% macro f(x) %}<{{ x }}>{% endmacro %}{"a": "{{ f(name) }}"}`, `{"a": "<Ada \"L\" <x>&y/z?>"}`},
		{"macro that makes JSON", sandbox.JSON, `{% macro f(x) %}{"n": "{{ x }}"}{% endmacro %}[{{ f(name) }}]`, `[{"n": "Ada \"L\" <x>&y/z?"}]`},
		{"call block that makes JSON", sandbox.JSON, `{% macro f() %}["{{ caller() }}"]{% endmacro %}{% call f() %}{{ nl }}{% endcall %}`, `["a\nb"]`},
		{"captured text", sandbox.JSON, `{% set x %}"{{ nl }}"{% endset %}{"a": "{{ x }}"}`, `{"a": "\"a\nb\""}`},
		{"captured text outside quotes", sandbox.JSON, `{% set x %}"{{ nl }}"{% endset %}{"a": {{ x }}}`, `!x is a text outside quotes`},
		{"filter block", sandbox.URL, `https://h/{% filter upper %}a/{{ "b?" }}{% endfilter %}`, `https://h/A%2FB%3F`},
		{"concatenation", sandbox.URL, `https://h/{{ "a/" ~ "b?" }}`, `https://h/a%2Fb%3F`},
		{"macro in a path", sandbox.URL, `{% macro f(x) %}v/{{ x }}{% endmacro %}https://h/{{ f("../x") }}`, `https://h/v/..%2Fx`},
		{"replace", sandbox.Form, `a={{ "x y"|replace("x", "&") }}`, `a=%26+y`},
		{"format", sandbox.XML, `<a>{{ "%s"|format("<") }}</a>`, `<a>&lt;</a>`},
		{"escaped by the author", sandbox.XML, `<a b="{{ "<\"&"|e }}">{{ "<"|escape }}{{ "<"|e|e }}{{ "<"|e|upper }}</a>`, `<a b="&lt;&#34;&amp;">&lt;&lt;&amp;LT;</a>`},
		{"escaped by the author, in JSON", sandbox.JSON, `{"a": "{{ "<\""|e }}"}`, `{"a": "&lt;&#34;"}`},
		{"items", sandbox.Form, `{% for k, v in pairs.items() %}{{ k }}={{ v }}{{ "&"|safe if not loop.last }}{% endfor %}`, `b=1&a=x+y`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := runJinja(t.Context(), tt.text, tt.at, params)
			if want, isErr := strings.CutPrefix(tt.want, "!"); isErr {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, %v\nwant %s", got, err, want)
				}
			} else if err != nil || got != strings.ReplaceAll(tt.want, "\n", `\n`) {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}

// Jinja2 programs that would run for ever, or eat the memory, stop fast.
func TestHostileJinjaPrograms(t *testing.T) {
	t.Parallel()
	many := `{"l":[` + strings.Repeat("1,", 9999) + `1],"s":"` + strings.Repeat("x", 1<<19) + `"}`
	const spent = "does more than|takes longer than|makes more than|prints more than"
	for _, tt := range []struct{ name, text, want string }{
		{"macro for ever", `{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}`, "calls are nested more than 100 deep"},
		{"macro in an expression for ever", `{% macro f() %}{% set x = f() %}{% endmacro %}{{ f() }}`, "calls are nested more than 100 deep"},
		{"macros that call each other", `{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}`, "calls are nested more than 100 deep"},
		{"macro by default", `{% macro f(a=f()) %}{% endmacro %}{{ f() }}`, "calls are nested more than 100 deep"},
		{"caller for ever", `{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}`, "calls are nested more than 100 deep"},
		{"two macros each time", `{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(90) }}`, spent},
		{"recursive loop", `{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}`, "calls are nested more than 100 deep"},
		{"range", `{{ range(1000000000) }}`, "range makes more than"},
		{"ranges", `{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}`, spent},
		{"power", `{{ 9 ** 9 ** 9 ** 9 ** 9 }}`, "too large"},
		{"repeats a text", `{{ s * 1000000000 }}`, spent},
		{"repeats a list", `{{ (l * 1000000000)|length }}`, spent},
		{"doubles a text", `{% set n = namespace(a=s) %}{% for x in l %}{% set n.a = n.a ~ n.a %}{% endfor %}`, spent},
		{"doubles a list", `{% set n = namespace(a=l) %}{% for x in l %}{% set n.a = n.a + n.a %}{% endfor %}`, spent},
		{"keeps lists", `{% set n = namespace(a=[]) %}{% for x in l %}{% set n.a = n.a + [l + l] %}{% endfor %}`, spent},
		{"nests lists", `{% set n = namespace(a=[]) %}{% for x in l %}{% set n.a = [n.a] %}{% endfor %}{{ n.a }}`, "nested more than 100 deep"},
		{"nests JSON", `{% set n = namespace(a=[]) %}{% for x in l %}{% set n.a = [n.a] %}{% endfor %}{{ n.a|tojson }}`, "nested more than 100 deep"},
		{"prints doubled lists", `{% set n = namespace(a=[1]) %}{% for x in range(60) %}{% set n.a = [n.a, n.a] %}{% endfor %}{{ n.a }}`, spent},
		{"pads", `{{ "x"|center(1000000000) }}`, "must be a whole number up to"},
		{"pads by method", `{{ "x".ljust(1000000000) }}`, "must be a whole number up to"},
		{"pads by format", `{{ "%1000000000d"|format(1) }}`, "a width of more than"},
		{"replaces nothing by much", `{{ s|replace("", s) }}`, "makes more than"},
		{"indents", `{{ ("\n" * 100000)|indent(10000) }}`, "makes more than"},
		{"joins", `{{ l|join(s) }}`, "makes more than"},
		{"captures", strings.Repeat(`{% set x %}{{ s }}`, 40) + strings.Repeat(`{% endset %}`, 40), "prints more than"},
		{"sorts", `{% for a in l %}{% set x = l|sort %}{% endfor %}`, spent},
		{"unique", `{{ range(99999)|unique|list|length }}`, spent},
		{"groups", `{% for a in l %}{% set x = l|map("string")|groupby(0) %}{% endfor %}`, spent},
		{"maps", `{% for a in l %}{% set x = l|map("upper")|list %}{% endfor %}`, spent},
		{"slices", `{% for a in l %}{% set x = l[::-1] %}{% endfor %}`, spent},
		{"splits", `{% for a in l %}{% set x = s.split("x") %}{% endfor %}`, spent},
		{"signs", `{% for a in l %}{% set x = s|hmac_sha256(s) %}{% endfor %}`, spent},
		{"deep expression", `{{ ` + strings.Repeat("-", 5000) + `1 }}`, "nested more than 50 deep"},
		{"deep brackets", `{{ ` + strings.Repeat("(", 5000) + strings.Repeat(")", 5000) + ` }}`, "nested more than 50 deep"},
		{"deep objects", `{{ ` + strings.Repeat(`{"a":`, 5000) + `1` + strings.Repeat("}", 5000) + ` }}`, "nested more than 50 deep"},
		{"deep slices", `{{ l` + strings.Repeat(`[l`, 5000) + strings.Repeat("]", 5000) + ` }}`, "nested more than 50 deep"},
		{"deep tests", `{{ 1 is eq ` + strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000) + ` }}`, "nested more than 50 deep"},
		{"deep tags", strings.Repeat(`{% filter upper %}`, 5000) + strings.Repeat(`{% endfilter %}`, 5000), "nested more than 50 deep"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			out, err := runJinja(t.Context(), tt.text, sandbox.Text, many)
			found := false
			for want := range strings.SplitSeq(tt.want, "|") {
				found = found || err != nil && strings.Contains(err.Error(), want)
			}
			if !found {
				t.Errorf("got %d bytes, %v\nwant %s", len(out), err, tt.want)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// A long text is read as no number: reading takes time that no step is taken for.
func TestLongTextsAreNoNumbers(t *testing.T) {
	t.Parallel()
	digits := `{"s":"` + strings.Repeat("9", 2<<20) + `"}`
	for _, text := range []string{"s|float", "s|int", "s|int(0,16)"} {
		start := time.Now()
		_, err := runJinja(t.Context(), "{% for i in range(1000) %}{% set a = "+text+" %}{% endfor %}", sandbox.Text, digits)
		if took := time.Since(start); took > limits.Timeout+2*time.Second {
			t.Errorf("%s: took %v, %v", text, took, err)
		}
	}
}

func TestMistakesInJinjaAtCompile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{`{{ x|nope }}`, `line 1 column 6: there is no filter "nope"`},
		{`{{ x is nope }}`, `line 1 column 9: there is no test "nope"`},
		{`{{ nope(1) }}`, `line 1 column 4: there is no function "nope"`},
		{"a\n{{ x.nope() }}", `line 2 column 6: there is no method "nope"`},
		{`{{ x|truncate(9, by=1) }}`, `filter "truncate" has no argument "by"`},
		{`{{ x|truncate(9, length=1) }}`, `filter "truncate" gets "length" twice`},
		{`{{ x|upper(1) }}`, `filter "upper" takes no argument`},
		{`{% include "x" %}`, `tag "include" is not allowed: templates read no other files`},
		{`{% raw %}`, `{% raw %} has no {% endraw %}`},
		{`{# x`, `the remark is not closed by #}`},
		{`{{ "x }}`, `the text is not closed by "`},
		{`{{ x $ y }}`, `line 1 column 6: unexpected character '$'`},
		{`{{ "a"|hmac_sha256("key") }}`, `line 1 column 20: a key in a template is a key in clear text`},
		{`{{ "a"|hmac_sha256(key="key") }}`, `a key in a template is a key in clear text`},
	} {
		_, err := sandbox.Compile(tt.text, sandbox.Text, sandbox.Jinja2)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got  %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

// What pongo2 refuses and Jinja2 has comes with the way to get it.
func TestPongoAdvisesJinja(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{{ a ~ b }}`: true, `{{ a[1:] }}`: true, `{% macro f() %}{% endmacro %}`: true, `{{ range(3) }}`: true, `{{ d.keys() }}`: true, `{{ a|replace("a", "b") }}`: true,
		`{% raw %}x{% endraw %}`: true, `{{ 1 is odd }}`: true, `{{ a|nope }}`: false, `{% include "x" %}`: false, `{{ a b }}`: false,
	} {
		_, err := sandbox.Compile(text, sandbox.Text, sandbox.Pongo2)
		if err == nil || strings.Contains(err.Error(), `"engine": "jinja2"`) != want {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// FuzzJinja looks for texts that crash or do not end.
func FuzzJinja(f *testing.F) {
	params := json.RawMessage(`{"a":"x","l":[1,2,"b"],"o":{"k":1.5}}`)
	f.Add(`{% for k, v in o.items() %}{{ k ~ v }}{% endfor %}{{ l[::-1]|join(",") }}`)
	f.Add(`{% macro f(x, y=2) %}{{ x }}{{ y }}{{ caller is defined }}{% endmacro %}{% call f(1) %}{% endcall %}{{ "%5.2f"|format(o.k) }}`)
	f.Add(`{%- set n = namespace(a=1) -%}{% set n.a = n.a ** 2 %}{{ n.a // 3 }}{# x #}{% raw %}{{{% endraw %}`)
	f.Add("{% for k, v in o.items() %}{{ v|tojson(1) }}{% endfor %}{{ o|urlencode|safe }}{{ l.9|default_if_none(1.50)|default(\"\", true) }}\r\n")
	f.Add(`{{ o.items|default(1) }}{{ "%#o%05s" % (8, a) }}{{ 9999999999 * 9999999999 / 3 }}{{ a[true] }}{{ (a|safe) + a }}{# x #}`)
	f.Fuzz(func(t *testing.T, text string) {
		start := time.Now()
		for _, engine := range []sandbox.Engine{sandbox.Pongo2, sandbox.Jinja2} {
			p, err := sandbox.Compile(text, sandbox.JSON, engine)
			if err != nil {
				continue
			}
			values, err := sandbox.ParseParams(params)
			if err != nil {
				t.Fatal(err)
			}
			_, err = sandbox.NewRun(t.Context(), values, sandbox.Limits{MaxOutput: 1 << 16, MaxSteps: 1 << 16, Timeout: time.Second}).Append(nil, p)
			if err != nil && strings.Contains(err.Error(), "internal fault") {
				t.Errorf("%q: %v", text, err)
			}
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%q took %v", text, took)
		}
	})
}
