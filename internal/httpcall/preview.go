package httpcall

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"callfleet/internal/auth"
	"callfleet/internal/call"
)

// Preview is the request that Do would send first, body included, without a
// trace context, with the names of secrets in their place, and with words in
// place of a body that is kept elsewhere. The error is a *call.Failure.
func (c *Client) Preview(r call.Rendered, idempotencyKey string) (*http.Request, error) {
	p, err := c.plan(withWords(concealed(r)), idempotencyKey)
	if err != nil {
		return nil, err
	}
	nameInURL(p.request.URL, r)
	auth.Describe(p.request, r.Auth, func(text string) string { return conceal(text, r, inText) })
	if ref := p.payload; ref != nil {
		words := wordsFor(*ref)
		p.request.ContentLength, p.request.Body = int64(len(words)), io.NopCloser(strings.NewReader(words))
	}
	if p.request.GetBody != nil {
		if p.request.Body, err = p.request.GetBody(); err != nil {
			return nil, err
		}
	}
	return p.request, nil
}

// WritePreview writes what Preview makes as it would go over the wire. The
// length of its body is that of the real one; when secrets stand in the body, it
// has no length that could be told.
func (c *Client) WritePreview(w io.Writer, r call.Rendered, idempotencyKey string) error {
	request, err := c.Preview(r, idempotencyKey)
	if err != nil {
		return err
	}
	length := func(n int64) []byte { return fmt.Appendf(nil, "\r\nContent-Length: %d\r\n", n) }
	shown, real := length(request.ContentLength), []byte("\r\n")
	if n, known := bodyLength(r); known {
		real = length(n)
	}
	var wire bytes.Buffer
	if err := request.Write(&wire); err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	_, err = w.Write(bytes.Replace(wire.Bytes(), shown, real, 1)) // ahead of the body, and of headers of the template
	return err
}

func bodyLength(r call.Rendered) (n int64, known bool) {
	if r.BodyRef != nil {
		return r.BodyRef.Bytes, true
	}
	n = int64(len(r.Body))
	for _, in := range r.Inserts {
		n += in.Ref.Bytes
	}
	return n, r.Secrets == nil || conceal(string(r.Body), r, inText) == string(r.Body)
}

// nameInURL writes the names of secrets into a URL that is printed and nothing
// else: with brackets and all, as people read them.
func nameInURL(u *url.URL, r call.Rendered) {
	if path := u.EscapedPath(); conceal(path, r, inText) != path {
		u.Opaque = conceal(path, r, inText) // is printed as it is
	}
	u.RawQuery = conceal(u.RawQuery, r, inText)
}

func wordsFor(ref call.BlobRef) string {
	return fmt.Sprintf("(%d bytes, sha256 %s)", ref.Bytes, ref.SHA256)
}

// withWords is r with words in place of what stands within its body.
func withWords(r call.Rendered) call.Rendered {
	if len(r.Inserts) == 0 {
		return r
	}
	var body []byte
	done := 0
	for _, in := range r.Inserts {
		body = append(append(body, r.Body[done:in.At]...), wordsFor(in.Ref)...)
		done = in.At
	}
	r.Body, r.Inserts = append(body, r.Body[done:]...), nil
	return r
}

// concealed is r for people, but for its URL.
func concealed(r call.Rendered) call.Rendered {
	if r.Secrets == nil {
		return r
	}
	out := r
	out.Header = make([]call.Header, len(r.Header))
	for i, h := range r.Header {
		out.Header[i] = call.Header{Name: h.Name, Value: conceal(h.Value, r, inText)}
	}
	out.Body = []byte(conceal(string(r.Body), r, inText))
	return out
}
