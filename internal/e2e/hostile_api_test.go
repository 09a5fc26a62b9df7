package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hostileAPI is an API that means harm, or is broken.
type hostileAPI struct {
	url  func(t *testing.T) string // of a server of its own
	fail string                    // the failure; "" is an answer
	says []string                  // what the cause says
	code int                       // of the answer
}

// raw serves what serve writes on each connection after the head of a request
// has come, and closes it then.
func raw(serve func(c net.Conn)) func(t *testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				buf := make([]byte, 4096)
				if _, err := c.Read(buf); err == nil {
					serve(c)
				}
				c.Close()
			}
		}()
		t.Cleanup(func() { l.Close(); <-done })
		return "http://" + l.Addr().String()
	}
}

// says writes a text as the answer.
func says(text string) func(t *testing.T) string {
	return raw(func(c net.Conn) { _, _ = io.WriteString(c, text) })
}

// handled is the URL of a handler.
func handled(h http.HandlerFunc) func(t *testing.T) string {
	return func(t *testing.T) string { t.Helper(); return serve(t, h) }
}

// tooMuch bounds what of an endless body may leave the API: what was read of it
// and what lies in the buffers of the sockets.
const tooMuch = 32 << 20

// endless writes without end, and fails the test if nobody stops it.
func endless(t *testing.T, w io.Writer) {
	block := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	for n := 0; n < tooMuch; n += len(block) {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
	t.Errorf("more than %d bytes of an endless body were taken", tooMuch)
}

// hang keeps a request open until its caller gives up.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func hostileAPIs() map[string]hostileAPI {
	const tooLarge, lost, timeout = "Callfleet.ResponseTooLarge", "Callfleet.ConnectionFailed", "Callfleet.Timeout"
	return map[string]hostileAPI{
		"sends 1 GB": {
			func(t *testing.T) string {
				return serve(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Length", strconv.Itoa(1<<30))
					endless(t, w)
				})
			}, tooLarge, []string{"larger than 1048576 bytes"}, 0,
		},
		"sends 1 GB in chunks": {
			func(t *testing.T) string {
				return serve(t, func(w http.ResponseWriter, _ *http.Request) { endless(t, w) })
			}, tooLarge, []string{"larger than 1048576 bytes"}, 0,
		},
		"sends 1 GB in gzip": {
			func(t *testing.T) string {
				return serve(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Encoding", "gzip")
					z := gzip.NewWriter(w)
					zeros := make([]byte, 1<<20)
					for range 1024 {
						if _, err := z.Write(zeros); err != nil || r.Context().Err() != nil {
							return
						}
						if z.Flush() != nil {
							return
						}
					}
					t.Error("a whole gigabyte was taken")
				})
			}, tooLarge, []string{"larger than 1048576 bytes"}, 0,
		},
		"sends gzip of nothing, without end": {handled(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			var nothing bytes.Buffer
			_ = gzip.NewWriter(&nothing).Close()
			for much := bytes.Repeat(nothing.Bytes(), 1000); r.Context().Err() == nil; {
				if _, err := w.Write(much); err != nil {
					return
				}
			}
		}), tooLarge, []string{"far larger compressed"}, 0},
		"sends gzip that is none": {handled(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "no gzip at all")
		}), lost, []string{"decompress"}, 0},
		"hangs before the head": {handled(hang), timeout, []string{"no whole answer within 1s"}, 0},
		"hangs in the body": {handled(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			hang(w, r)
		}), timeout, []string{"no whole answer within 1s"}, 0},
		"drips a byte at a time": {handled(func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, ".")
				_ = http.NewResponseController(w).Flush()
				<-tick.C
			}
		}), timeout, []string{"no whole answer within 1s"}, 0},
		"redirects in a circle": {handled(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/round"+r.URL.Path+"?secret=1", http.StatusFound)
		}), lost, []string{"more than 10 in a row"}, 0},
		"redirects to itself": {handled(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}), lost, []string{"more than 10 in a row"}, 0},
		"redirects to a file": {handled(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		}), lost, []string{"redirect", "no usable address"}, 0},
		"closes at once":         {says(""), lost, []string{"closed before an answer"}, 0},
		"closes in the head":     {says("HTTP/1.1 200 OK\r\nContent-Type: te"), lost, []string{"closed in the middle"}, 0},
		"closes in the body":     {says("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"), lost, []string{"closed in the middle"}, 0},
		"closes in a chunk":      {says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf"), lost, []string{"closed in the middle"}, 0},
		"speaks garbage":         {says("\x16\x03\x01\x00garbage\x00\xff\r\n\r\n"), lost, []string{"malformed HTTP"}, 0},
		"speaks another tongue":  {says("220 mail.example ESMTP ready\r\n"), lost, []string{"malformed HTTP"}, 0},
		"says a bad length":      {says("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), lost, []string{"bad Content-Length"}, 0},
		"says two lengths":       {says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhellox"), lost, []string{"Content-Length"}, 0},
		"says a bad chunk":       {says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), lost, []string{"invalid byte in chunk length"}, 0},
		"says a bad status":      {says("HTTP/1.1 9999 Huh\r\n\r\n"), lost, []string{"malformed HTTP status code"}, 0},
		"sends 10 MB of headers": {raw(func(c net.Conn) { endlessHeaders(c, "X-%d: "+strings.Repeat("y", 1000)+"\r\n") }), lost, []string{"head of the answer is too large"}, 0},
		"sends a 10 MB header":   {raw(func(c net.Conn) { endlessHeaders(c, strings.Repeat("y", 1000)+"%d") }), lost, []string{"head of the answer is too large"}, 0},
		"goes on for ever":       {says(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100)), lost, []string{"too many informational answers"}, 0},
		"switches protocols":     {says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), lost, []string{"switches to another protocol"}, 0},
		"answers 204 with a body": {
			says("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"), "", nil, 204,
		},
		"answers 304": {says("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"), "Callfleet.StatusCode.304", []string{"304"}, 304},
		"answers 999": {says("HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n"), "Callfleet.StatusCode.999", []string{"999"}, 999},
		"answers without a length": {
			says("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nto the end"), "", nil, 200,
		},
	}
}

