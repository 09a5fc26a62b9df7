package httpcall

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"callfleet/internal/auth"
	"callfleet/internal/call"
	"callfleet/internal/httpcall/content"
	"callfleet/internal/httpcall/egress"
	"callfleet/internal/httpcall/h1"
	"callfleet/internal/secret"
)

// sealed is a request with marks in place of secrets, which are put in on each
// attempt and stay in that attempt. It is nil for a request without any.
type sealed struct {
	rendered call.Rendered
	grant    *auth.Grant // of the attempt under way; nil before it has one
	renewed  bool        // a 401 was answered by a new token once
}

// hiddenInURL stands for a secret in URLs that are shown.
const hiddenInURL = "***"

// conceal writes text for people: without marks, whose use would be to ask for
// the secret elsewhere.
func conceal(text string, r call.Rendered, as func(reference string) string) string {
	if r.Secrets == nil || !strings.Contains(text, secret.MarkPrefix) {
		return text
	}
	for _, s := range r.Secrets.List {
		text = strings.ReplaceAll(text, s.Mark, as(s.Reference))
	}
	return text
}

func inURL(string) string { return hiddenInURL }

func inText(reference string) string { return "[" + reference + "]" }

// authorize puts secrets and credentials into req, and returns who it is from.
func (c *Client) authorize(ctx context.Context, p *plan, req *http.Request) (*auth.Identity, error) {
	grant, err := c.opts.Auth.Apply(ctx, req, p.sealed.rendered, endpoints{c.http})
	if err != nil {
		return nil, err
	}
	p.sealed.grant = grant
	return grant.Identity, nil
}

// via returns what carries requests of an identity, nil for none; led there by
// a stranger, they reach public addresses alone.
func (c *Client) via(id *auth.Identity, led bool) *h1.Transport {
	switch {
	case id != nil:
		return c.identified.get(id, led, c.opts)
	case led:
		return c.strange
	}
	return c.http
}

// endpoints carries requests to token endpoints: their hosts get the one form
// that egress rules are about, as those of calls and redirects do.
type endpoints struct{ transport *h1.Transport }

var _ http.RoundTripper = endpoints{}

// RoundTrip implements http.RoundTripper.
func (e endpoints) RoundTrip(req *http.Request) (*http.Response, error) {
	u := *req.URL
	if err := egress.Normalize(&u); err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	req = req.WithContext(req.Context())
	req.URL, req.Host = &u, u.Host
	return e.transport.RoundTrip(req)
}

// leave is called before a redirect to another origin is followed. What may
// not go there is taken out; what cannot be is not followed.
func (s *sealed) leave(next *http.Request) error {
	if s.grant.InBody() && next.GetBody != nil {
		return fmt.Errorf("%w: it leads to another server, %s, and the body holds a secret", errRedirect, s.grant.ScrubText(bareURL(next.URL)))
	}
	s.grant.Withhold(next.Header)
	return nil
}

// renew reports whether a call that was answered with 401 is worth one
// repetition with a new token, which is not counted against its attempts.
func (c *Client) renew(ctx context.Context, p *plan, rep reply) bool {
	if rep.status != http.StatusUnauthorized || p.sealed == nil || p.sealed.renewed || ctx.Err() != nil || !c.opts.Auth.Refused(p.sealed.grant) {
		return false
	}
	p.sealed.renewed = true
	p.policy.attempts++
	p.retrying(ctx, pause{}, rep, nil)
	return true
}

// scrub takes the attempt's secrets out of what came of it.
func (s *sealed) scrub(rep *reply, flt *fault) {
	if s.grant == nil {
		return
	}
	rep.body = s.grant.Scrub(rep.header, rep.body)
	if flt != nil {
		flt.reason = s.grant.ScrubText(flt.reason)
	}
}

// hides names the encoding of an answer in which no secret of the attempt would
// be seen, "" for none.
func (p *plan) hides(res *http.Response) string {
	coding := content.Encoding(res.Header)
	switch {
	case coding == "", coding == content.Gzip && p.gunzip, res.ContentLength == 0:
		return ""
	case p.sealed == nil || p.sealed.grant == nil || !p.sealed.grant.Scrubs():
		return ""
	}
	return oneLine(p.sealed.grant.ScrubText(coding), 40)
}

// scrubLarge is scrub for a body that is kept elsewhere, and its type.
func (s *sealed) scrubLarge(contentType string, body io.Reader) (string, io.Reader) {
	if s == nil || s.grant == nil {
		return contentType, body
	}
	return s.grant.ScrubText(contentType), s.grant.ScrubReader(body)
}

// What is kept of transports with client certificates.
const (
	maxIdentified  = 64
	idleIdentified = 10 * time.Minute
)

// identified are the transports with client certificates: connections are not
// shared between identities, nor between a certificate and its successor.
type identified struct {
	mu    sync.Mutex
	known map[identifiedKey]*identifiedTransport // guarded by mu
}

type identifiedKey struct {
	id  [32]byte
	led bool // by a stranger
}

type identifiedTransport struct {
	*h1.Transport
	used time.Time // guarded by identified.mu
}

func (s *identified) get(id *auth.Identity, led bool, o Options) *h1.Transport {
	now, key := time.Now(), identifiedKey{id.ID, led}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.known[key]; t != nil {
		t.used = now
		return t.Transport
	}
	s.makeRoom(now)
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.TLS != nil {
		cfg = o.TLS.Clone()
	}
	cfg.Certificates, cfg.GetClientCertificate, cfg.ClientSessionCache = []tls.Certificate{id.Certificate}, nil, nil
	if id.Roots != nil {
		cfg.RootCAs = id.Roots
	}
	o.TLS = cfg
	policy := o.Egress
	if led {
		policy = policy.Redirected()
	}
	t := &identifiedTransport{newTransport(o, policy), now}
	if s.known == nil {
		s.known = map[identifiedKey]*identifiedTransport{}
	}
	s.known[key] = t
	return t.Transport
}

// makeRoom drops what was not used for long, and the oldest if there are too
// many. Calls under way on them go on. It is called with mu held.
func (s *identified) makeRoom(now time.Time) {
	var oldest *identifiedKey
	for key, t := range s.known {
		if now.Sub(t.used) > idleIdentified {
			t.CloseIdleConnections()
			delete(s.known, key)
		} else if oldest == nil || t.used.Before(s.known[*oldest].used) {
			oldest = &key
		}
	}
	if len(s.known) >= maxIdentified {
		s.known[*oldest].CloseIdleConnections()
		delete(s.known, *oldest)
	}
}

func (s *identified) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.known {
		t.CloseIdleConnections()
	}
}
