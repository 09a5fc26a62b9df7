package httpcall

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"callfleet/internal/call"
)

func TestDoReturnsTheAnswer(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Add("X-Two", "a")
		w.Header().Add("X-Two", "b")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"method":%q,"key":%q,"agent":%q,"x":%q,"body":%q,"host":%q}`,
			r.Method, r.Header.Get("Idempotency-Key"), r.UserAgent(), r.Header.Get("X-Own"), body, r.Host)
	})
	c := newClient(t, Options{})
	res, err := c.Do(t.Context(), call.Rendered{Method: "POST", URL: url + "/a?b=c", Body: []byte("hello"),
		Header: []call.Header{{Name: "x-own", Value: "1"}, {Name: "Host", Value: "api.test"}}}, "run-7")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"method":"POST","key":"run-7","agent":"callfleet","x":"1","body":"hello","host":"api.test"}`
	if string(res.Body) != want || res.StatusCode != 201 || res.Attempts != 1 || res.BodyEncoding != "" {
		t.Errorf("got %+v with body %s, want %s", res, res.Body, want)
	}
	if res.Headers["X-Two"] != "a, b" {
		t.Errorf("got X-Two %q, want both values", res.Headers["X-Two"])
	}
}

func TestDoKeepsConnections(t *testing.T) {
	t.Parallel()
	var conns sync.Map
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { conns.Store(r.RemoteAddr, true); fmt.Fprint(w, "hello") })
	c := newClient(t, Options{})
	for range 20 {
		if _, err := c.Do(t.Context(), get(url), ""); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	conns.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("dialled %d times for 20 calls in a row, want once", n)
	}
}

func TestDoRetriesAnAnswerThatAsksForIt(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 500, 502, 503, 504} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			var keys [3]string
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				n := calls.Add(1)
				keys[n-1] = r.Header.Get("Idempotency-Key")
				if n < 3 {
					w.WriteHeader(status)
				}
			})
			res, err := newClient(t, Options{}).Do(t.Context(), call.Rendered{Method: "POST", URL: url, Body: []byte("x")}, "k")
			if err != nil || res.StatusCode != 200 || res.Attempts != 3 {
				t.Fatalf("got %+v, %v, want the answer of the third attempt", res, err)
			}
			if keys != [3]string{"k", "k", "k"} {
				t.Errorf("got keys %q, want the same on each attempt", keys)
			}
		})
	}
}

func TestDoReturnsTheLastAnswer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ status, max, attempts int }{{503, 2, 2}, {429, 1, 1}, {404, 5, 1}, {400, 5, 1}, {304, 5, 1}} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tc.status) })
		r := get(url)
		r.Retry = &call.Retry{MaxAttempts: tc.max}
		res, err := newClient(t, Options{}).Do(t.Context(), r, "")
		if err != nil || res.StatusCode != tc.status || res.Attempts != tc.attempts {
			t.Errorf("got %d after %d attempts, %v; want %d after %d", res.StatusCode, res.Attempts, err, tc.status, tc.attempts)
		}
	}
}

func TestDoHonoursRetryAfter(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	var first, second time.Time
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			first = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
			return
		}
		second = time.Now()
	})
	res, err := newClient(t, Options{MaxDelay: 2 * time.Millisecond}).Do(t.Context(), get(url), "")
	if err != nil || res.Attempts != 2 {
		t.Fatalf("got %+v, %v, want two attempts", res, err)
	}
	if gap := second.Sub(first); gap < time.Second {
		t.Errorf("came back after %s, was asked to wait a second", gap)
	}
}

// A 403 is tried again only if it says when.
func TestForbiddenForAWhile(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		header   map[string]string
		status   int
		attempts int
	}{
		"of permissions": {nil, 403, 1},
		"Retry-After":    {map[string]string{"Retry-After": "0"}, 200, 2},
		"as GitHub":      {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1000000000"}, 200, 2},
		"some remain":    {map[string]string{"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "1000000000"}, 403, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if calls.Add(1) > 1 {
					return
				}
				for k, v := range row.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(403)
			})
			res, err := newClient(t, Options{}).Do(t.Context(), get(url), "")
			if err != nil || res.StatusCode != row.status || res.Attempts != row.attempts {
				t.Errorf("got %d after %d attempts, %v, want %d after %d", res.StatusCode, res.Attempts, err, row.status, row.attempts)
			}
		})
	}
}

