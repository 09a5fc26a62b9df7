package auth_test

import (
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/secret"
	"callfleet/internal/secret/secrettest"
)

// newCaller hides them.
var (
	password = "pass word/ü%&=\"\\<" + secrettest.New() + ">"
	apiToken = "tok-" + secrettest.New()
)

func TestBasicBearerAPIKey(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, got, _ := r.BasicAuth()
		good := false
		switch r.URL.Path {
		case "/basic":
			good = user == "ann" && got == password
		case "/bearer":
			good = r.Header.Get("Authorization") == "Bearer "+apiToken
		case "/header":
			good = r.Header.Get("X-Api-Key") == apiToken
		case "/query":
			good = r.URL.Query().Get("key") == password && r.URL.Query().Get("page") == "2" && r.URL.RawQuery[:6] == "page=2"
		}
		if !good || r.Header.Get("Idempotency-Key") != "run-1" {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	c := newCaller(t, map[string]string{"PASSWORD": password, "TOKEN": apiToken, "USER": "ann"}, settings{})
	for path, auth := range map[string]map[string]any{
		"/basic":        of("basic", "username", env("USER"), "password", env("PASSWORD")),
		"/bearer":       of("bearer", "token", env("TOKEN")),
		"/header":       of("apiKey", "name", "x-api-key", "value", env("TOKEN")),
		"/query?page=2": of("apiKey", "name", "key", "value", env("PASSWORD"), "in", "query"),
	} {
		c.must(map[string]any{"url": url + path, "auth": auth}, 200)
	}
	res, err := c.do(map[string]any{"url": url + "/basic", "auth": of("basic", "username", "{{ who }}", "password", env("PASSWORD"))}, `{"who":"ann"}`)
	if err != nil || res.StatusCode != 200 {
		t.Errorf("user name of a param: %d, %v", res.StatusCode, err)
	}
}

// Secrets stand in every place of a request, escaped for it.
func TestSecretsInPlaces(t *testing.T) {
	t.Parallel()
	type seen struct{ Path, Query, Header, Body string }
	got := make(chan seen, 1)
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{r.URL.Path, r.URL.Query().Get("q"), r.Header.Get("X-Token"), string(body)}
	})
	const place = `{{ "secret://env/CALLFLEET_SECRET_PASSWORD"|secret }}`
	c := newCaller(t, map[string]string{"PASSWORD": password}, settings{})
	for kind, row := range map[string]struct {
		payload any
		decode  func(string) string
	}{
		"application/json":                                 {map[string]any{"a": place, "b": "x " + place}, func(s string) string { return member(s, "a") }},
		"application/merge-patch+json":                     {`{"a": "` + place + `"}`, func(s string) string { return member(s, "a") }},
		"application/x-www-form-urlencoded":                {"p={{ p }}&a=" + place, func(s string) string { return formValue(s, "a") }},
		"application/x-www-form-urlencoded; charset=utf-8": {map[string]any{"a": place, "b": "{{ p }}"}, func(s string) string { return formValue(s, "a") }},
		"multipart/form-data":                              {map[string]any{"a": place, "b": "{{ p }}"}, partValue},
		"text/plain":                                       {place, func(s string) string { return s }},
	} {
		res, err := c.do(map[string]any{
			"url": url + "/hooks/" + place + "/in?q=" + place, "headers": map[string]any{"X-Token": "t " + place}, "contentType": kind, "payload": row.payload,
		}, `{"p":"1"}`)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%s: %d, %v", kind, res.StatusCode, err)
		}
		s := <-got
		if s.Path != "/hooks/"+password+"/in" || s.Query != password || s.Header != "t "+password || row.decode(s.Body) != password {
			t.Errorf("%s: the API got %+v", kind, s)
		}
	}
}

func member(text, name string) string {
	var m map[string]string
	_ = json.Unmarshal([]byte(text), &m)
	return m[name]
}

