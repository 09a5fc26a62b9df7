package httpcall

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/net/http/httpguts"

	"callfleet/internal/auth"
	"callfleet/internal/blob"
	"callfleet/internal/call"
	"callfleet/internal/httpcall/content"
	"callfleet/internal/httpcall/egress"
	"callfleet/internal/httpcall/h1"
)

// plan is one call under way; owned by the goroutine of Do.
type plan struct {
	request  *http.Request // the pattern of each attempt
	traced   bool          // the template sends a trace of its own
	gunzip   bool          // gzip is undone here, whoever asked for it
	target   string        // the URL as causes and spans show it
	timeout  time.Duration
	policy   policy
	backoff  *backoff.ExponentialBackOff // made for the first retry
	key      string                      // of the request, for what is kept of it
	payload  *call.BlobRef               // the body, when it is kept elsewhere
	inserts  []call.Insert               // what of the body is
	inline   int                         // the largest body that the result holds
	started  time.Time
	attempts int
	sealed   *sealed // nil without secrets
	held     int     // attempts that were turned away, and do not count
	response *call.Response
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
	ref    *call.BlobRef // in place of body, or of what body was selected from

	selected bool   // body is a selection
	missing  string // what it lacks, "" for nothing
	unread   bool   // the body was left, because the template wants none
	encoded  string // or because secrets may hide in what it is encoded in
}

// errAttempt is the cause of an attempt's own timeout.
var errAttempt = errors.New("timeout of one attempt")

// plan checks what the template made, so that a mistake in it is found before
// anything is sent and is not tried again.
func (c *Client) plan(r call.Rendered, key string) (*plan, error) {
	u, err := url.Parse(r.URL)
	if err != nil || !callable(u) {
		return nil, unusable(r, "the URL is no absolute http or https URL")
	}
	if err := egress.Normalize(u); err != nil {
		return nil, &call.Failure{Name: call.EgressDenied, Cause: "render request: " + oneLine(r.Method, 16) + ": " + err.Error()}
	}
	header := make(http.Header, len(r.Header)+3)
	for _, h := range r.Header {
		if !httpguts.ValidHeaderFieldName(h.Name) || !httpguts.ValidHeaderFieldValue(h.Value) {
			return nil, unusable(r, "header "+oneLine(h.Name, 64)+" is not valid")
		}
		header.Add(h.Name, h.Value)
	}
	if !httpguts.ValidHeaderFieldName(r.Method) { // both are tokens
		return nil, unusable(r, "the method is not valid")
	}
	if key != "" && header.Get("Idempotency-Key") == "" && httpguts.ValidHeaderFieldValue(key) {
		header.Set("Idempotency-Key", key)
	}
	if _, ok := header["User-Agent"]; !ok {
		header.Set("User-Agent", c.opts.UserAgent)
	}
	if u.User != nil && header.Get("Authorization") == "" {
		password, _ := u.User.Password()
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)))
	}
	gunzip := header.Get("Range") == "" && r.Method != http.MethodHead // a part of gzip is none
	if gunzip && header.Get("Accept-Encoding") == "" {
		header.Set("Accept-Encoding", "gzip")
	}
	p := &plan{
		request: &http.Request{
			Method: strings.ToUpper(r.Method), URL: u, Host: u.Host, Header: header,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		},
		gunzip:  gunzip,
		traced:  header.Get("Traceparent") != "",
		target:  conceal(bareURL(u), r, inURL),
		timeout: r.Timeout,
		policy:  c.opts.policy(r.Retry),
		started: time.Now(),
		key:     key, payload: r.BodyRef, inline: c.opts.inline(r.MaxInline),
		response: r.Response,
	}
	if host := header.Get("Host"); host != "" { // net/http ignores the header
		p.request.Host = host
		header.Del("Host")
	}
	if p.timeout <= 0 {
		p.timeout = c.opts.Timeout
	}
	if auth.Needed(r) {
		p.sealed = &sealed{rendered: r}
	}
	if r.BodyRef != nil {
		p.request.ContentLength = r.BodyRef.Bytes
	}
	if len(r.Body) > 0 {
		p.request.ContentLength, p.inserts = int64(len(r.Body)), r.Inserts
		for _, in := range r.Inserts {
			p.request.ContentLength += in.Ref.Bytes
		}
		p.request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil }
	}
	return p, nil
}

