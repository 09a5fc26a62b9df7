package template_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"callfleet/internal/call"
	"callfleet/internal/template"
)

func TestRender(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, item, params, want string }{
		{"json text",
			`"url":{"S":"https://h/users"},"headers":{"M":{"X-Key":{"S":"k-{{ key }}"}}},"payload":{"S":"{\"name\": \"{{ name }}\", \"age\": {{ age }}, \"tags\": {{ tags|tojson }}}"}`,
			`{"key":"1","name":"O\"B","age":36.0,"tags":["a", 1.50]}`,
			`POST https://h/users | X-Key: k-1 | Content-Type: application/json | {"name": "O\"B", "age": 36.0, "tags": ["a", 1.5]}`},
		{"query",
			`"url":{"S":"https://h/search?q={{ q }}&page={{ page|default:1 }}"}`, `{"q":"a&b=c d"}`,
			`POST https://h/search?q=a%26b%3Dc%20d&page=1`},
		{"path", `"url":{"S":"{{ base }}/users/{{ id }}"}`, `{"base":"http://127.0.0.1:8089/v1","id":"a/../b?c"}`,
			`POST http://127.0.0.1:8089/v1/users/a%2F..%2Fb%3Fc`},
		{"form", `"url":{"S":"https://h/"},"contentType":{"S":"application/x-www-form-urlencoded"},"payload":{"S":"a={{ a }}&{{ rest|formencode }}"}`,
			`{"a":"x&y z","rest":{"b":"1","c":2}}`, `POST https://h/ | Content-Type: application/x-www-form-urlencoded | a=x%26y+z&b=1&c=2`},
		{"structure", `"url":{"S":"https://h/"},"payload":{"M":{"s":{"S":"Hi {{ n }}"},"n":{"S":"{{ n|tojson }}"},"t":{"S":"{{ n }}"},"f":{"N":"1.50"},"b":{"BOOL":true},"z":{"NULL":true},"l":{"L":[{"S":"\"q\""},{"M":{}}]}}}`,
			`{"n":3.0}`, `POST https://h/ | Content-Type: application/json | {"s":"Hi 3.0","n":3.0,"t":"3.0","f":1.50,"b":true,"z":null,"l":["\"q\"",{}]}`},
		{"structure as AWS's JSON", `"url":{"S":"https://h/"},"contentType":{"S":"application/x-amz-json-1.0"},"payload":{"M":{"s":{"S":"{{ s }}"}}}`,
			`{"s":"\"q\""}`, `POST https://h/ | Content-Type: application/x-amz-json-1.0 | {"s":"\"q\""}`},
		{"text as AWS's JSON", `"url":{"S":"https://h/"},"contentType":{"S":"application/x-amz-json-1.1; charset=utf-8"},"payload":{"S":"{\"s\": \"{{ s }}\"}"}`,
			`{"s":"\"q\""}`, `POST https://h/ | Content-Type: application/x-amz-json-1.1; charset=utf-8 | {"s": "\"q\""}`},
		{"headers as json", `"url":{"S":"https://h/"},"headers":{"S":"{\"Accept\": \"*/*\", \"Authorization\": \"Bearer {{ t }}\"}"}`, `{"t":"x"}`,
			`POST https://h/ | Accept: */* | Authorization: Bearer x`},
		{"plain text", `"url":{"S":"https://h/"},"payload":{"S":"Hi {{ n }}"}`, `{"n":"\"<&"}`, `POST https://h/ | Content-Type: text/plain; charset=utf-8 | Hi "<&`},
		{"xml", `"url":{"S":"https://h/"},"contentType":{"S":"text/xml"},"payload":{"S":"<a>{{ n }}</a>"}`, `{"n":"\"<&"}`, `POST https://h/ | Content-Type: text/xml | <a>&quot;&lt;&amp;</a>`},
		{"not ascii", `"url":{"S":"https://h/ü/{{ n }}?ü"}`, `{"n":"ö"}`, `POST https://h/%C3%BC/%C3%B6?%C3%BC`},
		{"no params", `"url":{"S":"https://h/"}`, ``, `POST https://h/`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := template.NewRenderer(template.Options{}).Render(t.Context(), item(tt.item), json.RawMessage(tt.params))
			if err != nil {
				t.Fatal(err)
			}
			if s := show(got); s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
		})
	}
}

