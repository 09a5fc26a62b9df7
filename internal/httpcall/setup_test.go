package httpcall

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/httpcall/egress/egresstest"
)

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	if o.BaseDelay == 0 {
		o.BaseDelay = time.Millisecond
	}
	if o.Egress == nil {
		o.Egress = egresstest.Loopback()
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// serveRaw runs a server that speaks whatever respond writes, once it has read
// the head of a request.
func serveRaw(t testing.TB, respond func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					respond(c)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func get(url string) call.Rendered { return call.Rendered{Method: "GET", URL: url} }

func failure(t testing.TB, err error) *call.Failure {
	t.Helper()
	var f *call.Failure
	if !errors.As(err, &f) {
		t.Fatalf("got error %v, want a *call.Failure", err)
	}
	if strings.ContainsAny(f.Cause, "\r\n") || strings.Contains(f.Cause, "secret") {
		t.Errorf("cause %q is not one line without secrets", f.Cause)
	}
	return f
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
