package httpcall

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/httpcall/egress"
	"callfleet/internal/secret/secrettest"
)

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

// proxy is an HTTP proxy that notes what it is asked for, and takes all of it
// to one server.
type proxy struct {
	server string // host:port of that server
	refuse int    // status for every tunnel, if not 0

	mu   sync.Mutex
	seen []string // guarded by mu
	auth []string // guarded by mu
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r.Method+" "+r.RequestURI)
	p.auth = append(p.auth, r.Header.Get("Proxy-Authorization")+r.Header.Get("Proxy-Connection"))
	p.mu.Unlock()
	if r.Method != http.MethodConnect {
		fmt.Fprintf(w, "through the proxy, host %s", r.Host)
		return
	}
	if p.refuse != 0 {
		w.WriteHeader(p.refuse)
		return
	}
	up, err := net.Dial("tcp", p.server)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer up.Close()
	down, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer down.Close()
	_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(up, down); up.(*net.TCPConn).CloseWrite() })
	both.Go(func() { _, _ = io.Copy(down, up); down.Close() })
	both.Wait()
}

func (p *proxy) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// start serves the proxy and returns options of a client that uses it.
func (p *proxy) start(t *testing.T, allow string) Options {
	t.Helper()
	secrettest.Hide(t, "password of the proxy", proxyPassword)
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	at, err := url.Parse(strings.Replace(s.URL, "http://", "http://me:"+proxyPassword+"@", 1))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := egress.ParseRules(allow)
	if err != nil {
		t.Fatal(err)
	}
	return Options{MaxAttempts: 1, Egress: egress.New(egress.Options{Allow: rules, Proxy: func(*url.URL) (*url.URL, error) { return at, nil }})}
}

var (
	proxyPassword = secrettest.New()
	myAuth        = "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+proxyPassword))
)

func TestCallsGoThroughTheProxy(t *testing.T) {
	t.Parallel()
	target, cfg := secure(t, 0, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "the API, auth %q", r.Header.Get("Proxy-Authorization"))
	})
	p := &proxy{server: strings.TrimPrefix(target, "https://")}
	o := p.start(t, "")
	o.TLS = cfg
	c := newClient(t, o)
	for range 2 { // the second time on the connections that there are
		r := get("http://api.example.com/a?b=c")
		r.Header = []call.Header{{Name: "Proxy-Authorization", Value: "the template's"}, {Name: "Proxy-Connection", Value: "odd"}}
		if res, err := c.Do(t.Context(), r, ""); err != nil || string(res.Body) != `"through the proxy, host api.example.com"` {
			t.Errorf("http: got %s, %v", res.Body, err)
		}
		if res, err := c.Do(t.Context(), get("https://example.com/x"), ""); err != nil || string(res.Body) != `"the API, auth \"\""` {
			t.Errorf("https: got %s, %v", res.Body, err)
		}
	}
	want := []string{"GET http://api.example.com/a?b=c", "CONNECT example.com:443", "GET http://api.example.com/a?b=c"}
	if got := p.asked(); !slices.Equal(got, want) {
		t.Errorf("the proxy was asked for %q, want %q", got, want)
	}
	for _, auth := range p.auth {
		if auth != myAuth {
			t.Errorf("the proxy got %q, want the settings' own", auth)
		}
	}
}

// A proxy looks up and dials by itself: what can be known before is refused.
func TestNoProxyReachesInside(t *testing.T) {
	t.Parallel()
	p := &proxy{}
	w := &world{inside: "127.0.0.1:8080"}
	c := newClient(t, p.start(t, ""))
	attempts := []bypass{
		{"name", "http://localhost/"}, {"name", "http://LOCALHOST./"}, {"name", "http://a.localhost/"}, {"name", "https://metadata.google.internal/"},
		{"name", "http://metadata/"}, {"name", "http://db.internal/"}, {"name", "http://printer.local/"}, {"name", "http://intranet/"}, {"name", "http://x.corp/"},
		{"name", "http://nas.home.arpa/"}, {"name", "http://kubernetes.default.svc.cluster.local/"}, {"port", "http://api.example.com:25/"}, {"port", "https://api.example.com:22/"},
	}
	for _, b := range append(attempts, bypasses...) {
		_, err := c.Do(t.Context(), get(w.fill(b.url)), "")
		w.refused(t, b.class, b.url, err, call.EgressDenied, call.RenderFailed)
	}
	if got := p.asked(); len(got) > 0 {
		t.Errorf("the proxy was asked for %q", got)
	}
}

// In a request to a proxy the Host header takes the place of the URL's host.
func TestHostHeaderMisleadsNoProxy(t *testing.T) {
	t.Parallel()
	p := &proxy{}
	c := newClient(t, p.start(t, ""))
	for i := range 2 {
		r := get("http://api.example.com/")
		if i == 1 { // on a connection that is there
			if _, err := c.Do(t.Context(), r, ""); err != nil {
				t.Fatal(err)
			}
		}
		r.Header = []call.Header{{Name: "Host", Value: "169.254.169.254"}}
		_, err := c.Do(t.Context(), r, "")
		if f := failure(t, err); f.Name != call.EgressDenied || !strings.Contains(f.Cause, "Host header") {
			t.Errorf("got %v, want EgressDenied", f)
		}
	}
	if got := p.asked(); len(got) != 1 {
		t.Errorf("the proxy was asked for %q", got)
	}
}

func TestRedirectsThroughTheProxyAreJudged(t *testing.T) {
	t.Parallel()
	to := "http://169.254.169.254/latest/"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.RequestURI, "169.254") {
			t.Errorf("the proxy was asked for %s", r.RequestURI)
		}
		http.Redirect(w, r, to, http.StatusFound)
	}))
	t.Cleanup(s.Close)
	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, Options{Egress: egress.New(egress.Options{Proxy: func(*url.URL) (*url.URL, error) { return at, nil }})})
	_, err = c.Do(t.Context(), get("http://api.example.com/"), "")
	if f := failure(t, err); f.Name != call.EgressDenied || f.Attempts != 1 {
		t.Errorf("got %v, want EgressDenied", f)
	}
}