func show(r call.Rendered) string {
	parts := []string{r.Method + " " + r.URL}
	for _, h := range r.Header {
		parts = append(parts, h.Name+": "+h.Value)
	}
	if r.Body != nil {
		parts = append(parts, string(r.Body))
	}
	return strings.Join(parts, " | ")
}

func TestRenderFailures(t *testing.T) {
	t.Parallel()
	const secret = "S3CRET"
	for _, tt := range []struct{ item, params, want string }{
		{`"url":{"S":"https://h/"},"payload":{"S":"{\n \"a\": \"{{ params.user.nmae }}\"}"}`, `{"user":{"name":"S3CRET"}}`,
			`render template a POST: payload: line 2 column 23: params.user.nmae is not in params`},
		{`"url":{"S":"https://h/"},"headers":{"M":{"X-A":{"S":"{{ v }}"}}}`, `{"v":"S3CRET\r\nX-B: 1"}`, `headers.X-A: holds a line break or another control character`},
		{`"url":{"S":"https://h/"},"headers":{"M":{"X-A":{"S":"{{ v }}"}}}`, `{"v":"S3CRET\u0000"}`, `headers.X-A: holds a line break or another control character`},
		{`"url":{"S":"https://h/"},"headers":{"M":{"X-A":{"S":"{{ v }}"}}}`, `{"v":"` + strings.Repeat("x", 1<<20) + `"}`, `headers: have more than 65536 bytes`},
		{`"url":{"S":"https://h/"},"payload":{"S":"{\"a\": {{ v }}}"}`, `{"v":"S3CRET"}`, `payload: line 1 column 10: v is a text outside quotes: write |tojson`},
		{`"url":{"S":"https://h/"},"payload":{"S":"{\"a\": 1\n,, {{ v }}}"}`, `{"v":1}`, `payload: is not JSON when rendered, from line 2 column 2 of the output on`},
		{`"url":{"S":"{{ u }}"}`, `{"u":"ftp://S3CRET"}`, `url: does not begin with http:// or https://`},
		{`"url":{"S":"{{ u }}"}`, `{"u":"https://"}`, `url: has no host`},
		{`"url":{"S":"{{ u }}"}`, `{"u":"https://u:S3CRET@h:99999/"}`, `url: has a port out of range`},
		{`"url":{"S":"{{ u }}"}`, `{"u":"https://u:S3CRET@h:x/"}`, `url: is no valid URL`},
		{`"url":{"S":"{{ u }}"}`, `{"u":"https://h/S3CRET\u0000"}`, `url: holds a space or a control character`},
		{`"url":{"S":"{{ u }}"}`, `{"u":"https://h/a b"}`, `url: holds a space or a control character`},
		{`"url":{"S":"{{ u }}"}`, `{"u":"https://hö/"}`, `url: has a host that is not ASCII`},
		{`"url":{"S":"https://h/{{ u }}/x"}`, `{"u":".."}`, `url: has a path segment of dots only`},
		{`"url":{"S":"https://h/{{ u|safe }}/x"}`, `{"u":"%2e%2E"}`, `url: has a path segment of dots only`},
		{`"url":{"S":"https://h/{{ u }}"}`, `{"u":"` + strings.Repeat("x", 1<<20) + `"}`, `url: has more than 16384 bytes`},
		{`"url":{"S":"https://h/"}`, `[]`, `params: must be a JSON object`},
		{`"url":{"S":"https://h/"}`, `{"a":"\ud800"}`, `params: a: holds text that is no Unicode`},
		{`"url":{"S":"https://h/{{ a b }}"}`, `{}`, `template a POST: url: line 1 column 16: expected the end`},
		{`"url":{"S":"https://h/{% if v > 1 %}{% endif %}"}`, `{"v":"S3CRET"}`, `> cannot compare a text and a number`},
	} {
		t.Run(tt.want, func(t *testing.T) {
			t.Parallel()
			_, err := template.NewRenderer(template.Options{}).Render(t.Context(), item(tt.item), json.RawMessage(tt.params))
			f, ok := errors.AsType[*call.Failure](err)
			if !ok || f.Name != call.RenderFailed || !strings.Contains(f.Cause, tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("shows a param: %v", err)
			}
		})
	}
}

