package httpcall

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"callfleet/internal/call"
	"callfleet/internal/secret/secrettest"
)

// secure is a TLS server, and the client's configuration for it.
func secure(t *testing.T, versions uint16, h http.HandlerFunc) (string, *tls.Config) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{MaxVersion: versions}
	s.Config.ErrorLog = quietLog()
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s.URL, &tls.Config{RootCAs: roots}
}

// What may be a credential goes to no other scheme, host or port.
func TestRedirectLeaksNothing(t *testing.T) {
	t.Parallel()
	seen := make(chan http.Header, 1)
	echo := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		h := r.Header.Clone()
		h.Set("Host", r.Host)
		seen <- h
	}
	other := serve(t, echo)
	otherSecure, cfg := secure(t, 0, echo)
	_, port, _ := strings.Cut(strings.TrimPrefix(other, "http://"), ":")
	var url string
	mux := http.NewServeMux()
	mux.HandleFunc("/end", echo)
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("u"), http.StatusTemporaryRedirect)
	})
	url = serve(t, mux.ServeHTTP)
	c := newClient(t, Options{TLS: cfg})
	secrets := []string{"Authorization", "Cookie", "X-Api-Key", "Proxy-Authorization", "X-Amz-Security-Token", "Webhook-Signature", "Www-Authenticate", "Cookie2"}
	headers := []call.Header{{Name: "Accept", Value: "text/plain"}, {Name: "Host", Value: "virtual.example"}}
	for _, name := range secrets {
		headers = append(headers, call.Header{Name: name, Value: "secret"})
	}
	for name, row := range map[string]struct {
		to   string
		kept bool
	}{
		"same origin":      {"/end", true},
		"same, absolute":   {url + "/end", true},
		"another port":     {other, false},
		"another name":     {"http://localhost:" + port, false},
		"another scheme":   {otherSecure, false},
		"name in userinfo": {strings.Replace(other, "http://", "http://127.0.0.1:80@", 1), false},
	} {
		r := call.Rendered{Method: "POST", URL: url + "/to?u=" + queryEscape(row.to), Body: []byte("x"), Header: headers}
		if _, err := c.Do(t.Context(), r, "key-1"); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		h := <-seen
		for _, s := range secrets {
			if got := h.Get(s) != ""; got != row.kept {
				t.Errorf("%s: %s arrived: %t, want %t", name, s, got, row.kept)
			}
		}
		if h.Get("Accept") != "text/plain" || h.Get("Idempotency-Key") != "key-1" || (h.Get("Host") == "virtual.example") != row.kept {
			t.Errorf("%s: arrived with %v", name, h)
		}
	}
}

func queryEscape(s string) string { return url.QueryEscape(s) }

// Credentials in a Location are not the template's.
func TestRedirectBringsNoCredentials(t *testing.T) {
	t.Parallel()
	password := secrettest.Value(t, "password of a Location")
	other := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "auth:"+r.Header.Get("Authorization")) })
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(other, "http://", "http://user:"+password+"@", 1), http.StatusFound)
	})
	if res, err := newClient(t, Options{}).Do(t.Context(), get(url), ""); err != nil || string(res.Body) != `"auth:"` {
		t.Errorf("got %s, %v, want none", res.Body, err)
	}
}

func TestRedirectToClearTextIsNotFollowed(t *testing.T) {
	t.Parallel()
	clear := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	for _, status := range []int{301, 302, 303, 307, 308} {
		url, cfg := secure(t, 0, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, clear+"/?key=secret", status) })
		_, err := newClient(t, Options{TLS: cfg}).Do(t.Context(), get(url), "")
		if f := failure(t, err); f.Name != call.EgressDenied || f.Attempts != 1 || !strings.Contains(f.Cause, "from https to http") {
			t.Errorf("%d: got %v, want EgressDenied at once", status, f)
		}
	}
}

func TestRedirectsAreCounted(t *testing.T) {
	t.Parallel()
	hops := 0
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hops++
		http.Redirect(w, r, fmt.Sprintf("/%d", hops), http.StatusFound)
	})
	_, err := newClient(t, Options{MaxRedirects: 3}).Do(t.Context(), get(url), "")
	if f := failure(t, err); f.Name != call.ConnectionFailed || hops != 4 {
		t.Errorf("got %v after %d requests, want it to end at the fourth", f, hops)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}
		s.Config.ErrorLog = quietLog()
		s.StartTLS()
		t.Cleanup(s.Close)
		roots := x509.NewCertPool()
		roots.AddCert(s.Certificate())
		for _, cfg := range []*tls.Config{{RootCAs: roots}, {RootCAs: roots, MinVersion: tls.VersionTLS10}} {
			_, err := newClient(t, Options{TLS: cfg, MaxAttempts: 1}).Do(t.Context(), get(s.URL), "")
			if (err == nil) != want {
				t.Errorf("%s: %v, want success %t", tls.VersionName(version), err, want)
			}
		}
	}
}

// Every redirect is judged by itself: none of these leaves the first server.
func TestRedirectSchemes(t *testing.T) {
	t.Parallel()
	var got []string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.URL.Path)
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(http.StatusFound)
	})
	c := newClient(t, Options{})
	for _, to := range []string{"file:///etc/passwd", "ftp://a.example/", "javascript:alert(1)", "data:,x", "http://", "https:", "http:///x", "//", "http://[", "http://a.example:x/"} {
		_, err := c.Do(t.Context(), get(url+"/?to="+queryEscape(to)), "")
		if f := failure(t, err); f.Name != call.ConnectionFailed && f.Name != call.EgressDenied || f.Attempts != 1 {
			t.Errorf("%s: got %v after %d attempts", to, f, f.Attempts)
		}
	}
	if slices.ContainsFunc(got, func(path string) bool { return path != "/" }) {
		t.Errorf("called %v", got)
	}
}
