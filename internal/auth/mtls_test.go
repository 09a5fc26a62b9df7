package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/secret"
)

// ca is a private certificate authority.
type ca struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newCA(t *testing.T) *ca {
	t.Helper()
	a := &ca{t: t}
	a.cert, a.key, a.pem, _ = a.issue("ca", true)
	return a
}

// issue makes a certificate; the first one of a ca signs itself.
func (a *ca) issue(name string, isCA bool) (cert *x509.Certificate, key *ecdsa.PrivateKey, certPEM, keyPEM string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.t.Fatal(err)
	}
	pattern := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: isCA, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = pattern, key
	}
	der, err := x509.CreateCertificate(rand.Reader, pattern, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err = x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// server asks for a certificate of the ca and answers with its name.
func (a *ca) server(h http.HandlerFunc) (url string, connections func() int) {
	a.t.Helper()
	_, _, certPEM, keyPEM := a.issue("server", false)
	pair, err := tls.X509KeyPair([]byte(certPEM), []byte(keyPEM))
	if err != nil {
		a.t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	var mu sync.Mutex
	n := 0
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			mu.Lock()
			defer mu.Unlock()
			n++
		}
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}
	s.StartTLS()
	a.t.Cleanup(s.Close)
	return s.URL, func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

func whoami(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Client", r.TLS.PeerCertificates[0].Subject.CommonName)
}

func TestMTLS(t *testing.T) {
	t.Parallel()
	authority := newCA(t)
	url, connections := authority.server(whoami)
	_, _, annCert, annKey := authority.issue("ann", false)
	_, _, bobCert, bobKey := authority.issue("bob", false)
	_, _, strangeCert, strangeKey := newCA(t).issue("strange", false)
	c := newCaller(t, map[string]string{
		"CA": authority.pem, "ANN_CERT": annCert, "ANN_KEY": annKey, "BOB_CERT": bobCert, "BOB_KEY": bobKey,
		"STRANGE_CERT": strangeCert, "STRANGE_KEY": strangeKey,
	}, settings{secret: secret.Options{TTL: time.Nanosecond}})
	as := func(name string) map[string]any {
		return map[string]any{"url": url, "retry": map[string]any{"maxAttempts": 1}, "auth": of("mtls", "certificate", env(name+"_CERT"), "key", env(name+"_KEY"), "ca", env("CA"))}
	}
	for range 2 { // each on a connection of its own, which is kept
		for name, want := range map[string]string{"ANN": "ann", "BOB": "bob"} {
			if res := c.must(as(name), 200); res.Headers["X-Client"] != want {
				t.Errorf("the API saw %s, want %s", res.Headers["X-Client"], want)
			}
		}
	}
	if n := connections(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	c.fails(as("STRANGE"), call.ConnectionFailed, "")
	without := as("ANN")
	delete(without, "auth")
	c.fails(without, call.ConnectionFailed, "certificate")
	noCA := as("ANN")
	delete(noCA["auth"].(map[string]any), "ca")
	c.fails(noCA, call.ConnectionFailed, "certificate")
	mixed := as("ANN")
	mixed["auth"].(map[string]any)["key"] = env("BOB_KEY")
	f := c.fails(mixed, call.AuthFailed, "no pair")
	if strings.Contains(f.Cause, "PRIVATE") {
		t.Error(f)
	}
	// A rotated certificate is used by the next call, without a restart.
	_, _, newCert, newKey := authority.issue("ann the second", false)
	c.secrets.set("ANN_CERT", newCert)
	c.secrets.set("ANN_KEY", newKey)
	if res := c.must(as("ANN"), 200); res.Headers["X-Client"] != "ann the second" {
		t.Errorf("after rotation the API saw %s", res.Headers["X-Client"])
	}
}

// A client certificate is not shown to the server that a redirect leads to,
// and goes together with another kind of auth.
func TestMTLSWithBearerAndRedirect(t *testing.T) {
	t.Parallel()
	authority := newCA(t)
	other, _ := authority.server(func(http.ResponseWriter, *http.Request) { t.Error("the other server took the certificate") })
	url, _ := authority.server(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+apiToken {
			w.WriteHeader(http.StatusForbidden)
		} else if r.URL.Path == "/away" {
			http.Redirect(w, r, other, http.StatusFound)
		}
	})
	_, _, cert, key := authority.issue("ann", false)
	c := newCaller(t, map[string]string{"CA": authority.pem, "CERT": cert, "KEY": key, "TOKEN": apiToken}, settings{})
	fields := map[string]any{"url": url, "retry": map[string]any{"maxAttempts": 1}, "auth": []any{
		of("mtls", "certificate", env("CERT"), "key", env("KEY"), "ca", env("CA")), of("bearer", "token", env("TOKEN")),
	}}
	c.must(fields, 200)
	fields["url"] = url + "/away"
	c.fails(fields, call.ConnectionFailed, "")
}
