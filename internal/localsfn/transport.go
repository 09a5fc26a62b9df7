package localsfn

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
)

// Transport calls the API without a network in between, for a client in this
// process: the same requests and answers, less than half the work. Its
// requests need an http URL; where it points does not matter.
func (s *Server) Transport() http.RoundTripper { return transport{s.api} }

type transport struct{ handler http.Handler }

var _ http.RoundTripper = transport{}

// RoundTrip serves the request on the caller's goroutine.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r
	if r.Body == nil {
		in = r.WithContext(r.Context())
		in.Body = http.NoBody
	} else {
		defer func() { _ = r.Body.Close() }()
	}
	w := &answer{header: http.Header{}, status: http.StatusOK}
	t.handler.ServeHTTP(w, in)
	return &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// answer is an http.ResponseWriter that keeps what is written.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
