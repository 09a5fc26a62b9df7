package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"callfleet/internal/template/sandbox"
)

var limits = sandbox.Limits{MaxOutput: 1 << 20, MaxSteps: 1 << 20, Timeout: 3 * time.Second}

const params = `{"name":"Ada \"L\" <x>&y/z?","n":3.0,"big":123456789012345678901234567890,"i":7,"t":true,"f":false,
 "null":null,"empty":"","list":["a",2,"c"],"none_list":[],"user":{"name":"Bob","tags":["x","y"],"b-c":1,"order":2,"in":4},
 "price":19.90,"fine":0.1000000000000000055,"nl":"a\nb","nul":"\u0000","uni":"Zoë 😀","pairs":{"b":1,"a":"x y"}, "matrix":[[1,2],[3]]}`

// run compiles and runs one text.
func run(ctx context.Context, text string, at sandbox.Position, params string) (string, error) {
	p, err := sandbox.Compile(text, at, sandbox.Pongo2)
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

func TestLanguage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{`plain`, `plain`},
		{`{{ name }}`, `Ada "L" <x>&y/z?`},
		{`{{ n }} {{ big }} {{ i }} {{ 1.50 }} {{ price }} {{ fine }}`, `3.0 123456789012345678901234567890 7 1.5 19.9 0.1`},
		{`{{ t }} {{ f }}`, `True False`},
		{`{{ user.name }} {{ user["b-c"] }} {{ user.in }} {{ params.user.name }} {{ params["i"] }}`, `Bob 1 4 Bob 7`},
		{`{{ list.0 }}{{ list[1] }}{{ list[1 + 1] }}{{ matrix[0][1] }}`, `a2c2`},
		{`a{# no {{ x }} #}b{% comment %}{% if %}{{ }}{% endcomment %}c{% verbatim %}{{ x }}{% endverbatim %}`, `abc{{ x }}`},
		{"a  {{- i -}}  b {%- if t %} c {%- endif %}", "a7b c"},
		{`{% if i > 5 and n == 3 %}yes{% else %}no{% endif %}`, `yes`},
		{`{% if f %}a{% elif i == 7 %}b{% else %}c{% endif %}`, `b`},
		{`{% if f %}a{% endif %}`, ``},
		{`{% for x in list %}{{ loop.index }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}`, `1a,22,3c`},
		{`{% for x in list %}{{ forloop.Counter0 }}{{ forloop.Revcounter }}{% if forloop.First %}!{% endif %}{% endfor %}`, `03!1221`},
		{`{% for k, v in pairs %}{{ k }}={{ v }};{% endfor %}`, `b=1;a=x y;`},
		{`{% for k, v in pairs.items() %}{{ k }}={{ v }};{% endfor %}{% for a, b in [["x", 1]] %}{{ a }}{{ b }}{% endfor %}`, `b=1;a=x y;x1`},
		{`{% for k in pairs %}{{ k }}{% endfor %}`, `ba`},
		{`{% for x in none_list %}a{% empty %}none{% endfor %}{% for x in none_list %}a{% else %}none{% endfor %}`, `nonenone`},
		{`{% for r in matrix %}{% for c in r %}{{ c }}{% endfor %}|{% endfor %}`, `12|3|`},
		{`{% set x = i + 1 %}{{ x }}{% with y=x z="q" %}{{ y }}{{ z }}{% endwith %}`, `88q`},
		{`{% set i = 1 %}{{ i }}{{ params.i }}`, `17`},
		{`{{ i + 1 }} {{ i - 10 }} {{ i * 2 }} {{ i / 2 }} {{ i % 4 }} {{ -7 % 3 }} {{ -i }}`, `8 -3 14 3.5 3 2 -7`},
		{`{{ n + 1 }} {{ 0.1 + 0.2 }} {{ "a" + "b" }} {{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }}`, `4.0 0.30000000000000004 ab 7 9`},
		{`{{ t or f and f }} {{ not t == t }} {{ "x" if t else "y" }} {{ "x" if f else "y" }}`, `True False x y`},
		{`{{ "a" in list }} {{ "z" not in list }} {{ "name" in user }} {{ "da" in name }} {{ i in [1, 7] }}`, `True True True True True`},
		{`{{ big == 123456789012345678901234567890 }} {{ big > 123456789012345678901234567889 }} {{ "b" > "a" }}`, `True True True`},
		{`{{ 1 == 1.0 }} {{ "1" == 1 }} {{ list == ["a", 2, "c"] }} {{ user == user }} {{ user != pairs }}`, `True False True True True`},
		{`{{ missing|default:"d" }} {{ user.a.b|default("d") }} {{ null|default(i, true) }} {{ empty|default("d") }}.`, `d d 7 .`},
		{`{{ missing|default_if_none:"d" }} {{ null|default_if_none(i) }} {{ empty|default_if_none("d") }}{{ f|default_if_none("d") }}`, `d 7 False`},
		{`{% if null|default("") %}x{% else %}y{% endif %}{{ empty|default("d", true) }}{{ null|default(none)|tojson }}`, `ydnull`},
		{"a\r\nb{{ nl }}\r\n", "a\nba\nb"},
		{"a\n\n", "a\n"},
		{`{{ missing is defined }} {{ user.name is defined }} {{ missing is not defined }} {{ null is none }} {{ i is not none }}`, `False True True True True`},
		{`{% if missing is defined and missing > 1 %}x{% else %}y{% endif %}`, `y`},
		{`{{ list|tojson }} {{ user|tojson }} {{ nl|tojson }} {{ n|tojson }} {{ t|tojson }} {{ null|tojson }}`,
			`["a", 2, "c"] {"b-c": 1, "in": 4, "name": "Bob", "order": 2, "tags": ["x", "y"]} "a\nb" 3.0 true null`},
		{`{{ [i, "a", [t]]|tojson }} {{ nul|tojson }}`, `[7, "a", [true]] "\u0000"`},
		{`{{ name|urlencode }} {{ name|urlpath }} {{ "a b+c"|formencode }} {{ pairs|urlencode }} {{ pairs|formencode }}`,
			`Ada%20%22L%22%20%3Cx%3E%26y/z%3F Ada%20%22L%22%20%3Cx%3E%26y%2Fz%3F a+b%2Bc b=1&a=x+y b=1&a=x+y`},
		{`{{ name|b64encode }} {{ name|quote_header }} {{ name|upper|lower|length }} {{ uni|length }}`,
			`QWRhICJMIiA8eD4meS96Pw== "Ada \"L\" <x>&y/z?" 16 5`},
		{`{{ list|join:"-" }} {{ list|first }} {{ list|last }} {{ uni|last }} {{ list|length }} {{ " a "|trim }} {{ t|lower }}`, `a-2-c a c 😀 3 a true`},
		{`{{ name|required:"who" }}`, `Ada "L" <x>&y/z?`},
		{`{{ "it's" }} {{ 'a"b' }} {{ "a\"b\\" }}`, `it's a"b a"b\`},
	} {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			got, err := run(t.Context(), tt.text, sandbox.Text, params)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestMistakesAtCompile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{`a {{ x|nope }}`, `line 1 column 8: there is no filter "nope"`},
		{"a\n {{ x|date:\"Y\" }}", `line 2 column 7: there is no filter "date"`},
		{`{{ range(9) }}`, `line 1 column 9: range is called, but templates have no functions`},
		{`{{ d.keys() }}`, `d.keys is called, but templates have no functions`},
		{`{{ d.items(1) }}`, `method "items" takes no argument`},
		{"a\n{# x #}{{- y }}", `line 2 column 6: a remark stands beside a brace with -`},
		{`{{ y -}}{# x #}`, `line 1 column 6: a remark stands beside a brace with -`},
		{`{% for loop in x %}{% endfor %}`, `take another name`},
		{`{{ x `, `line 1 column 1: is not closed by }}`},
		{`{{ x ~ y }} {{ z }}`, `line 1 column 6: expected }}, found "~"`},
		{`{{ }}`, `line 1 column 4: expected a name, a text or a number`},
		{`{{ a b }}`, `line 1 column 6: expected the end of the expression, found "b"`},
		{`{{ a..b }}`, `expected a member's name, found "."`},
		{`{{ a < b < c }}`, `comparisons cannot be chained`},
		{`{{ 1x }}`, `"1x" is neither a number nor a name`},
		{`{{ x|join:"a":"b" }}`, `expected the end of the expression`},
		{`{{ x|upper("a") }}`, `filter "upper" takes no argument`},
		{`{{ x|default }}`, `filter "default" takes 1 to 2 arguments`},
		{`{% if x %}`, `line 1 column 1: {% if %} has no {% endif %}`},
		{`{% if x %}{% else %}{% else %}{% endif %}`, `{% else %} belongs to if or for, and is not inside it`},
		{`{% endfor %}`, `{% endfor %} belongs to for`},
		{`{% for x list %}{% endfor %}`, `expected in, found "list"`},
		{`{% set x %}`, `expected =`},
		{`{% raw %}{% endraw %}`, `use {% verbatim %}`},
		{"a\x01b", `line 1 column 2: holds a control character`},
		{"a\nb\x00", `line 2 column 2: holds a control character`},
		{"\xff", `is not UTF-8`},
		{`{% if x` + strings.Repeat("{", 3), `is not closed`},
		{`{{ ` + strings.Repeat("(", 100) + `x }}`, `nested more than 50 deep`},
		{strings.Repeat(`{% if x %}`, 100), `nested more than 50 deep`},
		{`{{ ` + strings.Repeat("not ", 100) + `x }}`, `nested more than 50 deep`},
	} {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			_, err := sandbox.Compile(tt.text, sandbox.Text, sandbox.Pongo2)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// Each tag of pongo2 that reaches out of the template or does without an end.
func TestDangerousTagsAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{% ssi "/etc/passwd" %}`, `{% include "/etc/passwd" %}`, `{% import "/etc/passwd" x %}`, `{% extends "/etc/passwd" %}`,
		`{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}`, `{% cycle "a" "b" %}`, `{% block a %}{% endblock %}`, `{% now "2006" %}`,
		`{% lorem 9 w %}`, `{% filter upper %}{% endfilter %}`, `{% autoescape on %}{% endautoescape %}`, `{% callfleet_document %}`,
		`{% firstof a b %}`, `{% spaceless %}{% endspaceless %}`, `{% templatetag openblock %}`, `{% widthratio 1 2 3 %}`,
	} {
		_, err := sandbox.Compile(text, sandbox.Text, sandbox.Pongo2)
		if err == nil || !strings.Contains(err.Error(), "is not allowed") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestMistakesAtRun(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{`{{ nmae }}`, `line 1 column 4: nmae is not in params`},
		{"\n\n  {{ params.user.nmae }}", `line 3 column 18: params.user.nmae is not in params`},
		{`{{ user.nmae.first }}`, `user.nmae is not in params`},
		{`{{ user.name.first }}`, `user.name.first is not in params (user.name is a text)`},
		{`{{ user["nope"] }}`, `user["nope"] is not in params`},
		{`{{ list.9 }}`, `list.9 is not in params (the list is shorter)`},
		{`{{ nmae|upper }}`, `nmae is not in params`},
		{`{{ nmae|tojson }}`, `nmae is not in params`},
		{`{{ "a"|default:nmae }}`, `nmae is not in params`},
		{`{% if nmae %}{% endif %}`, `nmae is not in params`},
		{`{% if not nmae %}{% endif %}`, `nmae is not in params`},
		{`{% if t and nmae == 1 %}{% endif %}`, `nmae is not in params`},
		{`{% for x in nmae %}{% endfor %}`, `nmae is not in params`},
		{`{% set x = nmae %}`, `nmae is not in params`},
		{`{% for x in list %}{% endfor %}{{ x }}`, `x is not in params`},
		{`{{ none_list|first }}`, `none_list is not in params (it is empty)`},
		{`{{ loop.index }}`, `loop is not in params`},
		{`{{ null }}`, `line 1 column 4: null is null, which does not print: write |tojson, or |default_if_none for another value`},
		{`{{ params.null }}`, `params.null is null, which does not print`},
		{`{{ params.null|default("x") }}`, `line 1 column 16: params.null is null, which default leaves as it is: write default_if_none for what is missing or null, or default(…, true)`},
		{`{{ params.null|default("") }}`, `is null, which does not print`},
		{`{{ list }}`, `list is a list, which does not print: write |tojson, |join or a member`},
		{`{{ name.upper|default("x") }}`, `name.upper is not in params (name is a text)`},
		{`{{ pairs.items()|tojson }}`, `has no JSON`},
		{`{{ pairs.items() == pairs.items() }}`, `cannot be compared`},
		{`{{ (name|safe) + name }}`, `+ joins what is safe or JSON with a text`},
		{`{{ name + (i|tojson) }}`, `+ joins what is safe or JSON with a text`},
		{`{{ ("%s"|safe) % name }}`, `% joins what is safe or JSON with a text`},
		{`{{ nmae|required:"who is it for" }}`, `nmae is required: who is it for`},
		{`{{ empty|required }}`, `empty is required`},
		{`{{ 1 / 0 }}`, `division by zero`},
		{`{{ 1 % 0 }}`, `division by zero`},
		{`{{ big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big * big }}`, `the result of * is too large`},
		{`{{ i + "a" }}`, `+ does not join a number and a text`},
		{`{{ i < "a" }}`, `< cannot compare a number and a text`},
		{`{{ "a" in 7 }}`, `in cannot look for a text in a number`},
		{`{{ -name }}`, `- needs a number, name is a text`},
		{`{{ user|join }}`, `user is an object, join needs a list`},
		{`{{ matrix|join }}`, `item 1 of matrix is a list`},
		{`{{ ".."|urlpath }}`, `is empty or dots`},
		{`{{ nl|quote_header }}`, `nl holds a control character`},
		{`{% for x in name %}{% endfor %}`, `a loop needs a list or an object, name is a text`},
		{`{% for a, b in list %}{% endfor %}`, `2 names are set, the value has 1 items`},
		{`{{ i|length }}`, `i is a number and has no length`},
	} {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			got, err := run(t.Context(), tt.text, sandbox.Text, params)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %q, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}

func TestEscapingByPosition(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		at   sandbox.Position
		text string
		want string // "!" begins an error
	}{
		{"json string", sandbox.JSON, `{"a": "{{ name }}"}`, `{"a": "Ada \"L\" <x>&y/z?"}`},
		{"json string with control", sandbox.JSON, `{"a": "{{ nl }}{{ nul }}"}`, `{"a": "a\nb\u0000"}`},
		{"json string with escapes around", sandbox.JSON, `{"a\"": "\\{{ name }}"}`, `{"a\"": "\\Ada \"L\" <x>&y/z?"}`},
		{"json in a json string", sandbox.JSON, `{"a": "{{ pairs|tojson }}"}`, `{"a": "{\"a\": \"x y\", \"b\": 1}"}`},
		{"json values", sandbox.JSON, `[{{ n }},{{ t }},{{ null }},{{ list }},{{ name|tojson }}]`, `[3.0,true,null,["a",2,"c"],"Ada \"L\" \u003cx\u003e\u0026y/z?"]`},
		{"json text without quotes", sandbox.JSON, `{"a": {{ name }}}`, `!line 1 column 10: name is a text outside quotes: write |tojson`},
		{"json safe", sandbox.JSON, `{"a": {{ "[1]"|safe }}, "b": "{{ "x"|safe }}"}`, `{"a": [1], "b": "x"}`},
		{"json safe leads out of a string", sandbox.JSON, `{"a": "{{ '"'|safe }}, "b": {{ i }}}`, `{"a": "", "b": 7}`},
		{"json in loops", sandbox.JSON, `[{% for x in list %}"{{ x }}"{% if not loop.last %},{% endif %}{% endfor %}]`, `["a","2","c"]`},
		{"url path", sandbox.URL, `https://h/u/{{ name }}/x`, `https://h/u/Ada%20%22L%22%20%3Cx%3E%26y%2Fz%3F/x`},
		{"url query", sandbox.URL, `https://h/u?a={{ name }}&b={{ uni }}`, `https://h/u?a=Ada%20%22L%22%20%3Cx%3E%26y%2Fz%3F&b=Zo%C3%AB%20%F0%9F%98%80`},
		{"url encoded once", sandbox.URL, `https://h/{{ name|urlpath }}?{{ pairs|urlencode }}`, `https://h/Ada%20%22L%22%20%3Cx%3E%26y%2Fz%3F?b=1&a=x+y`},
		{"url base", sandbox.URL, `{{ "https://h:1/v1" }}/u/{{ "a/b" }}`, `https://h:1/v1/u/a%2Fb`},
		{"url host", sandbox.URL, `https://{{ "eu-1" }}.example.com/`, `https://eu-1.example.com/`},
		{"url host breaks out", sandbox.URL, `https://{{ "evil.com/" }}.example.com/`, `!a character that is not allowed in a host`},
		{"url host with user", sandbox.URL, `https://{{ "a@b" }}/`, `!a character that is not allowed in a host`},
		{"url scheme", sandbox.URL, `http{{ "s" }}://h/`, `!stands in the scheme`},
		{"url safe", sandbox.URL, `https://h/{{ "a/b?c"|safe }}{{ "&" }}`, `https://h/a/b?c%26`},
		{"json behind a backslash", sandbox.JSON, `{"a": "\{{ name }}"}`, `!name stands behind a backslash`},
		{"url empty segment", sandbox.URL, `https://h/users/{{ empty }}`, `!empty is empty, which would lead to another path`},
		{"url empty part of a segment", sandbox.URL, `https://h/a{{ empty }}?b={{ empty }}`, `https://h/a?b=`},
		{"url control", sandbox.URL, `https://h/{{ nl }}{{ nul }}`, `https://h/a%0Ab%00`},
		{"form", sandbox.Form, `a={{ name }}&b={{ "x y"|formencode }}&{{ pairs|formencode }}`, `a=Ada+%22L%22+%3Cx%3E%26y%2Fz%3F&b=x+y&b=1&a=x+y`},
		{"form of pairs", sandbox.Form, `{{ pairs|formencode }}&{{ pairs|urlencode }}`, `b=1&a=x+y&b=1&a=x+y`},
		{"form value that is pairs", sandbox.Form, `a={{ pairs|formencode }}`, `!is an object, whose name=value pairs stand only where a pair begins`},
		{"url value that is pairs", sandbox.URL, `https://h/?a={{ pairs|urlencode }}`, `!where a pair begins`},
		{"url pairs behind pairs", sandbox.URL, `https://h/?a=1&{{ pairs|urlencode }}`, `https://h/?a=1&b=1&a=x+y`},
		{"xml", sandbox.XML, `<a b="{{ name }}">{{ "'" }}</a>`, `<a b="Ada &quot;L&quot; &lt;x&gt;&amp;y/z?">&apos;</a>`},
		{"xml control", sandbox.XML, `<a>{{ nul }}</a>`, `!nul holds a control character`},
		{"text", sandbox.Text, `{{ name }}`, `Ada "L" <x>&y/z?`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := run(t.Context(), tt.text, tt.at, params)
			if want, isErr := strings.CutPrefix(tt.want, "!"); isErr {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, %v\nwant %s", got, err, want)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}

// Programs that would run for ever, or print without end, stop fast.
func TestHostilePrograms(t *testing.T) {
	t.Parallel()
	many := `{"l":[` + strings.Repeat("1,", 9999) + `1],"s":"` + strings.Repeat("x", 1<<19) + `","o":{` +
		strings.TrimSuffix(strings.Repeat(`"k":1,`, 9999), ",") + `}}`
	loops := func(n int, body string) string {
		var b strings.Builder
		for range n {
			b.WriteString("{% for x in l %}")
		}
		return b.String() + body + strings.Repeat("{% endfor %}", n)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"loops without output", loops(40, ""), "does more than|takes longer than"},
		{"loops over an empty body in if", loops(5, "{% if x %}{% endif %}"), "does more than|takes longer than"},
		{"prints without end", loops(5, strings.Repeat("x", 1000)), "line 1 column 65: prints more than 1048576 bytes"},
		{"prints a big text again and again", loops(2, "{{ s }}"), "line 1 column 36: prints more than 1048576 bytes"},
		{"doubles a text", "{% set a = s %}" + strings.Repeat("{% set a = a + a %}", 60), "makes more than 1048576 bytes"},
		{"doubles a list", "{% set a = [l] %}" + strings.Repeat("{% set a = [a, a] %}", 60) + "{{ a|tojson }}", "does more than|makes more than"},
		{"compares doubled lists", "{% set a = [l] %}{% set b = [l] %}" + strings.Repeat("{% set a = [a, a] %}{% set b = [b, b] %}", 60) + "{{ a == b }}", "does more than|takes longer than"},
		{"escapes a big text without output", loops(3, "{% set a = s|urlencode %}"), "does more than|takes longer than"},
		{"changes case again and again", loops(3, "{% set a = s|upper|lower %}"), "does more than|takes longer than"},
		{"measures again and again", loops(3, "{% set a = s|length %}"), "does more than|takes longer than"},
		{"looks in a text", loops(3, `{% if "y" in s %}{% endif %}`), "does more than|takes longer than"},
		{"looks in a list", loops(3, `{% if "y" in l %}{% endif %}`), "does more than|takes longer than"},
		{"joins", loops(3, `{% set a = l|join:s %}`), "makes more than"},
		{"encodes an object", loops(3, `{% set a = o|urlencode %}`), "does more than|takes longer than"},
		{"first of a list", loops(4, `{% set a = l|first %}`), "does more than|takes longer than"},
		{"multiplies", "{% set a = 9 %}" + strings.Repeat("{% set a = a * a %}", 60), "too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			out, err := run(t.Context(), tt.text, sandbox.Text, many)
			// Which of two bounds comes first depends on the machine.
			a, b, either := strings.Cut(tt.want, "|")
			if err == nil || !strings.Contains(err.Error(), a) && !(either && strings.Contains(err.Error(), b)) {
				t.Errorf("got %d bytes, %v\nwant %s", len(out), err, tt.want)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestContextEndsARun(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("shutting down")
	cancel(reason)
	text := `{% for a in l %}{% for b in l %}{% for c in l %}{% endfor %}{% endfor %}{% endfor %}`
	_, err := run(ctx, text, sandbox.Text, `{"l":[`+strings.Repeat("1,", 999)+`1]}`)
	if !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
}

func TestParseParams(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{`[]`, "must be a JSON object"}, {`7`, "must be a JSON object"}, {`{`, "is not JSON"}, {`{"a":1}x`, "is not JSON"},
		{`{"a":` + strings.Repeat("9", 1001) + `}`, "a: holds a number of more than 1000 digits"},
		{`{"a":1e400}`, "a: holds a number that is too large (1.8e308 is the largest with a fraction or an exponent): give it as a text"},
		{`{"a":"\ud800"}`, "a: holds text that is no Unicode"}, {"{\"a\":\"\xff\"}", "a: holds text that is no Unicode"},
		{``, ""}, {`null`, ""}, {` {} `, ""}, {`{"a":"\ufffd` + "\uFFFD" + `"}`, ""},
	} {
		_, err := sandbox.ParseParams(json.RawMessage(tt.in))
		if got := fmt.Sprint(err); tt.want == "" && err != nil || tt.want != "" && got != tt.want {
			t.Errorf("%s: got %v", tt.in, err)
		}
	}
}

func TestIsJSONValue(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{{ a|tojson }}`: true, `{{ a|default:1|tojson }}`: true, `{{ a }}`: false, ` {{ a|tojson }}`: false, `x`: false, ``: false,
		`{{ a|tojson|safe }}`: false, `{% if a %}{{ a|tojson }}{% endif %}`: false,
	} {
		p, err := sandbox.Compile(text, sandbox.Text, sandbox.Pongo2)
		if err != nil {
			t.Fatal(err)
		}
		if p.IsJSONValue() != want {
			t.Errorf("%s: got %v", text, !want)
		}
	}
}
