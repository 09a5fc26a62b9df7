package httpcall

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"callfleet/internal/call"
	"callfleet/internal/httpcall/egress"
)

// world is an API that may be called, and a service beside it that may not: on
// 127.0.0.1, where a port tells them apart, and on ::1 with the API's port.
type world struct {
	api    string       // host:port
	inside string       // host:port
	hits   atomic.Int32 // requests that the service inside got
	// script is what the API answers on a path: a place to redirect to. Set
	// before the first call.
	script map[string]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{script: map[string]string{}}
	secret := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { w.hits.Add(1) })
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if to := w.script[r.URL.Path]; to != "" {
			rw.Header().Set("Location", to)
			rw.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		fmt.Fprint(rw, "the API")
	}))
	t.Cleanup(api.Close)
	inside := httptest.NewServer(secret)
	t.Cleanup(inside.Close)
	w.api, w.inside = api.Listener.Addr().String(), inside.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(w.api)
	if l, err := net.Listen("tcp", "[::1]:"+port); err == nil { // a machine may have no IPv6
		s := &httptest.Server{Listener: l, Config: &http.Server{Handler: secret}}
		s.Start()
		t.Cleanup(s.Close)
	}
	return w
}

// client may call the world's API, beside what is public.
func (w *world) client(t *testing.T, z zone) *Client {
	t.Helper()
	rules, err := egress.ParseRules(w.api)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, Options{Egress: egress.New(egress.Options{Allow: rules}), Resolver: resolver(t, z), MaxAttempts: 2})
}

// bypass is one attempt to reach what must not be reached.
type bypass struct{ class, url string }

