package h1

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func setup(t testing.TB, o Options) *Transport {
	t.Helper()
	tr := New(o)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// counting counts the dials of o.
func counting(o *Options) *atomic.Int32 {
	var n atomic.Int32
	var d net.Dialer
	o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		n.Add(1)
		return d.DialContext(ctx, network, address)
	}
	return &n
}

// script runs a server that hands each connection to serve.
func script(t testing.TB, serve func(n int, c net.Conn, r *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer c.Close()
				serve(n, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { l.Close(); served.Wait() })
	return "http://" + l.Addr().String()
}

// echo reads all before it answers: the server drops what is unread by then.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Write(body)
}

const empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// do sends a request and reads the whole answer.
func do(t testing.TB, tr *Transport, method, url, body string, header ...string) (status int, text string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var b io.Reader
	if body != "" {
		b = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, b)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res.StatusCode, string(data), err
}

func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunked":
			w.(http.Flusher).Flush()
			fmt.Fprint(w, strings.Repeat("chunk", 2000))
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			fmt.Fprint(w, "after hints")
		case "/large":
			echo(w, r)
		default:
			fmt.Fprint(w, "plain")
		}
	}))
	t.Cleanup(s.Close)
	var o Options
	dials := counting(&o)
	tr := setup(t, o)
	large := strings.Repeat("x", 1<<20)
	for _, tc := range []struct{ method, path, body, want string }{
		{"GET", "/", "", "plain"}, {"GET", "/chunked", "", strings.Repeat("chunk", 2000)}, {"GET", "/none", "", ""},
		{"HEAD", "/", "", ""}, {"GET", "/early", "", "after hints"}, {"POST", "/large", large, large}, {"GET", "/", "", "plain"},
	} {
		if _, got, err := do(t, tr, tc.method, s.URL+tc.path, tc.body); err != nil || got != tc.want {
			t.Errorf("%s %s: got %d bytes, %v, want %d", tc.method, tc.path, len(got), err, len(tc.want))
		}
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("dialled %d times, want once", n)
	}
}

func TestConnectionsAreNotKept(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"close":         "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"1.0":           "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"more than due": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
		"until the end": "HTTP/1.1 200 OK\r\n\r\nok",
	} {
		url := script(t, func(_ int, c net.Conn, r *bufio.Reader) {
			if _, err := http.ReadRequest(r); err == nil {
				io.WriteString(c, answer)
			}
			if name != "until the end" {
				io.Copy(io.Discard, r)
			}
		})
		var o Options
		dials := counting(&o)
		tr := setup(t, o)
		for range 2 {
			if _, got, err := do(t, tr, "GET", url, ""); err != nil || got != "ok" {
				t.Errorf("%s: got %q, %v", name, got, err)
			}
		}
		if n := dials.Load(); n != 2 {
			t.Errorf("%s: dialled %d times for 2 calls, want 2", name, n)
		}
	}
}

// A server that closes a kept connection when the next request comes is not
// heard of before: the request is sent again if it may be.
func TestClosedConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	url := script(t, func(n int, c net.Conn, r *bufio.Reader) {
		for i := 0; ; i++ {
			req, err := http.ReadRequest(r)
			if err != nil || (n == 1 && i == 1) {
				return
			}
			body, _ := io.ReadAll(req.Body)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})
	for name, tc := range map[string]struct {
		method, body string
		header       []string
		again        bool
	}{
		"GET":          {"GET", "", nil, true},
		"POST":         {"POST", "body", nil, false},
		"POST, keyed":  {"POST", "body", []string{"Idempotency-Key", "k"}, true},
		"PUT of bytes": {"PUT", "body", nil, true},
	} {
		url := url
		if name != "GET" { // a server each, for the first connection counts
			url = script(t, func(n int, c net.Conn, r *bufio.Reader) {
				for i := 0; ; i++ {
					req, err := http.ReadRequest(r)
					if err != nil || (n == 1 && i == 1) {
						return
					}
					body, _ := io.ReadAll(req.Body)
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				}
			})
		}
		tr := setup(t, Options{})
		if _, _, err := do(t, tr, "GET", url, ""); err != nil {
			t.Fatal(err)
		}
		_, got, err := do(t, tr, tc.method, url, tc.body, tc.header...)
		if tc.again && (err != nil || got != tc.body) {
			t.Errorf("%s: got %q, %v, want the answer of another connection", name, got, err)
		}
		if !tc.again && !errors.Is(err, ErrNoAnswer) {
			t.Errorf("%s: got %v, want ErrNoAnswer", name, err)
		}
	}
}

