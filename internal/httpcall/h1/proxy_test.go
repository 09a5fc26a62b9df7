package h1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func get(t *testing.T, at string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// read is the body of the answer, with the peer's address.
func read(t *testing.T, tr *Transport, req *http.Request) (string, netip.Addr) {
	t.Helper()
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), Peer(res)
}

func TestPeerIsKnownUnlessAProxyIsBetween(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RequestURI) }))
	t.Cleanup(server.Close)
	proxy, err := url.Parse(server.URL) // it answers whatever it is asked for
	if err != nil {
		t.Fatal(err)
	}
	direct := setup(t, Options{})
	through := setup(t, Options{Proxy: func(*url.URL) (*url.URL, error) { return proxy, nil }})
	for range 2 { // the second time on the connection that was kept
		if body, peer := read(t, direct, get(t, server.URL+"/a")); body != "/a" || peer != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("direct: %q from %s", body, peer)
		}
		if body, peer := read(t, through, get(t, "http://api.example/a")); body != "http://api.example/a" || peer.IsValid() {
			t.Errorf("through a proxy: %q from %s, want no address", body, peer)
		}
	}
	if peer := Peer(&http.Response{Body: http.NoBody}); peer.IsValid() {
		t.Errorf("an answer of nobody comes from %s", peer)
	}
}

func TestHostOfItsOwnDoesNotPassAProxy(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RequestURI) }))
	t.Cleanup(server.Close)
	proxy, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	var d net.Dialer
	tr := setup(t, Options{
		Proxy:     func(*url.URL) (*url.URL, error) { asked++; return proxy, nil },
		DialProxy: d.DialContext,
	})
	for range 2 {
		req := get(t, "http://api.example/a")
		req.Host = "inside.example"
		req.Body = io.NopCloser(strings.NewReader("x"))
		if _, err := tr.RoundTrip(req); !errors.Is(err, ErrProxyHost) {
			t.Errorf("got %v, want ErrProxyHost", err)
		}
	}
	if body, _ := read(t, tr, get(t, "http://api.example/b")); body != "http://api.example/b" || asked != 1 {
		t.Errorf("got %q on connection %d, want the one that nothing was sent on", body, asked)
	}
}
