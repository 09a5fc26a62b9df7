package httpcall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"callfleet/internal/call"
	"callfleet/internal/httpcall/content"
)

// maxSelecting is how much of larger answers all calls of a client hold at a
// time to select from. A call waits for room, within the time of its attempt.
const maxSelecting = 64 << 20

// end is the result of an answer, or the failure that the template makes of it.
func (p *plan) end(rep reply) (call.Result, error) {
	if name := p.response.Fails(rep.status); name != "" {
		return call.Result{}, p.failure(&fault{name: name, reason: fmt.Sprintf("answered %d", rep.status)})
	}
	if rep.encoded != "" {
		return call.Result{}, p.failure(&fault{name: call.ResponseEncoded, reason: fmt.Sprintf(
			"answered %d in %s, which was not asked for and is not undone: secrets of the call would not be seen in it, so it is not passed on; "+
				`"response": {"body": "none"} takes the answer without its body`, rep.status, rep.encoded)})
	}
	if rep.missing != "" {
		return call.Result{}, p.failure(&fault{name: call.SelectFailed, reason: fmt.Sprintf("answered %d, and %s", rep.status, rep.missing)})
	}
	return p.result(rep), nil
}

// read reads the answer to its end, or keeps it, or what the template wants of
// it.
func (c *Client) read(req *http.Request, p *plan, res *http.Response, rep *reply) error {
	if req.Method == http.MethodHead {
		return nil // the length is that of another answer
	}
	use, selector := p.response.Of(res.StatusCode)
	if use != call.BodyNone {
		rep.encoded = p.hides(res)
	}
	switch {
	case use == call.BodyNone || rep.encoded != "":
		rep.unread = true
		leaveUnread(res)
		return nil
	case selector != nil:
		return c.readSelected(req.Context(), p, selector, res, rep)
	case use == call.BodyKept:
		return c.readInline(req.Context(), p, 0, res, rep)
	}
	return c.readInline(req.Context(), p, p.inline, res, rep)
}

// leaveUnread reads what is cheaper to read than a new connection. What becomes
// of it is nobody's concern: the answer is there.
func leaveUnread(res *http.Response) {
	const cheap = 64 << 10
	if res.ContentLength <= cheap {
		_, _ = io.CopyN(io.Discard, res.Body, cheap+1)
	}
}

// readSelected reads an answer and selects from it. One that is too large for
// that has nothing to select, and is kept.
func (c *Client) readSelected(ctx context.Context, p *plan, selector call.Selector, res *http.Response, rep *reply) error {
	body, large, release, err := c.readWhole(ctx, p, res)
	if err != nil {
		return err
	}
	defer release()
	rep.selected = true
	if large != nil {
		rep.body, rep.missing = selector.Select(nil)
		if rep.missing != "" {
			return nil
		}
		return c.readLarge(ctx, p, res, rep, large)
	}
	contentType := res.Header.Get("Content-Type")
	if p.sealed != nil && p.sealed.grant != nil {
		body = p.sealed.grant.Scrub(nil, body)
	}
	rep.body, rep.missing = selector.Select(body)
	if rep.missing != "" {
		return nil
	}
	fits := len(rep.body) <= p.inline
	switch {
	case p.response.Body == call.BodyKept && len(body) > 0:
		rep.ref, err = c.keep(ctx, p, contentType, bytes.NewReader(body))
	case !fits && c.opts.Claims == nil:
		return &content.TooLarge{Limit: int64(p.inline)}
	case !fits:
		rep.ref, err = c.keep(ctx, p, "application/json", bytes.NewReader(rep.body))
	}
	if !fits {
		rep.body = nil
	}
	return err
}

// readWhole reads an answer to select from. What is larger than a result may be
// waits for room first, which release gives back. large is set in place of body
// when the answer is too large.
func (c *Client) readWhole(ctx context.Context, p *plan, res *http.Response) (body []byte, large *content.TooLarge, release func(), err error) {
	body, err = content.Read(res, p.inline, p.gunzip)
	if !errors.As(err, &large) {
		if body == nil {
			body = []byte{}
		}
		return body, nil, func() {}, err
	}
	known, limit := large.Head == nil, int64(c.opts.MaxSelect)
	if known && res.ContentLength > limit {
		return nil, large, func() {}, nil
	}
	if known {
		limit = res.ContentLength
	}
	weight := min(limit, maxSelecting)
	if err := c.selecting.Acquire(ctx, weight); err != nil {
		return nil, nil, nil, err
	}
	release = func() { c.selecting.Release(weight) }
	if known {
		body, err = content.Read(res, int(limit), false)
	} else {
		body, err = content.ReadAll(io.MultiReader(bytes.NewReader(large.Head), large.Rest), int(limit))
	}
	if large = nil; errors.As(err, &large) {
		return nil, large, release, nil
	}
	if err != nil {
		release()
		return nil, nil, nil, err
	}
	_, _ = io.CopyN(io.Discard, res.Body, maxDiscard) // the end of what was compressed
	return body, nil, release, nil
}
