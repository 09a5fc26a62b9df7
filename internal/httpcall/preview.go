package httpcall

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"callfleet/internal/call"
)

// Preview is the request that Do would send first, body included, without a
// trace context, and with words in place of a body that is kept elsewhere. The
// error is a *call.Failure.
func (c *Client) Preview(r call.Rendered, idempotencyKey string) (*http.Request, error) {
	p, err := c.plan(r, idempotencyKey)
	if err != nil {
		return nil, err
	}
	if ref := p.payload; ref != nil {
		words := fmt.Sprintf("(%d bytes, sha256 %s)", ref.Bytes, ref.SHA256)
		p.request.ContentLength, p.request.Body = int64(len(words)), io.NopCloser(strings.NewReader(words))
	}
	if p.request.GetBody != nil {
		if p.request.Body, err = p.request.GetBody(); err != nil {
			return nil, err
		}
	}
	return p.request, nil
}