func formValue(body, name string) string {
	r, _ := http.NewRequest("POST", "http://x", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r.PostFormValue(name)
}

// partValue is the first part of a multipart body.
func partValue(body string) string {
	boundary, _, _ := strings.Cut(strings.TrimPrefix(body, "--"), "\r\n")
	p, err := multipart.NewReader(strings.NewReader(body), boundary).NextRawPart()
	if err != nil {
		return err.Error()
	}
	content, _ := io.ReadAll(p)
	return string(content)
}

func TestSecretThatBreaksOut(t *testing.T) {
	t.Parallel()
	c := newCaller(t, map[string]string{"LINES": "a\r\nX-Evil: 1", "DOTS": ".."}, settings{})
	url := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the API was called") })
	line := `{{ "secret://env/CALLFLEET_SECRET_LINES"|secret }}`
	for name, fields := range map[string]map[string]any{
		"header":  {"headers": map[string]any{"X-A": line}},
		"bearer":  {"auth": of("bearer", "token", env("LINES"))},
		"api key": {"auth": of("apiKey", "name", "X-A", "value", env("LINES"))},
		"path":    {"url": url + `/a/{{ "secret://env/CALLFLEET_SECRET_DOTS"|secret }}/b`},
	} {
		if fields["url"] == nil {
			fields["url"] = url
		}
		f := c.fails(fields, call.AuthFailed, "")
		if strings.Contains(f.Cause, "Evil") || f.Attempts != 1 {
			t.Errorf("%s: %v after %d attempts", name, f, f.Attempts)
		}
	}
}

// A secret that may not or cannot be had fails at once, one whose source is
// away is tried again like a connection.
func TestSecretThatIsNotThere(t *testing.T) {
	t.Parallel()
	url := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the API was called") })
	c := newCaller(t, nil, settings{})
	for reference, why := range map[string]string{
		"secret://env/AWS_SECRET_ACCESS_KEY": "CALLFLEET_SECRETS_ALLOW",
		env("NONE"):                          "not set",
		"secret://ssm/callfleet/x":           "resolves no secrets of this kind",
	} {
		if f := c.fails(map[string]any{"url": url, "auth": of("bearer", "token", reference)}, call.AuthFailed, why); f.Attempts != 1 {
			t.Errorf("%s: %d attempts", reference, f.Attempts)
		}
	}
}

// What an API echoes is scrubbed, in whatever form it comes back.
func TestAnswersAreScrubbed(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "s="+r.Header.Get("X-Token"))
		w.Header().Set("Location", r.URL.String())
		body, _ := io.ReadAll(r.Body)
		_ = json.NewEncoder(w).Encode(map[string]any{"auth": r.Header.Get("Authorization"), "url": r.URL.String(), "body": string(body), "short": "abc"})
	})
	c := newCaller(t, map[string]string{"PASSWORD": password, "TOKEN": apiToken, "SHORT": "abc"}, settings{})
	place := `{{ "secret://env/CALLFLEET_SECRET_TOKEN"|secret }}`
	res := c.must(map[string]any{
		"url": url + "/" + place, "headers": map[string]any{"X-Token": place, "X-Short": `{{ "` + env("SHORT") + `"|secret }}`}, "payload": map[string]any{"p": place},
		"auth": of("basic", "username", "ann", "password", env("PASSWORD")),
	}, 200)
	all := string(res.Body) + res.Headers["Set-Cookie"] + res.Headers["Location"]
	for _, s := range []string{apiToken, "cfs3cr3t", "YW5uO", password} {
		if strings.Contains(all, s) {
			t.Errorf("the output shows %q: %s", s, all)
		}
	}
	if strings.Count(all, "[secret]") != 5 || !strings.Contains(string(res.Body), `"abc"`) || !json.Valid(res.Body) {
		t.Errorf("output %s", all)
	}
}

// Rotation is seen by the next calls, without a restart.
func TestRotatedSecret(t *testing.T) {
	t.Parallel()
	var want atomic.Value
	first, second := secrettest.New(), secrettest.New()
	want.Store(first)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+want.Load().(string) {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	c := newCaller(t, map[string]string{"TOKEN": first}, settings{secret: secret.Options{TTL: time.Nanosecond}})
	fields := map[string]any{"url": url, "auth": of("bearer", "token", env("TOKEN"))}
	c.must(fields, 200)
	c.secrets.set("TOKEN", second)
	want.Store(second)
	c.must(fields, 200)
}

// Secrets do not leave for another server, also those that are too short to be
// looked for in answers.
func TestRedirectToAnotherServer(t *testing.T) {
	t.Parallel()
	for _, token := range []string{apiToken, "pin-4!"} {
		redirectAway(t, token)
	}
}

func redirectAway(t *testing.T, token string) {
	t.Helper()
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if all := strings.Join(headerValues(r.Header), "\n") + r.URL.String() + string(body); strings.Contains(all, token) {
			t.Errorf("the other server got %s", all)
		}
	})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other+"/there", http.StatusTemporaryRedirect)
	})
	c := newCaller(t, map[string]string{"TOKEN": token}, settings{})
	place := `{{ "secret://env/CALLFLEET_SECRET_TOKEN"|secret }}`
	for _, auth := range []map[string]any{
		of("bearer", "token", env("TOKEN")), of("apiKey", "name", "User-Agent", "value", env("TOKEN")), of("apiKey", "name", "k", "value", env("TOKEN"), "in", "query"),
	} {
		c.must(map[string]any{"url": url, "auth": auth, "payload": map[string]any{"a": 1}, "headers": map[string]any{"Accept-Language": place}}, 200)
	}
	f := c.fails(map[string]any{"url": url, "payload": map[string]any{"a": place}}, call.ConnectionFailed, "the body holds a secret")
	if f.Attempts != 1 {
		t.Errorf("%d attempts", f.Attempts)
	}
}

func headerValues(h http.Header) (list []string) {
	for _, v := range h {
		list = append(list, v...)
	}
	return list
}