// attempt sends the request once, follows redirects, and reads the answer.
func (c *Client) attempt(ctx context.Context, p *plan) (reply, *fault) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, errAttempt)
	defer cancel()
	began := time.Now()
	ctx, span := c.observe.start(ctx, p)
	rep, err := c.send(ctx, p)
	var flt *fault
	if err != nil {
		flt = faultOf(ctx, err, p.timeout)
	}
	if p.sealed != nil {
		p.sealed.scrub(&rep, flt)
	}
	c.observe.end(ctx, span, p, outcome{status: rep.status, fault: flt, took: time.Since(began)})
	return rep, flt
}

func (c *Client) send(ctx context.Context, p *plan) (reply, error) {
	req := p.request.WithContext(ctx)
	if p.attempts > 1 || p.sealed != nil {
		// An attempt that was given up may still be writing its headers; and
		// secrets are of one attempt.
		req.Header = req.Header.Clone()
	}
	if !p.traced {
		inject(ctx, req.Header)
	}
	refers := p.payload != nil || len(p.inserts) > 0
	if refers && c.opts.Claims == nil {
		return reply{}, &errBlob{&call.Failure{Name: call.BadReference, Cause: blob.ErrNone.Error()}, true}
	}
	if refers {
		var done func()
		req, done = c.withPayload(req, p)
		defer done()
	}
	if err := rewind(req); err != nil {
		return reply{}, err
	}
	var identity *auth.Identity
	if p.sealed != nil {
		var err error
		p.sealed.grant = nil
		if identity, err = c.authorize(ctx, p, req); err != nil {
			return reply{}, err
		}
	}
	led := false // by a server that is not inside, which sends nobody inside
	for hops := 1; ; hops++ {
		res, err := c.via(identity, led).RoundTrip(req)
		if err != nil {
			return reply{}, err
		}
		next, err := c.follow(req, res, hops)
		if err != nil || next == nil {
			rep := reply{status: res.StatusCode, header: res.Header}
			if err == nil {
				err = c.read(req, p, res, &rep)
			}
			res.Body.Close() // what is left of a body that is too large costs the connection
			return rep, err
		}
		res.Body.Close()
		// Its own name may have another address by now.
		led = led || !c.opts.Egress.Inside(req.URL, h1.Peer(res))
		if !sameOrigin(req.URL, next.URL) {
			identity = nil
			if p.sealed != nil {
				if err := p.sealed.leave(next); err != nil {
					return reply{}, err
				}
			}
		}
		req = next
	}
}

func (p *plan) result(rep reply) call.Result {
	r := call.Result{
		StatusCode: rep.status,
		OK:         p.response.Accepts(rep.status),
		Headers:    p.flatten(rep.header),
		BodyRef:    rep.ref,
		Attempts:   p.attempts - p.held,
		DurationMS: time.Since(p.started).Milliseconds(),
	}
	switch {
	case rep.selected && rep.body != nil:
		r.Body, r.BodyEncoding = content.Classify("application/json", rep.body)
	case rep.ref == nil && !rep.unread:
		r.Body, r.BodyEncoding = content.Classify(rep.header.Get("Content-Type"), rep.body)
	}
	return r
}

// bareURL is u without query, fragment and userinfo, where secrets live.
func bareURL(u *url.URL) string {
	var b strings.Builder
	b.WriteString(u.Scheme)
	b.WriteString("://")
	b.WriteString(u.Host)
	b.WriteString(u.EscapedPath())
	return b.String()
}

// flatten joins the values of each header that the result shows; names are
// canonical already.
func (p *plan) flatten(h http.Header) map[string]string {
	out := make(map[string]string, len(h))
	for name, values := range h {
		switch {
		case !p.response.Shows(name):
		case len(values) == 1:
			out[name] = values[0]
		default:
			out[name] = strings.Join(values, ", ")
		}
	}
	return out
}
