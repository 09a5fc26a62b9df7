package httpcall

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"callfleet/internal/httpcall/egress"
)

// errRedirect marks an answer that sends the client where it will not go.
var errRedirect = errors.New("redirect not followed")

// errDowngrade marks a redirect that would send in clear text what was meant to
// be secret.
var errDowngrade = errors.New("a redirect from https to http is not followed; no setting allows it")

// maxDiscard is how much of the body of a redirect is read to keep the
// connection.
const maxDiscard = 4 << 10

// follow returns the request that a redirect asks for, or nil when res is the
// answer (RFC 9110, section 15.4).
func (c *Client) follow(req *http.Request, res *http.Response, hops int) (*http.Request, error) {
	location := res.Header.Get("Location")
	keep, ok := redirects(res.StatusCode, req.Method)
	if !ok || location == "" {
		return nil, nil
	}
	u, err := req.URL.Parse(location)
	if err != nil || !callable(u) {
		return nil, fmt.Errorf("%w: answer %d names no usable address", errRedirect, res.StatusCode)
	}
	if hops > c.opts.MaxRedirects {
		return nil, fmt.Errorf("%w: more than %d in a row, the last to %s", errRedirect, c.opts.MaxRedirects, bareURL(u))
	}
	if err := egress.Normalize(u); err != nil {
		return nil, err
	}
	if req.URL.Scheme == "https" && u.Scheme == "http" {
		return nil, errDowngrade
	}
	u.User = nil                                      // credentials are the template's to give
	_, _ = io.CopyN(io.Discard, res.Body, maxDiscard) // what is left over costs the connection
	next := req.WithContext(req.Context())
	next.URL, next.Header = u, req.Header.Clone()
	if !sameOrigin(req.URL, u) {
		strip(next.Header)
		next.Host = u.Host
	}
	if !keep {
		next.Method = http.MethodGet
		next.ContentLength, next.GetBody = 0, nil
		next.Header.Del("Content-Type")
		next.Header.Del("Content-Encoding")
	}
	next.Body = nil
	return next, rewind(next)
}

// redirects reports whether the status is a redirect that is followed, and
// whether method and body are kept on the way.
func redirects(status int, method string) (keep, ok bool) {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		return method == http.MethodGet || method == http.MethodHead, true
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true, true
	}
	return false, false
}

// callable reports whether u is an absolute http or https URL.
func callable(u *url.URL) bool {
	return u.Host != "" && u.Hostname() != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// sameOrigin reports whether credentials for a may go to b: the same scheme,
// host and port.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Hostname() == b.Hostname() && port(a) == port(b)
}

// strip leaves the headers that may go to another origin: any other may be a
// credential, whatever its name.
func strip(h http.Header) {
	for name := range h {
		switch name {
		case "Accept", "Accept-Language", "Accept-Encoding", "Content-Type", "Content-Encoding",
			"Content-Language", "Idempotency-Key", "Traceparent", "Tracestate", "User-Agent":
		default:
			delete(h, name)
		}
	}
}