// The request that a server sees holds each param whole and in its place.
func TestParamsStayInTheirPlace(t *testing.T) {
	t.Parallel()
	type seen struct{ path, query, form, body string }
	saw := make(chan seen, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s := seen{path: strings.TrimPrefix(r.URL.Path, "/p/"), query: r.URL.Query().Get("q")}
		if r.Header.Get("Content-Type") == "application/json" {
			var body struct{ A string }
			if err := json.NewDecoder(r.Body).Decode(&body); err == nil {
				s.body = body.A
			}
		} else {
			s.form = r.PostFormValue("a")
		}
		saw <- s
	}))
	t.Cleanup(server.Close)
	r := template.NewRenderer(template.Options{})
	send := func(t *testing.T, text, kind, payload string) seen {
		t.Helper()
		url, _ := json.Marshal(server.URL + "/p/{{ v }}/end?q={{ v }}&x=1")
		params, _ := json.Marshal(map[string]string{"v": text})
		body, _ := json.Marshal(payload)
		rendered, err := r.Render(t.Context(), item(fmt.Sprintf(`"url":{"S":%s},"contentType":{"S":%q},"payload":{"S":%s}`, url, kind, body)), params)
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(t.Context(), rendered.Method, rendered.URL, bytes.NewReader(rendered.Body))
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range rendered.Header {
			request.Header.Add(h.Name, h.Value)
		}
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		return <-saw
	}
	for _, text := range []string{
		`plain`, `a"b`, `a\`, `\"}`, `","admin":true,"x":"`, "a\r\nb\tc", "\x00\x01\x1f\x7f", `{{ v }}{% for %}`, `a/b?c=d&e#f`, `../../admin`, `a..b`, `%2e%2e%2f`, `100%`, `+ +`,
		`<script>&amp;`, "\u2028\u2029\uFEFF", `日本語 😀 Zoë`, `'; DROP TABLE x;--`, `$(rm)`, "a;b=c", ` lead and trail `, `null`, `0x1`, `@host`, `//evil.com/`,
	} {
		want := text
		got := send(t, text, "application/json", `{"a": "{{ v }}", "b": 1}`)
		if got.path != want+"/end" || got.query != want || got.body != want {
			t.Errorf("json: %q came as %+q", text, got)
		}
		got = send(t, text, "application/x-www-form-urlencoded", `a={{ v }}&b=1`)
		if got.path != want+"/end" || got.query != want || got.form != want {
			t.Errorf("form: %q came as %+q", text, got)
		}
	}
}