// bypasses are the attempts by URL alone. INSIDE stands for the service's
// host:port, PORT for its port.
var bypasses = []bypass{
	{"loopback", "http://127.0.0.1/"}, {"loopback", "http://INSIDE/"}, {"loopback", "http://127.8.8.8/"}, {"loopback", "http://127.255.255.255/"},
	{"private", "http://10.0.0.1/"}, {"private", "http://172.16.0.1/"}, {"private", "http://172.31.255.254/"}, {"private", "http://192.168.0.1/"},
	{"link-local", "http://169.254.0.1/"}, {"carrier NAT", "http://100.64.0.1/"}, {"carrier NAT", "http://100.127.255.254/"},
	{"metadata", "http://169.254.169.254/latest/meta-data/iam/security-credentials/"}, {"metadata", "http://169.254.170.2/v2/credentials"},
	{"metadata", "http://169.254.170.23/v1/credentials"}, {"metadata", "http://100.100.100.200/latest/meta-data/"}, {"metadata", "http://192.0.0.192/opc/v1/"},
	{"metadata", "http://168.63.129.16/machine?comp=goalstate"}, {"metadata", "http://[fd00:ec2::254]/latest/meta-data/"}, {"metadata", "http://[fd00:ec2::23]/"},
	{"metadata", "http://[fd20:ce::254]/"}, {"metadata", "https://169.254.169.254/"},
	{"unspecified", "http://0.0.0.0/"}, {"unspecified", "http://0.0.0.0:PORT/"}, {"unspecified", "http://0.1.2.3/"}, {"unspecified", "http://[::]:PORT/"},
	{"broadcast", "http://255.255.255.255/"}, {"multicast", "http://224.0.0.1/"}, {"multicast", "http://[ff02::1]/"}, {"reserved", "http://240.0.0.1/"},
	{"benchmarks", "http://198.18.0.1/"}, {"documentation", "http://192.0.2.1/"}, {"documentation", "http://198.51.100.1/"}, {"documentation", "http://203.0.113.1/"},
	{"documentation", "http://[2001:db8::1]/"}, {"documentation", "http://[3fff::1]/"}, {"protocols", "http://192.0.0.1/"}, {"6to4 relay", "http://192.88.99.1/"},
	{"IPv6 loopback", "http://[::1]/"}, {"IPv6 loopback", "http://[0:0:0:0:0:0:0:1]/"}, {"IPv6 link-local", "http://[fe80::1]/"},
	{"IPv6 unique-local", "http://[fc00::1]/"}, {"IPv6 unique-local", "http://[fd12:3456::1]/"}, {"IPv6 site-local", "http://[fec0::1]/"}, {"IPv6 discard", "http://[100::1]/"},
	{"IPv4-mapped", "http://[::ffff:127.0.0.1]:PORT/"}, {"IPv4-mapped", "http://[::ffff:7f00:1]:PORT/"}, {"IPv4-mapped", "http://[::FFFF:A9FE:A9FE]/"},
	{"IPv4-mapped", "http://[0:0:0:0:0:ffff:10.0.0.1]/"}, {"IPv4-compatible", "http://[::127.0.0.1]/"}, {"IPv4-translated", "http://[::ffff:0:127.0.0.1]/"},
	{"NAT64", "http://[64:ff9b::7f00:1]/"}, {"NAT64", "http://[64:ff9b::169.254.169.254]/"}, {"local NAT64", "http://[64:ff9b:1::a00:1]/"},
	{"6to4", "http://[2002:7f00:1::]/"}, {"6to4", "http://[2002:a9fe:a9fe::1]/"}, {"Teredo", "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/"},
	{"ISATAP", "http://[2a00:1450::5efe:a00:1]/"}, {"ISATAP", "http://[2a00:1450::200:5efe:a9fe:a9fe]/"},

	{"decimal", "http://2130706433/"}, {"decimal", "http://2852039166/"}, {"hexadecimal", "http://0x7f000001/"}, {"hexadecimal", "http://0x7F.0.0.1/"},
	{"hexadecimal", "http://127.0.0.0x1/"}, {"octal", "http://0177.0.0.1/"}, {"octal", "http://017700000001/"}, {"octal", "http://127.0.0.01/"},
	{"zeros", "http://127.000.000.001/"}, {"short", "http://127.1/"}, {"short", "http://127.0.1/"}, {"short", "http://0/"}, {"overflow", "http://4294967297/"},
	{"overflow", "http://127.0.0.257/"}, {"mixed", "http://0x7f.0.1/"}, {"mixed", "http://0xa9.0376.43518/"}, {"final dot", "http://127.0.0.1./"}, {"final dot", "http://2130706433./"},
	{"Unicode digits", "http://１２７.０.０.１/"}, {"Unicode digits", "http://①②⑦.⓪.⓪.①/"}, {"Unicode digits", "http://１２７.1/"}, {"Unicode dots", "http://127。0。0。1/"},
	{"Unicode dots", "http://127｡0｡0｡1/"}, {"soft hyphen", "http://127.0.0\u00ad.1/"}, {"zero width", "http://127.0\u200b.0.1/"}, {"percent", "http://%31%32%37.0.0.1/"},
	{"percent", "http://127%2e0%2e0%2e1/"}, {"NUL", "http://127.0.0.1%00.api.example/"}, {"percent, Unicode", "http://%ef%bc%91%ef%bc%92%ef%bc%97.0.0.1/"},

	{"userinfo", "http://api.example@INSIDE/"}, {"userinfo", "http://api.example:80@INSIDE/"}, {"userinfo", "http://api.example%40@INSIDE/"},
	{"userinfo", "http://a@b@INSIDE/"}, {"userinfo", "http://api.example%2f@INSIDE/"}, {"backslash", `http://INSIDE\@api.example/`}, {"backslash", `http:\\INSIDE/`},
	{"backslash", `http://api.example\@INSIDE/`}, {"backslash", `http://INSIDE\.api.example/`}, {"whitespace", "http://INSIDE api.example/"},
	{"whitespace", "http://\tINSIDE/"}, {"line end", "http://INSIDE\r\nHost: api.example/"}, {"slashes", "http:/INSIDE/"}, {"slashes", "http:///INSIDE/"}, {"slashes", "//INSIDE/"},
	{"opaque", "http:INSIDE/"}, {"brackets", "http://[127.0.0.1]:PORT/"}, {"brackets", "http://[::1]api.example/"}, {"brackets", "http://[::1%25lo]:PORT/"},
	{"brackets", "http://[::1%lo]/"}, {"brackets", "http://::1:PORT/"}, {"brackets", "http://[v1.127.0.0.1]/"}, {"case", "HTTP://INSIDE/"}, {"empty port", "http://127.0.0.1:/"},
	{"zeros in the port", "http://127.0.0.1:0000PORT/"}, {"second port", "http://INSIDE:80/"}, {"comma", "http://api.example,INSIDE/"},

	{"port", "http://93.184.215.14:22/"}, {"port", "http://93.184.215.14:25/"}, {"port", "http://93.184.215.14:0/"}, {"port", "http://93.184.215.14:65616/"},
	{"port", "https://93.184.215.14:445/"}, {"port", "http://93.184.215.14:٨٠/"}, {"port", "http://93.184.215.14:+80/"}, {"port", "http://93.184.215.14:-1/"},
	{"scheme", "file:///etc/passwd"}, {"scheme", "gopher://INSIDE/_GET"}, {"scheme", "ftp://INSIDE/"}, {"scheme", "unix:///var/run/docker.sock"},
	{"scheme", "data:text/plain,x"}, {"scheme", "jar:http://INSIDE!/"}, {"scheme", "ws://INSIDE/"}, {"scheme", "h2c://INSIDE/"},
}