func TestDoFailsAtOnceWhenTheWaitDoesNotFit(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(429)
	})
	began := time.Now()
	_, err := newClient(t, Options{}).Do(within(t, time.Minute), get(url+"/x?token=secret"), "")
	f := failure(t, err)
	if f.Name != call.RateLimited || f.Attempts != 1 || !strings.Contains(f.Cause, "wait 1h0m0s") {
		t.Errorf("got %v after %d attempts, want RateLimited that names the hour", f, f.Attempts)
	}
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("failed after %s, want at once", d)
	}
}

func TestDoNamesAPauseThatDoesNotFit(t *testing.T) {
	t.Parallel()
	url := serveRaw(t, func(net.Conn) {})
	c := newClient(t, Options{BaseDelay: 1000 * time.Hour, MaxDelay: 1000 * time.Hour})
	_, err := c.Do(within(t, 10*time.Second), get(url), "")
	if f := failure(t, err); f.Name != call.DeadlineExceeded || !strings.Contains(f.Cause, "closed before an answer; a pause of") {
		t.Errorf("got %v, want DeadlineExceeded that names the pause and the fault", f)
	}
	url = serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	if res, err := c.Do(within(t, 10*time.Second), get(url), ""); err != nil || res.StatusCode != 503 {
		t.Errorf("got %+v, %v, want the answer that there is", res, err)
	}
}

func TestDoFailures(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	endless := func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 1<<20)
		for range 1 << 10 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	for name, tc := range map[string]struct {
		url      string
		want     call.FailureName
		text     string
		attempts int
	}{
		"nobody listens": {"http://" + closed.Addr().String() + "/p?q=secret", call.ConnectionFailed, "connection refused", 2},
		"no answer":      {serveRaw(t, func(net.Conn) { <-stop }), call.Timeout, "no whole answer within 100ms", 2},
		"closes":         {serveRaw(t, func(net.Conn) {}), call.ConnectionFailed, "closed before an answer", 2},
		"garbage": {serveRaw(t, func(c net.Conn) { io.WriteString(c, "secret garbage\r\n\r\n") }),
			call.ConnectionFailed, "malformed HTTP", 2},
		"half a head": {serveRaw(t, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nA: b") }),
			call.ConnectionFailed, "middle of the answer", 2},
		"half a body": {serveRaw(t, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") }),
			call.ConnectionFailed, "middle of the answer", 2},
		"half a chunk": {serveRaw(t, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf") }),
			call.ConnectionFailed, "middle of the answer", 2},
		"hangs in the body": {serveRaw(t, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
			<-stop
		}), call.Timeout, "no whole answer", 2},
		"endless head": {serveRaw(t, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for i := range 100_000 {
				if _, err := fmt.Fprintf(c, "X-%d: %s\r\n", i, strings.Repeat("x", 100)); err != nil {
					return
				}
			}
		}), call.ConnectionFailed, "head of the answer is too large", 2},
		"a gigabyte": {serve(t, endless), call.ResponseTooLarge, "larger than 1000 bytes", 1},
		"a gigabyte announced": {serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1073741824")
			endless(w, r)
		}), call.ResponseTooLarge, "larger than 1000 bytes", 1},
		"a bomb": {serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			z.Write(make([]byte, 10<<20))
		}), call.ResponseTooLarge, "larger than 1000 bytes", 1},
		"gzip of nothing, without end": {serve(t, endlessGzip), call.ResponseTooLarge, "far larger compressed", 1},
		"no gzip": {serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "this is no gzip at all")
		}), call.ConnectionFailed, "decompress", 2},
		"a circle": {serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/round?secret", http.StatusFound)
		}), call.ConnectionFailed, "more than 10 in a row, the last to http://127.0.0.1", 1},
		"a redirect to a file": {serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/secret", http.StatusFound)
		}), call.ConnectionFailed, "no usable address", 1},
		"no URL":     {"not a url", call.RenderFailed, "no absolute http or https URL", 0},
		"a bad host": {"http://:80/", call.RenderFailed, "no absolute http or https URL", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, Options{MaxBody: 1000, Timeout: 10 * time.Second, MaxAttempts: 2})
			r := get(tc.url)
			if tc.want == call.Timeout {
				r.Timeout = 100 * time.Millisecond
			}
			_, err := c.Do(t.Context(), r, "")
			f := failure(t, err)
			if f.Name != tc.want || !strings.Contains(f.Cause, tc.text) || f.Attempts != tc.attempts {
				t.Errorf("got %v after %d attempts, want %s with %q after %d", f, f.Attempts, tc.want, tc.text, tc.attempts)
			}
		})
	}
}

func TestDoRefusesWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{})
	for name, r := range map[string]call.Rendered{
		"header value": {Method: "GET", URL: "http://a.test", Header: []call.Header{{Name: "A", Value: "b\r\nC: d"}}},
		"header name":  {Method: "GET", URL: "http://a.test", Header: []call.Header{{Name: "A b", Value: "c"}}},
		"method":       {Method: "GE T", URL: "http://a.test"},
		"host":         {Method: "GET", URL: "http://a b/"},
	} {
		if _, err := c.Do(t.Context(), r, ""); failure(t, err).Name != call.RenderFailed {
			t.Errorf("%s: got %v, want RenderFailed", name, err)
		}
	}
}

func TestDoStopsWithTheContext(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{}, 1)
	url := serveRaw(t, func(c net.Conn) { reached <- struct{}{}; io.Copy(io.Discard, c) })
	c := newClient(t, Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	lost := errors.New("lease lost")
	go func() { <-reached; cancel(lost) }()
	if _, err := c.Do(ctx, get(url), ""); !errors.Is(err, lost) {
		t.Errorf("got %v, want the cause", err)
	}
	_, err := c.Do(within(t, 50*time.Millisecond), get(url), "")
	if f := failure(t, err); f.Name != call.DeadlineExceeded || !strings.Contains(f.Cause, "budget") {
		t.Errorf("got %v, want DeadlineExceeded", f)
	}
}

func TestDoFollowsRedirects(t *testing.T) {
	t.Parallel()
	var other string
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s key=%s auth=%s", r.Method, body, r.Header.Get("X-Api-Key"), r.Header.Get("Authorization"))
	}
	other = serve(t, echo)
	mux := http.NewServeMux()
	mux.HandleFunc("/end", echo)
	mux.HandleFunc("/{status}/{where}", func(w http.ResponseWriter, r *http.Request) {
		to := "/end"
		if r.PathValue("where") == "other" {
			to = other
		}
		var status int
		fmt.Sscan(r.PathValue("status"), &status)
		http.Redirect(w, r, to, status)
	})
	url := serve(t, mux.ServeHTTP)
	for path, want := range map[string]string{
		"/302/same":  "GET  key=k auth=a",
		"/303/same":  "GET  key=k auth=a",
		"/307/same":  "POST body key=k auth=a",
		"/308/same":  "POST body key=k auth=a",
		"/307/other": "POST body key= auth=",
		"/302/other": "GET  key= auth=",
	} {
		r := call.Rendered{Method: "POST", URL: url + path, Body: []byte("body"),
			Header: []call.Header{{Name: "X-Api-Key", Value: "k"}, {Name: "Authorization", Value: "a"}}}
		res, err := newClient(t, Options{}).Do(t.Context(), r, "")
		if err != nil || string(res.Body) != `"`+want+`"` {
			t.Errorf("%s: got %s, %v, want %q", path, res.Body, err, want)
		}
	}
}

func TestTemplateMayNameItsOwnHeaders(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Header.Get("Idempotency-Key"), r.UserAgent(), r.Header.Get("Traceparent"))
	})
	r := get(url)
	r.Header = []call.Header{{Name: "idempotency-key", Value: "own"}, {Name: "User-Agent", Value: "me"}, {Name: "traceparent", Value: "tp"}}
	res, err := newClient(t, Options{}).Do(t.Context(), r, "run-1")
	if err != nil || string(res.Body) != `"own me tp"` {
		t.Errorf("got %s, %v, want the template's own headers", res.Body, err)
	}
}