func TestOneMegabyteParam(t *testing.T) {
	t.Parallel()
	big := strings.Repeat(`"\`, 1<<19)
	params, err := json.Marshal(map[string]string{"v": big})
	if err != nil {
		t.Fatal(err)
	}
	got, err := template.NewRenderer(template.Options{}).Render(t.Context(), item(`"url":{"S":"https://h/"},"payload":{"S":"{\"a\":\"{{ v }}\"}"}`), params)
	if err != nil {
		t.Fatal(err)
	}
	var body struct{ A string }
	if err := json.Unmarshal(got.Body, &body); err != nil || body.A != big {
		t.Errorf("came as %d bytes, %v", len(body.A), err)
	}
}

// The hostile templates of the issue: each ends fast with a clear error.
func TestHostileTemplates(t *testing.T) {
	t.Parallel()
	loop := strings.Repeat("{% for a in l %}", 20)
	end := strings.Repeat("{% endfor %}", 20)
	for _, tt := range []struct{ name, payload, want string }{
		{"loops for ever", loop + end, "payload: line 1 column 305: does more than 2000000 steps"},
		{"reads a file", `{% ssi "/etc/passwd" %}`, `payload: line 1 column 1: tag "ssi" is not allowed`},
		{"includes a file", `{% include "/etc/passwd" %}`, `tag "include" is not allowed`},
		{"recurses", `{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}`, `tag "macro" is not allowed`},
		{"prints a gigabyte", loop + strings.Repeat("x", 10000) + end, "prints more than 8388608 bytes"},
		{"divides by zero", `{{ 1 / 0 }}`, "division by zero"},
		{"compares maps", `{{ params == params }}{{ nope }}`, "nope is not in params"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			payload, _ := json.Marshal(tt.payload)
			params := `{"l":[` + strings.Repeat("1,", 999) + `1]}`
			start := time.Now()
			r := template.NewRenderer(template.Options{Timeout: time.Minute}) // the other bounds have to hold
			_, err := r.Render(t.Context(), item(`"url":{"S":"https://h/"},"payload":{"S":`+string(payload)+`}`), json.RawMessage(params))
			if f, ok := errors.AsType[*call.Failure](err); !ok || f.Name != call.RenderFailed || !strings.Contains(f.Cause, tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func slowItem() (item_, params json.RawMessage) {
	return item(`"url":{"S":"https://h/"},"payload":{"S":"` + strings.Repeat("{% for a in l %}", 6) + strings.Repeat("{% endfor %}", 6) + `"}`),
		json.RawMessage(`{"l":[` + strings.Repeat("1,", 99) + `1]}`)
}

func TestRenderTimeout(t *testing.T) {
	t.Parallel()
	it, params := slowItem()
	_, err := template.NewRenderer(template.Options{Timeout: time.Millisecond, MaxSteps: 1 << 40}).Render(t.Context(), it, params)
	if f, ok := errors.AsType[*call.Failure](err); !ok || !strings.Contains(f.Cause, "takes longer than 1ms") {
		t.Errorf("got %v", err)
	}
}

// A worker that shuts down must not report a failure of the template.
func TestRenderReturnsTheCauseOfItsContext(t *testing.T) {
	t.Parallel()
	it, params := slowItem()
	ctx, cancel := context.WithCancelCause(t.Context())
	drained := errors.New("drained")
	cancel(drained)
	_, err := template.NewRenderer(template.Options{MaxSteps: 1 << 40}).Render(ctx, it, params)
	if _, failed := errors.AsType[*call.Failure](err); failed || !errors.Is(err, drained) {
		t.Errorf("got %v", err)
	}
}

func TestRenderConcurrently(t *testing.T) {
	t.Parallel()
	r := template.NewRenderer(template.Options{MaxCached: 3}) // so that it evicts and compiles all the time
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 100 {
				n := (worker + i) % 7
				got, err := r.Render(t.Context(), item(fmt.Sprintf(`"url":{"S":"https://h/%d/{{ id }}{%% for x in l %%}-{{ x }}{%% endfor %%}"}`, n)), json.RawMessage(fmt.Sprintf(`{"id":%d,"l":[1,2]}`, i)))
				if want := fmt.Sprintf("https://h/%d/%d-1-2", n, i); err != nil || got.URL != want {
					t.Errorf("got %s, %v, want %s", got.URL, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func benchmarkItem() (json.RawMessage, json.RawMessage) {
	return json.RawMessage(`{"PK":{"S":"create-user"},"SK":{"S":"POST"},"url":{"S":"https://api.example.com/tenants/{{ tenant }}/users"},` +
			`"headers":{"M":{"Content-Type":{"S":"application/json"},"Accept":{"S":"application/json"}}},` +
			`"payload":{"S":"{\"name\": \"{{ name }}\", \"mail\": {{ mail|tojson }}, \"source\": \"fleet\"}"}}`),
		json.RawMessage(`{"tenant":"acme","name":"Ada Lovelace","mail":"ada@example.com"}`)
}

func BenchmarkRender(b *testing.B) {
	it, params := benchmarkItem()
	r := template.NewRenderer(template.Options{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Render(b.Context(), it, params); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	it, _ := benchmarkItem()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := template.Parse(it); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzRender looks for requests that are broken out of: whatever the template
// and the params, what is rendered is a valid request.
func FuzzRender(f *testing.F) {
	f.Add("https://h/{{ a }}?q={{ b.c|default:1 }}", `{"x": "{{ a }}", "y": {{ b|tojson }}}`, `{"a":"x\"y","b":{"c":[1,2]}}`)
	f.Add("{{ u }}", `{% for k, v in o %}{{ k }}={{ v|urlencode }}&{% endfor %}`, `{"u":"http://h","o":{"a":"b c","d":1.0}}`)
	f.Add("https://{{ h }}.example.com/", `[{% for x in l %}{% if not loop.first %},{% endif %}"{{ x|upper }}"{% else %}1{% endfor %}]`, `{"h":"eu","l":["a",2]}`)
	f.Add("https://h/", `{% set a = 1 + 2 * 3 %}{% with b=a %}{{ b if b > 2 and not false else -b }}{% endwith %}{{- "x" -}}`, `{}`)
	r := template.NewRenderer(template.Options{MaxOutputBytes: 1 << 16, MaxSteps: 1 << 16, Timeout: 5 * time.Second})
	f.Add("https://h/{{ a ~ '/b' }}", `{% macro m(x) %}{"v": "{{ x }}"}{% endmacro %}[{{ m(a) }}, {{ l[::-1] }}, {{ {"k": a} }}]`, `{"a":"x\"y","l":[1,"b"]}`)
	f.Fuzz(func(t *testing.T, target, payload, params string) {
		engine := "pongo2"
		if len(payload)%2 == 1 {
			engine = "jinja2"
		}
		attributes := map[string]map[string]string{"engine": {"S": engine}, "PK": {"S": "a"}, "SK": {"S": "POST"}, "url": {"S": target}, "payload": {"S": payload}, "headers": {"S": `{"X-A":"{{ a }}"}`}}
		it, err := json.Marshal(attributes)
		if err != nil {
			t.Skip()
		}
		got, err := r.Render(t.Context(), it, json.RawMessage(params))
		if err != nil {
			if _, ok := errors.AsType[*call.Failure](err); !ok {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		u, err := url.Parse(got.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			t.Errorf("url %q: %v", got.URL, err)
		}
		for _, h := range got.Header {
			if strings.ContainsAny(h.Value, "\r\n\x00") {
				t.Errorf("header %q", h)
			}
			if h.Name == "Content-Type" && h.Value == "application/json" && !json.Valid(got.Body) {
				t.Errorf("body %q is not JSON", got.Body)
			}
		}
	})
}

// FuzzParamsStayInTheirPlace puts one text into every position and reads it
// back: it is whole, and nothing around it has changed.
func FuzzParamsStayInTheirPlace(f *testing.F) {
	for _, text := range []string{"plain", `a"b\`, `","admin":true,"x":"`, "a\r\nb\x00", "../..", "a/b?c=d&e#f%2e", "日本 😀", "{{ v }}", "+ ;"} {
		f.Add(text)
	}
	r := template.NewRenderer(template.Options{})
	const base = `"url":{"S":"https://h/p/{{ v }}/end?q={{ v }}&x=1"},`
	f.Fuzz(func(t *testing.T, text string) {
		params, err := json.Marshal(map[string]string{"v": text})
		if err != nil || !utf8.ValidString(text) || len(text) > 2000 {
			t.Skip()
		}
		got, err := r.Render(t.Context(), item(base+`"payload":{"S":"{\"a\": \"{{ v }}\", \"b\": [{{ v|tojson }}]}"}`), params)
		if text == "" || text == "." || text == ".." {
			if err == nil {
				t.Errorf("%q became %s", text, got.URL)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q is refused: %v", text, err)
		}
		u, err := url.Parse(got.URL)
		if err != nil || u.Host != "h" || u.Path != "/p/"+text+"/end" || u.Query().Get("q") != text || u.Query().Get("x") != "1" || u.Fragment != "" {
			t.Errorf("%q became %s: %v", text, got.URL, err)
		}
		var body map[string]any
		if err := json.Unmarshal(got.Body, &body); err != nil || !reflect.DeepEqual(body, map[string]any{"a": text, "b": []any{text}}) {
			t.Errorf("%q became %s: %v", text, got.Body, err)
		}
		got, err = r.Render(t.Context(), item(base+`"contentType":{"S":"application/x-www-form-urlencoded"},"payload":{"S":"a={{ v }}&b=1"}`), params)
		if err != nil {
			t.Fatal(err)
		}
		form, err := url.ParseQuery(string(got.Body))
		if err != nil || !reflect.DeepEqual(form, url.Values{"a": {text}, "b": {"1"}}) {
			t.Errorf("%q became %s: %v", text, got.Body, err)
		}
	})
}