// endlessHeaders writes 10 MB of a header, numbered.
func endlessHeaders(c net.Conn, format string) {
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nA: "); err != nil {
		return
	}
	for i := range 10_000 {
		if _, err := fmt.Fprintf(c, format, i); err != nil {
			return
		}
	}
}

// An API that means harm ends its own call with a failure that names the API
// and what was wrong, and costs nobody else anything.
func TestHostileAPIs(t *testing.T) {
	t.Parallel()
	s := startAt(t, place{blobLimit: 1 << 20}, nil)
	s.wantNothingLeft(t, everyQueue...)
	good := s.put(t, map[string]any{"name": "good", "method": "GET", "url": serve(t, answer)})
	for name, api := range hostileAPIs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := api.url(t)
			patient := 20 // seconds: any other end comes first, on a busy machine too
			if api.fail == "Callfleet.Timeout" {
				patient = 1
			}
			key := s.put(t, map[string]any{
				"name": "api " + name, "method": "GET", "url": url + "/there?secret=1", "timeoutSeconds": patient,
				"retry": map[string]any{"maxAttempts": 1},
			})
			for _, mode := range modes {
				results := s.run(t, mode, line{key, nil}, line{good, nil})
				wantOK(t, results[1])
				got := results[0]
				switch {
				case api.fail == "" && (got.Status != "SUCCEEDED" || got.StatusCode != api.code):
					t.Errorf("%s: status %s %d, error %q (%s), want SUCCEEDED %d", mode, got.Status, got.StatusCode, got.Error, got.Cause, api.code)
				case api.fail != "" && api.code == 0:
					wantFailed(t, got, api.fail, append(api.says, "GET "+url, "1 attempt")...)
				case api.fail != "":
					wantFailed(t, got, api.fail, api.says...)
				}
				if strings.Contains(got.Cause, "secret") {
					t.Errorf("%s: the cause shows the query: %s", mode, got.Cause)
				}
			}
			wantOK(t, s.run(t, workflow, line{good, nil})[0])
		})
	}
}

// An API that breaks off twice is called three times with one key, and the
// call succeeds.
func TestBrokenAnswersAreTriedAgain(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.wantNothingLeft(t, everyQueue...)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			keys := make(chan string, 3)
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				keys <- r.Header.Get("Idempotency-Key")
				if calls.Add(1) < 3 {
					panic(http.ErrAbortHandler)
				}
				answer(w, r)
			})
			key := s.put(t, map[string]any{
				"name": "breaks off " + mode, "method": "GET", "url": url, "retry": map[string]any{"maxAttempts": 3, "maxDelaySeconds": 1},
			})
			result := s.run(t, mode, line{key, nil})[0]
			wantOK(t, result)
			if result.Attempts != 3 {
				t.Errorf("attempts %d, want 3", result.Attempts)
			}
			for range 3 {
				if got := receive(t, keys); got != result.ID {
					t.Errorf("Idempotency-Key %q, want %q", got, result.ID)
				}
			}
		})
	}
}