func TestConnectionClosedWhileIdleIsNotUsed(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	url := script(t, func(n int, c net.Conn, r *bufio.Reader) {
		if n == 1 {
			defer close(closed)
		}
		if _, err := http.ReadRequest(r); err == nil {
			io.WriteString(c, empty)
		}
		c.Close()
	})
	tr := setup(t, Options{})
	if _, _, err := do(t, tr, "GET", url, ""); err != nil {
		t.Fatal(err)
	}
	<-closed
	if _, _, err := do(t, tr, "POST", url, "not repeatable"); err != nil {
		t.Errorf("got %v, want a new connection", err)
	}
}

func TestAnswerBeforeTheRequestIsSent(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10 << 10, 32 << 20} {
		url := script(t, func(_ int, c net.Conn, r *bufio.Reader) {
			if _, err := http.ReadRequest(r); err == nil {
				io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
			}
			io.CopyN(io.Discard, r, 10<<10)
		})
		tr := setup(t, Options{})
		if status, got, err := do(t, tr, "POST", url, strings.Repeat("x", size)); err != nil || status != 413 || got != "no" {
			t.Errorf("%d bytes: got %d %q, %v, want the answer", size, status, got, err)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	o := Options{TLS: &tls.Config{RootCAs: pool}}
	dials := counting(&o)
	tr := setup(t, o)
	for range 3 {
		if _, got, err := do(t, tr, "GET", s.URL, ""); err != nil || got != "HTTP/1.1" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("dialled %d times, want once", n)
	}
	var cert *tls.CertificateVerificationError
	if _, _, err := do(t, setup(t, Options{TLS: &tls.Config{RootCAs: x509.NewCertPool()}}), "GET", s.URL, ""); !errors.As(err, &cert) {
		t.Errorf("unknown authority: got %v", err)
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	silent := script(t, func(_ int, c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	if _, _, err := do(t, setup(t, Options{HeaderTimeout: 20 * time.Millisecond}), "GET", silent, ""); !errors.Is(err, ErrHeaderTimeout) {
		t.Errorf("got %v, want ErrHeaderTimeout", err)
	}
	secure := "https" + strings.TrimPrefix(silent, "http")
	if _, _, err := do(t, setup(t, Options{TLSTimeout: 20 * time.Millisecond}), "GET", secure, ""); !errors.Is(err, ErrTLSTimeout) {
		t.Errorf("got %v, want ErrTLSTimeout", err)
	}
	late := script(t, func(_ int, c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
		}
		io.Copy(io.Discard, r)
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", late, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := setup(t, Options{}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	why := errors.New("why")
	time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
	if _, err := io.ReadAll(res.Body); !errors.Is(err, why) {
		t.Errorf("got %v while reading the body, want the cause", err)
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	url := script(t, func(_ int, c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			io.WriteString(c, empty)
		}
		io.Copy(io.Discard, r)
		close(ended)
	})
	tr := setup(t, Options{IdleTimeout: 20 * time.Millisecond})
	if _, _, err := do(t, tr, "GET", url, ""); err != nil {
		t.Fatal(err)
	}
	<-ended
	tr.pool.mu.Lock()
	defer tr.pool.mu.Unlock()
	if len(tr.pool.idle) != 0 {
		t.Errorf("%d hosts are left in the pool", len(tr.pool.idle))
	}
}

func TestConcurrentCallsKeepApart(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(s.Close)
	tr := setup(t, Options{IdlePerHost: 8})
	var calls sync.WaitGroup
	for g := range 16 {
		calls.Go(func() {
			for i := range 100 {
				body := fmt.Sprintf("%d-%d-%s", g, i, strings.Repeat("x", i*50))
				if _, got, err := do(t, tr, "POST", s.URL, body); err != nil || got != body {
					t.Errorf("got %d bytes, %v, want %d", len(got), err, len(body))
				}
			}
		})
	}
	calls.Wait()
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(empty))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("garbage"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			if _, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
				_, _ = io.Copy(server, bytes.NewReader(answer))
			}
		}()
		tr := New(Options{Dial: func(context.Context, string, string) (net.Conn, error) { return client, nil }})
		defer tr.CloseIdleConnections()
		defer client.Close()
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://a.test/", nil)
		res, err := tr.RoundTrip(req)
		if err != nil {
			return
		}
		if res.StatusCode < 200 && res.StatusCode != 101 {
			t.Errorf("%q: got the informational answer %d", answer, res.StatusCode)
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
		res.Body.Close()
	})
}
