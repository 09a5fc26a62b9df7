package h1

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What a server sends beyond its answer is nobody's answer, also when TLS has
// decrypted it already.
func TestUnaskedAnswerOverTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	server := &tls.Config{Certificates: s.TLS.Certificates, DynamicRecordSizingDisabled: true} // one record
	large := "HTTP/1.1 200 OK\r\nContent-Length: 12000\r\n\r\n" + strings.Repeat("x", 12000)
	url := script(t, func(n int, raw net.Conn, _ *bufio.Reader) {
		c := tls.Server(raw, server)
		r := bufio.NewReader(c)
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			if n == 1 {
				io.WriteString(c, large+"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
			} else {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright")
			}
		}
	})
	url = "https" + strings.TrimPrefix(url, "http")
	tr := setup(t, Options{TLS: &tls.Config{RootCAs: roots}})
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, res.ContentLength)); err != nil { // no byte more
		t.Fatal(err)
	}
	res.Body.Close()
	if _, text, err := do(t, tr, "GET", url, ""); err != nil || text != "right" {
		t.Errorf("the next call got %q, %v", text, err)
	}
}