func (w *world) fill(text string) string {
	_, port, _ := strings.Cut(w.inside, ":")
	return strings.NewReplacer("INSIDE", w.inside, "PORT", port).Replace(text)
}

// refused wants a call that came to nothing, and says so in the right name.
func (w *world) refused(t *testing.T, name, url string, err error, names ...call.FailureName) {
	t.Helper()
	f := failure(t, err)
	for _, n := range names {
		if f.Name == n && f.Attempts <= 1 {
			return
		}
	}
	t.Errorf("%s: %s ended as %v after %d attempts, want %v at once", name, url, f, f.Attempts, names)
}

func TestNoURLReachesInside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client(t, nil)
	classes := map[string]bool{}
	for _, b := range bypasses {
		url := w.fill(b.url)
		_, err := c.Do(t.Context(), get(url), "")
		w.refused(t, b.class, url, err, call.EgressDenied, call.RenderFailed)
		classes[b.class] = true
	}
	if n := w.hits.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
	t.Logf("%d attempts of %d classes", len(bypasses), len(classes))
}

// What a URL must not say, a redirect must not say either, wherever it stands
// in a chain.
func TestNoRedirectReachesInside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script["/chain"] = "http://" + w.api + "/chain2"
	w.script["/chain2"] = "/chain3"
	w.script["/chain3"] = "http://" + w.inside + "/"
	for i, b := range bypasses {
		if !strings.ContainsAny(b.url, "\r\n\t") { // a header cannot carry those
			w.script[fmt.Sprintf("/%d", i)] = w.fill(b.url)
		}
	}
	w.script["/protocol-relative"] = "//" + w.inside + "/"
	w.script["/name"] = "http://inside.example/"
	w.script["/rebinding"] = "http://rebinding.example:" + w.api[strings.LastIndexByte(w.api, ':')+1:] + "/again"
	c := w.client(t, zone{"inside.example": {{"10.0.0.1"}}, "rebinding.example": {{"10.0.0.1"}}})
	for path, to := range w.script {
		if strings.HasPrefix(path, "/chain") && path != "/chain" {
			continue
		}
		res, err := c.Do(t.Context(), get("http://"+w.api+path), "")
		if err == nil && string(res.Body) == `"the API"` && strings.HasPrefix(to, "http:") && !strings.HasPrefix(to, "http://") {
			continue // a path of the API itself, read from a URL without slashes
		}
		if err == nil {
			t.Errorf("a redirect to %s ended with %d %s", to, res.StatusCode, res.Body)
			continue
		}
		w.refused(t, "redirect", to, err, call.EgressDenied, call.ConnectionFailed)
	}
	if n := w.hits.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

// Only the addresses that are dialled count, and each of them.
func TestNoAnswerOfDNSReachesInside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := zone{
		"loopback.example": {{"127.0.0.1"}}, "private.example": {{"10.0.0.1"}}, "metadata.example": {{"169.254.169.254"}},
		"mapped.example": {{"::ffff:127.0.0.1"}}, "v6.example": {{"::1"}}, "ula.example": {{"fd00:ec2::254"}}, "nat64.example": {{"64:ff9b::a9fe:a9fe"}},
		"several.example": {{"10.0.0.1", "192.168.0.1", "127.0.0.1", "::1"}}, "127.0.0.1.wildcard.example": {{"127.0.0.1"}},
		"localhost.example": {{"127.0.0.1"}}, "unspecified.example": {{"0.0.0.0"}}, "xn--lclhst-zta.example": {{"127.0.0.1"}},
	}
	c := w.client(t, names)
	_, port, _ := strings.Cut(w.inside, ":")
	for name := range names {
		for _, form := range []string{name, strings.ToUpper(name), name + "."} {
			url := "http://" + form + ":" + port + "/"
			_, err := c.Do(t.Context(), get(url), "")
			w.refused(t, "DNS", url, err, call.EgressDenied)
		}
	}
	_, err := c.Do(t.Context(), get("http://localhost:"+port+"/"), "")
	w.refused(t, "hosts file", "localhost", err, call.EgressDenied)
	if n := w.hits.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

func TestRebindingGainsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, port, _ := strings.Cut(w.api, ":")
	// The first answer is good, so that whoever looks twice is betrayed.
	c := w.client(t, zone{"turns.example": {{"127.0.0.1"}, {"10.0.0.1"}}, "turns-v6.example": {{"127.0.0.1"}, {"::1"}}})
	for _, name := range []string{"turns.example", "turns-v6.example"} {
		url := "http://" + name + ":" + port + "/"
		for range 3 {
			if _, err := c.Do(t.Context(), get(url), ""); err != nil { // on the connection that was judged
				t.Errorf("%s: %v, want the API", name, err)
			}
		}
		c.Close()
		_, err := c.Do(t.Context(), get(url), "")
		w.refused(t, "rebinding", url, err, call.EgressDenied)
	}
	if n := w.hits.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

// A retry looks the name up again, and is judged again.
func TestRebindingBetweenAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	api := serveRaw(t, func(net.Conn) {}) // ends without an answer
	_, port, _ := strings.Cut(strings.TrimPrefix(api, "http://"), ":")
	rules, err := egress.ParseRules("127.0.0.1:" + port)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, Options{
		Egress: egress.New(egress.Options{Allow: rules}), MaxAttempts: 3,
		Resolver: resolver(t, zone{"turns.example": {{"127.0.0.1"}, {"169.254.169.254"}}}),
	})
	_, err = c.Do(t.Context(), get("http://turns.example:"+port+"/"), "")
	f := failure(t, err)
	if f.Name != call.EgressDenied || f.Attempts != 2 || !strings.Contains(f.Cause, "turns.example, at 169.254.169.254, is a cloud's metadata service") {
		t.Errorf("got %v after %d attempts, want the second attempt denied", f, f.Attempts)
	}
	if n := w.hits.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

// Of several addresses the allowed ones are dialled, the others are not.
func TestSomeAddressesAreAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, port, _ := strings.Cut(w.api, ":")
	c := w.client(t, zone{"mixed.example": {{"10.0.0.1", "127.0.0.1", "::1", "169.254.169.254"}}})
	res, err := c.Do(t.Context(), get("http://mixed.example:"+port+"/"), "")
	if err != nil || string(res.Body) != `"the API"` {
		t.Errorf("got %s, %v, want the API", res.Body, err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	w.api = closed.Addr().String()
	_, port, _ = strings.Cut(w.api, ":")
	c = w.client(t, zone{"mixed.example": {{"10.0.0.1", "127.0.0.1"}}})
	_, err = c.Do(t.Context(), get("http://mixed.example:"+port+"/"), "")
	if f := failure(t, err); f.Name != call.ConnectionFailed || f.Attempts != 2 {
		t.Errorf("got %v after %d attempts, want ConnectionFailed after 2", f, f.Attempts)
	}
	if n := w.hits.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

func TestWhatIsAllowedIsCalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, port, _ := strings.Cut(w.api, ":")
	for rule, url := range map[string]string{
		w.api:                          "http://" + w.api + "/",
		"127.0.0.0/8":                  "http://127.0.0.1:" + port + "/",
		"127.0.0.1":                    "http://[::ffff:127.0.0.1]:" + port + "/",
		"api.example":                  "http://API.example.:" + port + "/",
		"*.example:" + port:            "http://api.example:" + port + "/",
		"xn--bcher-kva.example":        "http://bücher.example:" + port + "/",
		"api.example:" + port + ",::1": "http://user:secret@api.example:0" + port + "/",
	} {
		rules, err := egress.ParseRules(rule)
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, Options{
			Egress:   egress.New(egress.Options{Allow: rules}),
			Resolver: resolver(t, zone{"api.example": {{"127.0.0.1"}}, "xn--bcher-kva.example": {{"127.0.0.1"}}}),
		})
		if res, err := c.Do(t.Context(), get(url), ""); err != nil || string(res.Body) != `"the API"` {
			t.Errorf("%s with %s: got %s, %v, want the API", url, rule, res.Body, err)
		}
	}
}

// With nothing set, a client is safe.
func TestClientDeniesByDefault(t *testing.T) {
	t.Parallel()
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := newWorld(t)
	_, err = c.Do(t.Context(), get("http://"+w.inside+"/path?key=secret"), "")
	f := failure(t, err)
	want := "GET http://" + w.inside + "/path: egress denied: 127.0.0.1 is loopback (127.0.0.0/8); CALLFLEET_EGRESS_ALLOW=" + w.inside + " allows it (1 attempt in "
	if f.Name != call.EgressDenied || !strings.HasPrefix(f.Cause, want) {
		t.Errorf("got %v, want %s", f, want)
	}
}
