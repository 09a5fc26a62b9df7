package httpcall

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"callfleet/internal/call"
	"callfleet/internal/httpcall/egress"
	"callfleet/internal/httpcall/h1"
)

// publicConn is a connection to a server of the test that says it is to a
// public address.
type publicConn struct{ net.Conn }

func (publicConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("93.184.215.14:80"))
}

// A public server that sends a call back to itself, at an address that its name
// has by then, leads nobody inside, not even where a rule allows it.
func TestRedirectToItselfElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Connection", "close")
		rw.Header().Set("Location", "/admin")
		rw.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(stranger.Close)
	rules, err := egress.ParseRules(w.inside)
	if err != nil {
		t.Fatal(err)
	}
	names := resolver(t, zone{"stranger.example": {{"127.0.0.1"}}})
	c := newClient(t, Options{Egress: egress.New(egress.Options{Allow: rules}), Resolver: names})
	real := &guard{policy: c.opts.Egress, dialer: net.Dialer{Resolver: names}}
	var dials atomic.Int32
	c.http = h1.New(h1.Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) > 1 {
			return real.dial(ctx, network, address)
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, stranger.Listener.Addr().String())
		return publicConn{conn}, err
	}})
	_, port, _ := strings.Cut(w.inside, ":")
	_, err = c.Do(t.Context(), get("http://stranger.example:"+port+"/"), "")
	w.refused(t, "rebinding", "its own name", err, call.EgressDenied)
	if n := w.hits.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}
