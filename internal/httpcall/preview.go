package httpcall

import (
	"net/http"

	"callfleet/internal/call"
)

// Preview is the request that Do would send first, body included, without a
// trace context. The error is a *call.Failure.
func (c *Client) Preview(r call.Rendered, idempotencyKey string) (*http.Request, error) {
	p, err := c.plan(r, idempotencyKey)
	if err != nil {
		return nil, err
	}
	if p.request.GetBody != nil {
		if p.request.Body, err = p.request.GetBody(); err != nil {
			return nil, err
		}
	}
	return p.request, nil
}