// A rule for a private host is for templates that name it, not for a public
// server that redirects there.
func TestRedirectByAStrangerToWhatIsAllowed(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(s.Close)
	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := egress.ParseRules("10.0.0.0/8,*.corp")
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, Options{Egress: egress.New(egress.Options{Allow: rules, Proxy: func(*url.URL) (*url.URL, error) { return at, nil }})})
	for from, row := range map[string]struct {
		to     string
		denied bool
	}{
		"a":                              {"http://10.0.0.1/", true},
		"b":                              {"http://db.corp/", true},
		"c, by way of the public":        {"http://www.example.com/?to=" + queryEscape("http://db.corp/"), true},
		"d, to the public":               {"http://www.example.com/", false},
		"e, by its own URL":              {"", false},
		"inside, from there on":          {"http://10.0.0.1/", false},
		"inside, to the public and back": {"http://www.example.com/?to=" + queryEscape("http://db.corp/"), true},
	} {
		host := "api.example.com"
		if strings.HasPrefix(from, "inside") || strings.HasPrefix(from, "e") {
			host = "db.corp"
		}
		_, err := c.Do(t.Context(), get("http://"+host+"/?to="+queryEscape(row.to)), "")
		if !row.denied {
			if err != nil {
				t.Errorf("%s: %v", from, err)
			}
			continue
		}
		if f := failure(t, err); f.Name != call.EgressDenied || !strings.Contains(f.Cause, "a redirect by a public server") {
			t.Errorf("%s: got %v, want EgressDenied", from, f)
		}
	}
}

// What goes past the proxy is judged as without one.
func TestPastTheProxy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := newClient(t, Options{Egress: egress.New(egress.Options{Proxy: func(*url.URL) (*url.URL, error) { return nil, nil }})})
	_, err := c.Do(t.Context(), get("http://"+w.inside+"/"), "")
	w.refused(t, "no proxy", w.inside, err, call.EgressDenied)
	if n := w.hits.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

func TestProxyThatRefuses(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		options func(t *testing.T) Options
		text    string
	}{
		"authentication": {func(t *testing.T) Options { return (&proxy{refuse: 407}).start(t, "") }, "the proxy answers 407"},
		"forbidden":      {func(t *testing.T) Options { return (&proxy{refuse: 403}).start(t, "") }, "the proxy answers 403"},
		"unreachable":    {func(t *testing.T) Options { return through(t, "http://127.0.0.1:1") }, "reach the proxy"},
		"no proxy":       {func(t *testing.T) Options { return through(t, "socks5://127.0.0.1:1") }, "neither http nor https"},
		"garbage": {func(t *testing.T) Options {
			return through(t, serveRaw(t, func(c net.Conn) { io.WriteString(c, "secret garbage\r\n\r\n") }))
		}, "ask the proxy for a tunnel"},
		"talkative": {func(t *testing.T) Options {
			return through(t, serveRaw(t, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nsecret") }))
		}, "speaks before"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newClient(t, row.options(t)).Do(t.Context(), get("https://api.example.com/?key=secret"), "")
			if f := failure(t, err); f.Name != call.ConnectionFailed || !strings.Contains(f.Cause, row.text) || strings.Contains(f.Cause, proxyPassword) {
				t.Errorf("got %v, want ConnectionFailed with %q", f, row.text)
			}
		})
	}
}

func through(t *testing.T, at string) Options {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return Options{MaxAttempts: 1, Egress: egress.New(egress.Options{Proxy: func(*url.URL) (*url.URL, error) { return u, nil }})}
}

func TestProxyThatSaysNothing(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	o := through(t, serveRaw(t, func(net.Conn) { <-stop }))
	o.TLSTimeout = 50 * time.Millisecond
	_, err := newClient(t, o).Do(t.Context(), get("https://api.example.com/"), "")
	if f := failure(t, err); f.Name != call.Timeout || !strings.Contains(f.Cause, "while the proxy opened a tunnel") {
		t.Errorf("got %v, want Timeout", f)
	}
	o.TLSTimeout = time.Minute
	_, err = newClient(t, o).Do(within(t, 50*time.Millisecond), get("https://api.example.com/"), "")
	if f := failure(t, err); f.Name != call.DeadlineExceeded {
		t.Errorf("got %v, want DeadlineExceeded", f)
	}
}

// The way to the proxy may be secret as well: TLS in TLS.
func TestProxyOverTLS(t *testing.T) {
	t.Parallel()
	target, cfg := secure(t, 0, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the API") })
	p := &proxy{server: strings.TrimPrefix(target, "https://")}
	at, proxyCfg := secure(t, 0, p.ServeHTTP)
	o := through(t, at)
	// Both are of one authority, that of httptest.
	cfg.RootCAs, o.TLS = proxyCfg.RootCAs, cfg
	c := newClient(t, o)
	if res, err := c.Do(t.Context(), get("https://example.com/"), ""); err != nil || string(res.Body) != `"the API"` {
		t.Errorf("https: got %s, %v", res.Body, err)
	}
	if res, err := c.Do(t.Context(), get("http://example.com/"), ""); err != nil || string(res.Body) != `"through the proxy, host example.com"` {
		t.Errorf("http: got %s, %v", res.Body, err)
	}
	if got := p.asked(); !slices.Equal(got, []string{"CONNECT example.com:443", "GET http://example.com/"}) {
		t.Errorf("the proxy was asked for %q", got)
	}
}
