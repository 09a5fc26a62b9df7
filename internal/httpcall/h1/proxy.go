package h1

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// proxy returns the proxy for u, or nil.
func (t *Transport) proxy(u *url.URL) (*url.URL, error) {
	if t.opts.Proxy == nil {
		return nil, nil
	}
	proxy, err := t.opts.Proxy(u)
	if err != nil || proxy == nil {
		return nil, err
	}
	if proxy.Scheme != "http" && proxy.Scheme != "https" {
		return nil, fmt.Errorf("use proxy %s: its scheme is neither http nor https", proxy.Host)
	}
	return proxy, nil
}

// dialProxy makes c a connection to the proxy, and beyond it a tunnel to an
// https server.
func (t *Transport) dialProxy(ctx context.Context, c *conn, proxy, u *url.URL) error {
	var err error
	if c.raw, err = t.opts.DialProxy(ctx, "tcp", hostPort(proxy)); err != nil {
		return fmt.Errorf("reach the proxy: %w", err)
	}
	c.Conn = c.raw
	if proxy.Scheme == "https" {
		if c.Conn, err = t.handshake(ctx, c.raw, proxy.Hostname()); err != nil {
			c.raw.Close()
			return fmt.Errorf("reach the proxy: %w", err)
		}
	}
	if u.Scheme != "https" {
		c.proxy = proxy
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, t.opts.TLSTimeout, ErrProxyTimeout)
	defer cancel()
	if err := t.tunnel(ctx, c.Conn, proxy, hostPort(u)); err != nil {
		c.raw.Close()
		return ended(ctx, err)
	}
	return nil
}

// tunnel asks the proxy for one (RFC 9110, section 9.3.6).
func (t *Transport) tunnel(ctx context.Context, to net.Conn, proxy *url.URL, target string) error {
	stop := context.AfterFunc(ctx, func() { to.SetDeadline(past) })
	head := "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n"
	if auth := proxyAuth(proxy); auth != "" {
		head += "Proxy-Authorization: " + auth + "\r\n"
	}
	if _, err := io.WriteString(to, head+"\r\n"); err != nil {
		stop()
		return fmt.Errorf("ask the proxy for a tunnel: %w", err)
	}
	r := bufio.NewReader(io.LimitReader(to, int64(t.opts.MaxHeader)))
	res, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	switch inTime := stop(); {
	case err != nil:
		return fmt.Errorf("ask the proxy for a tunnel: %w", err)
	case !inTime:
		return context.Cause(ctx)
	case res.StatusCode < 200 || res.StatusCode > 299:
		return fmt.Errorf("the proxy answers %d when asked for a tunnel", res.StatusCode)
	case r.Buffered() > 0:
		return errors.New("the proxy speaks before the server is asked")
	}
	return nil
}

// passes reports whether the request may be sent on c: to a proxy only when
// its URL alone says where it goes, for a Host header takes the place of the
// URL's host there.
func (c *conn) passes(req *http.Request) bool {
	return c.proxy == nil || req.Host == "" || req.Host == req.URL.Host
}

// writeProxy writes a request in the form for proxies. Headers for proxies come
// from the settings, not from the request.
func writeProxy(w io.Writer, req *http.Request, proxy *url.URL) error {
	own := *req
	own.Header = req.Header.Clone()
	if own.Header == nil {
		own.Header = make(http.Header)
	}
	for name := range own.Header {
		if strings.HasPrefix(http.CanonicalHeaderKey(name), "Proxy-") {
			delete(own.Header, name)
		}
	}
	if auth := proxyAuth(proxy); auth != "" {
		own.Header.Set("Proxy-Authorization", auth)
	}
	return own.WriteProxy(w)
}

// proxyAuth is the value of Proxy-Authorization, "" without a name.
func proxyAuth(proxy *url.URL) string {
	if proxy.User == nil {
		return ""
	}
	password, _ := proxy.User.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(proxy.User.Username()+":"+password))
}
