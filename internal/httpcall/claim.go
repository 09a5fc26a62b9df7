package httpcall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"callfleet/internal/blob"
	"callfleet/internal/call"
	"callfleet/internal/httpcall/content"
)

// Claims keeps bodies that are too large to travel. Its methods are safe for
// concurrent use, and end with their context.
type Claims interface {
	// Ready reports whether there is a place for bodies at all.
	Ready() bool
	// Keep puts the body of an answer to the request id, and returns what stands
	// for it. The error is blob.ErrNone when there is no place for it.
	Keep(ctx context.Context, id, contentType string, body io.Reader) (call.BlobRef, error)
	// Open opens what ref stands for. Errors, those of reading too, are
	// *call.Failure, or the cause of ctx.
	Open(ctx context.Context, ref call.BlobRef) (io.ReadCloser, error)
}

// errBlob marks trouble with a body that is kept elsewhere.
type errBlob struct {
	failure   *call.Failure
	permanent bool // another attempt would end the same way
}

func (e *errBlob) Error() string { return e.failure.Error() }

// blobError marks what Claims said, unless it is that of a context.
func blobError(err error) error {
	if f, ok := errors.AsType[*call.Failure](err); ok {
		return &errBlob{f, f.Name != call.BlobUnavailable}
	}
	return err
}

// inline is the largest body that a result holds. Less than the client's own
// limit only where a larger body has another place.
func (o Options) inline(most int) int {
	if most > 0 && o.Claims != nil {
		return min(most, o.MaxBody)
	}
	return o.MaxBody
}

// readInline reads an answer of at most limit bytes, and keeps a larger one.
func (c *Client) readInline(ctx context.Context, p *plan, limit int, res *http.Response, rep *reply) error {
	body, err := content.Read(res, limit, p.gunzip)
	var large *content.TooLarge
	switch {
	case errors.As(err, &large):
		return c.readLarge(ctx, p, res, rep, large)
	case err != nil:
		return err
	case c.opts.Claims != nil && p.growsTooLarge(rep, body):
		rep.ref, err = c.keep(ctx, p, rep.header.Get("Content-Type"), bytes.NewReader(body))
		return err
	}
	rep.body = body
	return nil
}

// readLarge keeps what is too large to travel.
func (c *Client) readLarge(ctx context.Context, p *plan, res *http.Response, rep *reply, large *content.TooLarge) (err error) {
	switch {
	case c.opts.Claims == nil:
		return large
	case !p.gunzip && res.ContentLength > c.opts.MaxClaim:
		return &content.TooLarge{Limit: c.opts.MaxClaim}
	}
	rep.ref, err = c.keep(ctx, p, rep.header.Get("Content-Type"), io.MultiReader(bytes.NewReader(large.Head), large.Rest))
	return err
}

// growth is how much longer a text can become as a JSON string.
const growth = 6

// growsTooLarge reports whether a body is too large as JSON, which quotes text
// and encodes what is none.
func (p *plan) growsTooLarge(rep *reply, body []byte) bool {
	if len(body) <= p.inline/growth {
		return false
	}
	value, _ := content.Classify(rep.header.Get("Content-Type"), body)
	return len(value) > p.inline
}

// keep streams a body to where the result refers to it.
func (c *Client) keep(ctx context.Context, p *plan, contentType string, body io.Reader) (*call.BlobRef, error) {
	in := &content.Bounded{From: body, Limit: c.opts.MaxClaim}
	contentType, kept := p.sealed.scrubLarge(contentType, in)
	ref, err := c.opts.Claims.Keep(ctx, p.key, contentType, kept)
	switch {
	case in.Err != nil: // it is the answer that is broken
		return nil, in.Err
	case errors.Is(err, blob.ErrNone):
		return nil, &errBlob{&call.Failure{Name: call.ResponseTooLarge, Cause: fmt.Sprintf("the body is larger than %d bytes, and %v", p.inline, err)}, true}
	case err != nil:
		if _, ok := errors.AsType[*call.Failure](err); ok {
			return nil, blobError(err)
		}
		return nil, keepFailed(err)
	}
	return &ref, nil
}

// noPlace reports a template that wants bodies kept, whatever their size, where
// there is no place for them: it is known before anything is sent.
func (c *Client) noPlace(p *plan) bool {
	return p.response != nil && p.response.Body == call.BodyKept && (c.opts.Claims == nil || !c.opts.Claims.Ready())
}

func keepFailed(err error) error {
	cause := "the answer is too large to travel and could not be kept: " + err.Error()
	return &errBlob{&call.Failure{Name: call.BlobUnavailable, Cause: cause}, errors.Is(err, blob.ErrRefused)}
}

// withPayload gives a request the body that is kept elsewhere, or has parts that
// are, anew each time it is sent. When reading it breaks, the request ends, with that as its cause: the
// server would wait for the rest.
func (c *Client) withPayload(req *http.Request, p *plan) (with *http.Request, done func()) {
	ctx, cancel := context.WithCancelCause(req.Context())
	with = req.WithContext(ctx)
	text := req.GetBody
	with.GetBody = func() (io.ReadCloser, error) {
		open := func(ref call.BlobRef) (io.ReadCloser, error) { return c.opts.Claims.Open(ctx, ref) }
		if p.payload != nil {
			body, err := open(*p.payload)
			if err != nil {
				return nil, blobError(err)
			}
			return &payload{body, cancel}, nil
		}
		around, err := text()
		return &payload{content.Assemble(around, p.inserts, open), cancel}, err
	}
	return with, func() { cancel(nil) }
}

// payload is the body of a request on its way.
type payload struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

// Read implements io.Reader.
func (p *payload) Read(buf []byte) (int, error) {
	n, err := p.ReadCloser.Read(buf)
	if err != nil && err != io.EOF {
		err = blobError(err)
		p.cancel(err)
	}
	return n, err
}

// rewind gives the request its body once more.
func rewind(req *http.Request) (err error) {
	if req.GetBody != nil {
		req.Body, err = req.GetBody()
	}
	return err
}
