package template

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"callfleet/internal/call"
	"callfleet/internal/secret"
	"callfleet/internal/template/itemjson"
)

func parsePlain(t *testing.T, plain string) (*Template, error) {
	t.Helper()
	item, err := itemjson.FromPlain([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return Parse(item)
}

func withAuth(auth string) string {
	return `{"name":"a","method":"POST","url":"https://api.example/","auth":` + auth + `}`
}

func TestAuthIsRead(t *testing.T) {
	t.Parallel()
	mark := func(name string) string { return secret.Reference{Kind: secret.Env, Name: name}.Mark() }
	for auth, want := range map[string]call.Auth{
		`{"type":"basic","username":"ann","password":"secret://env/P"}`:  {Kind: "basic", Username: "ann", Password: mark("P")},
		`{"type":"basic","username":"secret://env/U"}`:                   {Kind: "basic", Username: mark("U")},
		`{"type":"bearer","token":"{{ \"secret://env/T\"|secret }}"}`:    {Kind: "bearer", Token: mark("T")},
		`{"type":"bearer","token":"v1.{{ \"secret://env/T\"|secret }}"}`: {Kind: "bearer", Token: "v1." + mark("T")},
		`{"type":"apiKey","name":"X-Key","value":"secret://env/K"}`:      {Kind: "apiKey", Name: "X-Key", Value: mark("K")},
		`{"type":"oauth2","tokenUrl":"https://{{ q }}.login.example/token","clientId":"{{ q }}","clientSecret":"secret://env/S","scopes":["a","b {{ q }}"]}`: {
			Kind: "oauth2", TokenURL: "https://eu.login.example/token", ClientID: "eu", ClientSecret: mark("S"), Scopes: "a b eu"},
		`[{"type":"bearer","token":"{% if q == 'eu' %}{{ \"secret://env/EU\"|secret }}{% else %}{{ \"secret://env/US\"|secret }}{% endif %}"}]`: {Kind: "bearer", Token: mark("EU")},
		`{"type":"sigv4","region":"{{ q }}","service":"sqs"}`: {Kind: "sigv4", Region: "eu", Service: "sqs"},
	} {
		tmpl, err := parsePlain(t, withAuth(auth))
		if err != nil {
			t.Errorf("%s: %v", auth, err)
			continue
		}
		out, err := NewRenderer(Options{}).RenderTemplate(context.Background(), tmpl, json.RawMessage(`{"q":"eu"}`))
		if err != nil || len(out.Auth) != 1 || !sameAuth(out.Auth[0], want) {
			t.Errorf("%s: %+v, %v, want %+v", auth, out.Auth, err, want)
		}
	}
}

func sameAuth(a, b call.Auth) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// All mistakes are told at once.
func TestAuthMistakes(t *testing.T) {
	t.Parallel()
	const plain = `{"name":"a","method":"POST","url":"{{ base }}/x","headers":{"Authorization":"Bearer {{ t }}","X-A":"secret://env/A"},"auth":[
		{"type":"basic","username":5,"password":"hunter2","realm":"x"},
		{"type":"bearer","token":"{{ token }}"},
		{"type":"oauth2","tokenUrl":"https://{{ host }}/token","clientSecret":"secret://env/1","clientAuth":"both"},
		{"type":"magic"}]}`
	_, err := parsePlain(t, plain)
	var all *Error
	if !errors.As(err, &all) {
		t.Fatal(err)
	}
	for _, want := range []string{
		"auth.0.username: must be a text", "auth.0.password: must be a reference", "auth.0.realm: is unknown: basic has username, password",
		"auth.1.token: must be a reference", "auth.1.type: cannot be used together with the one at 0, basic",
		"auth.2.tokenUrl: must have its host written out", "auth.2.clientId: is missing", "auth.2.clientSecret: secret://env/NAME takes", "auth.2.clientAuth: must be header or body",
		"auth.3.type: must be one of basic, bearer, apiKey, oauth2, hmac, sigv4, mtls", "headers.Authorization: is set by auth",
		"headers.X-A: holds secret:// as mere text", "url: must have its host written out",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%s", want, strings.Join(strings.Split(err.Error(), "; "), "\n"))
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the mistake shows the secret")
	}
}

func TestAuthIsRefused(t *testing.T) {
	t.Parallel()
	for auth, want := range map[string]string{
		`"basic"`: "must be a map",
		`{}`:      "auth.type: must be one of",
		`[1]`:     "auth.0: must be a map",
		`{"type":"apiKey","name":"Host","value":"secret://env/K"}`:                                                                        "no header name",
		`{"type":"apiKey","name":"{{ n }}","value":"secret://env/K"}`:                                                                     "cannot be templated",
		`{"type":"apiKey","name":"secret://env/N","value":"secret://env/K"}`:                                                              "cannot hold a secret",
		`{"type":"oauth2","tokenUrl":"https://x.example/{{ \"secret://env/A\"|secret }}","clientId":"a","clientSecret":"secret://env/A"}`: "cannot hold a secret",
		`{"type":"apiKey","name":"k","value":"secret://env/K","in":"cookie"}`:                                                             "must be header or query",
		`{"type":"hmac"}`:                      "auth.keys: is missing",
		`{"type":"hmac","keys":[]}`:            "a list (L) of 1 to 5",
		`{"type":"hmac","keys":["whsec_abc"]}`: "must be a reference",
		`{"type":"hmac","keys":["{{ k }}{{ \"secret://env/K\"|secret }}"]}`:                      "references and nothing else",
		`{"type":"sigv4","region":"r","service":"s","secretAccessKey":"secret://env/K"}`:         "must be given both",
		`{"type":"sigv4","region":"r","service":"s","sessionToken":"secret://env/K"}`:            "needs accessKeyId",
		`{"type":"mtls","certificate":"secret://file/c","key":"-----BEGIN PRIVATE KEY-----"}`:    "auth.key: must be a reference",
		`{"type":"oauth2","tokenUrl":"ftp://x/","clientId":"a","clientSecret":"secret://env/A"}`: "does not begin with http",
		`{"type":"bearer","token":"secret://file/../x"}`:                                         "no . or ..",
		`[{"type":"hmac","keys":"secret://env/A"},{"type":"hmac","keys":"secret://env/B"}]`:      "cannot be used together",
		`[{"type":"mtls"},{"type":"mtls"},{"type":"mtls"},{"type":"mtls"},{"type":"mtls"}]`:      "at most 4",
	} {
		if _, err := parsePlain(t, withAuth(auth)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", auth, err, want)
		}
	}
}

// A secret is the author's alone to choose: no param reaches the filter, and
// no expression the secret.
func TestSecretFilter(t *testing.T) {
	t.Parallel()
	for source, good := range map[string]bool{
		`{{ "secret://env/A"|secret }}`: true, `{{- 'secret://env/A'|secret -}}`: true, `{% for x in l %}{{ "secret://env/A"|secret }}{% endfor %}`: true,
		`{{ ref|secret }}`: false, `{{ "secret://env/A"|secret|upper }}`: false, `{{ "secret://env/A"|upper|secret }}`: false, `{{ ("secret://env/A")|secret }}`: false,
		`{{ "secret://env/A" + x|secret }}`: false, `{{ "secret://env/A"|secret == x }}`: false, `{% if "secret://env/A"|secret %}{% endif %}`: false,
		`{% set s = "secret://env/A"|secret %}`: false, `{% with s="secret://env/A"|secret %}{% endwith %}`: false, `{{ x|default:"secret://env/A"|secret }}`: false,
		`{{ "secret://env/A"|secret if x else "" }}`: false, `{{ "env/A"|secret }}`: false, `{{ 5|secret }}`: false, `{{ "secret://vault/A"|secret }}`: false,
		`{{ ["secret://env/A"|secret]|join }}`: false, `{{ "secret://env/A"|secret() }}`: false, `{{ "secret://env/A"|secret:1 }}`: false,
	} {
		plain, err := json.Marshal(map[string]any{"name": "a", "method": "POST", "url": "https://api.example/", "contentType": "text/plain", "payload": source})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parsePlain(t, string(plain)); (err == nil) != good {
			t.Errorf("%s: %v, want good %v", source, err, good)
		}
	}
}

// Jinja2 has more places where what is printed becomes a value: none of them
// takes a secret.
func TestSecretFilterInJinja2(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		`{{ "secret://env/A"|secret }}`: true, `{% if x %}{{ 'secret://env/A'|secret }}{% endif %}`: true, `{% block b %}{{ "secret://env/A"|secret }}{% endblock %}`: true,
		`{% set s %}{{ "secret://env/A"|secret }}{% endset %}{{ s }}`:                                         false,
		`{% filter upper %}{{ "secret://env/A"|secret }}{% endfilter %}`:                                      false,
		`{% macro m() %}{{ "secret://env/A"|secret }}{% endmacro %}{{ m() }}`:                                 false,
		`{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ "secret://env/A"|secret }}{% endcall %}`: false,
		`{% print "secret://env/A"|secret %}`:                                                                 false, `{{ ("secret://env/A"|secret)[:5] }}`: false, `{{ "secret://env/A"|secret, 1 }}`: false,
	} {
		item, _ := json.Marshal(map[string]any{"name": "a", "method": "POST", "url": "https://api.example/", "engine": "jinja2", "contentType": "text/plain", "payload": text})
		if _, err := parsePlain(t, string(item)); (err == nil) != good {
			t.Errorf("%s: %v, want good %v", text, err, good)
		}
	}
}

func TestParamsCannotNameSecrets(t *testing.T) {
	t.Parallel()
	tmpl, err := parsePlain(t, `{"name":"a","method":"POST","url":"https://api.example/{{ p }}","headers":{"X-A":"{{ p }}"},"payload":{"a":"{{ p }}","s":"{{ \"secret://env/A\"|secret }}"}}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"secret://env/B", `{{ "secret://env/B"|secret }}`, secret.MarkPrefix + strings.Repeat("0", 40)} {
		params, _ := json.Marshal(map[string]string{"p": p})
		out, err := NewRenderer(Options{}).RenderTemplate(context.Background(), tmpl, params)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(out.Secrets.List); n != 1 || out.Secrets.List[0].Reference != "secret://env/A" || strings.Contains(out.URL+out.Header[0].Value, out.Secrets.List[0].Mark) {
			t.Errorf("%s: secrets %+v, URL %s", p, out.Secrets.List, out.URL)
		}
	}
}

// Whoever gives the params does not choose who gets the secrets.
func TestHostIsPinned(t *testing.T) {
	t.Parallel()
	for url, good := range map[string]bool{
		"https://api.example/{{ a }}": true, "http://127.0.0.1:80/x?{{ a }}": true, "https://{{ t }}.api.example/x": true, "HTTPS://{{ t }}.eu.api.example": true,
		"https://{{ t|default:\"a\" }}.api.example/": true,
		"{{ base }}/x": false, "https://{{ host }}/": false, "https://{{ t }}.example/": false, "https://api.{{ t }}/": false, "https://api.example{{ a }}/": false,
		"https://{{ t|safe }}.api.example/": false, "https://{% if a %}x{% endif %}.api.example/": false, "{{ s }}://api.example/": false,
		"https://{{ t }}api.example.com/": false, "https://{{ a }}/{{ t }}.api.example/": false, "https://{{ t }}@.api.example/": false, "https://{{ a": false,
		`https://api.example:{{ port }}/`: false, `https://x{{ "secret://env/A"|secret }}.api.example/`: false,
	} {
		plain, _ := json.Marshal(map[string]any{"name": "a", "method": "GET", "url": url, "auth": map[string]string{"type": "bearer", "token": "secret://env/T"}})
		tmpl, err := parsePlain(t, string(plain))
		if err == nil && !good { // or when it is rendered
			_, err = NewRenderer(Options{}).RenderTemplate(context.Background(), tmpl, json.RawMessage(`{"a":"a","t":"t","port":80}`))
		}
		if (err == nil) != good {
			t.Errorf("%s: %v, want good %v", url, err, good)
		}
	}
}

// What is rendered holds marks, and never a reference that a param could use.
func TestRenderedAuthIsSharedWhenItIsFixed(t *testing.T) {
	t.Parallel()
	tmpl, err := parsePlain(t, withAuth(`{"type":"bearer","token":"secret://env/T"}`))
	if err != nil {
		t.Fatal(err)
	}
	r := NewRenderer(Options{})
	a, errA := r.RenderTemplate(context.Background(), tmpl, nil)
	b, errB := r.RenderTemplate(context.Background(), tmpl, nil)
	if errA != nil || errB != nil || &a.Auth[0] != &b.Auth[0] || a.Secrets != b.Secrets {
		t.Error("a fixed auth is made anew for each call")
	}
}

// The plain form and the item say the same, there and back.
func TestAuthRoundTrip(t *testing.T) {
	t.Parallel()
	plain := withAuth(`[{"type":"hmac","keys":["secret://env/A","secret://env/B"]}]`)
	item, err := itemjson.FromPlain([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	back, err := itemjson.ToPlain(item)
	if err != nil {
		t.Fatal(err)
	}
	again, err := itemjson.FromPlain(back)
	if err != nil || string(again) != string(item) || !strings.Contains(string(item), `"auth":{"L":[{"M":{"type":{"S":"hmac"},"keys":{"L":[{"S":"secret://env/A"}`) {
		t.Errorf("%s, %v, want %s", again, err, item)
	}
}
