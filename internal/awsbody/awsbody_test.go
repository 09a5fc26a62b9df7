package awsbody_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go/middleware"

	"callfleet/internal/awsbody"
)

// A request whose last write returns late is a good request, and its answer
// arrives.
func TestAnswerIsThereBeforeTheRequestIsWritten(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, `{"QueueUrl":"http://q"}`)
	}))
	t.Cleanup(server.Close)
	s := &slow{answered: make(chan struct{}), wrote: make(chan error, 1)}
	client := sqs.New(sqs.Options{
		BaseEndpoint: &server.URL, Region: "eu-west-1", Credentials: aws.AnonymousCredentials{}, HTTPClient: s, Retryer: aws.NopRetryer{},
		APIOptions: []func(*middleware.Stack) error{awsbody.Safe},
	})
	out, err := client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("q")})
	if err != nil || aws.ToString(out.QueueUrl) != "http://q" {
		t.Errorf("got %+v, %v", out, err)
	}
	if err := <-s.wrote; err != nil {
		t.Errorf("write the request: %v", err)
	}
}

// slow is an HTTP client whose write of a request's body returns when the SDK
// has the head of the answer, and whose answer is read when the request is
// written.
type slow struct {
	answered chan struct{}
	wrote    chan error
	once     sync.Once
}

func (s *slow) Do(r *http.Request) (*http.Response, error) {
	written := make(chan struct{})
	trace := &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
		s.wrote <- info.Err
		close(written)
	}}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return slowConn{conn, s}, err
	}}
	resp, err := transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err == nil {
		resp.Body = &lateBody{ReadCloser: resp.Body, slow: s, written: written}
	}
	return resp, err
}

// slowConn hides ReadFrom, too.
type slowConn struct {
	net.Conn
	*slow
}

func (c slowConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if !strings.HasPrefix(string(p), "POST ") {
		<-c.answered
	}
	return n, err
}

type lateBody struct {
	io.ReadCloser
	*slow
	written chan struct{}
}

func (b *lateBody) Read(p []byte) (int, error) {
	b.once.Do(func() { close(b.answered) }) // the SDK has closed the request's body by now
	<-b.written
	return b.ReadCloser.Read(p)
}
