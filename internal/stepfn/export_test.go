package stepfn

import "net/http"

// SetTransport puts a transport in place of the network.
func SetTransport(c *Client, rt http.RoundTripper) { c.http.Transport = rt }
