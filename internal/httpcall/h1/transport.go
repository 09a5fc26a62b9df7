// Package h1 is an HTTP/1.1 transport for very many calls that wait: a call
// runs in the goroutine of its caller alone, and what it holds while it waits
// is its connection and one small buffer. (net/http has two more goroutines
// for each connection, which is more memory than all the rest of a call.) The
// wire format is that of net/http's own Request.Write and ReadResponse.
package h1

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Options are the settings of a Transport.
type Options struct {
	// Dial opens a connection; nil is net.Dialer's DialContext.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Proxy returns the proxy for a URL, whose scheme is http or https, and is
	// asked once for each connection; a nil URL is none. Nil is none for any.
	Proxy func(*url.URL) (*url.URL, error)
	// DialProxy opens a connection to a proxy; nil is net.Dialer's DialContext.
	DialProxy func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is the client's configuration; nil is Go's own. Below TLS 1.2 it does
	// not go.
	TLS *tls.Config
	// TLSTimeout bounds a handshake, with a proxy too. Default 10 s.
	TLSTimeout time.Duration
	// HeaderTimeout bounds the wait for the head of an answer once the request
	// is sent. Default: the context's deadline.
	HeaderTimeout time.Duration
	// IdlePerHost is the number of idle connections kept for a host. Default 2.
	IdlePerHost int
	// IdleTimeout is how long they are kept. Default 60 s.
	IdleTimeout time.Duration
	// MaxHeader bounds the head of an answer in bytes. Default 64 KiB.
	MaxHeader int
}

// Transport keeps connections and makes calls on them. Its methods are safe
// for concurrent use.
type Transport struct {
	opts Options
	pool *pool
}

var _ http.RoundTripper = (*Transport)(nil)

// What callers branch on, besides the errors of net, tls and the context.
var (
	// ErrNoAnswer says that the connection ended before a byte of an answer.
	ErrNoAnswer = errors.New("the connection was closed before an answer")
	// ErrHeaderTooLarge says that the head of an answer is above MaxHeader.
	ErrHeaderTooLarge = errors.New("the head of the answer is too large")
	// ErrHeaderTimeout says that no answer began within HeaderTimeout.
	ErrHeaderTimeout = errors.New("timeout while waiting for the head of the answer")
	// ErrTLSTimeout says that a handshake took longer than TLSTimeout.
	ErrTLSTimeout = errors.New("timeout of the TLS handshake")
	// ErrProxyTimeout says that a proxy took longer than TLSTimeout to open a
	// tunnel.
	ErrProxyTimeout = errors.New("timeout while the proxy opened a tunnel")
	// ErrProxyHost says that a request through a proxy names another host in its
	// header than in its URL: it would go to that one.
	ErrProxyHost = errors.New("a Host header that is not the URL's cannot pass through a proxy")
)

// New returns a transport; it opens no connection.
func New(o Options) *Transport {
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.DialProxy == nil {
		o.DialProxy = (&net.Dialer{}).DialContext
	}
	o.TLSTimeout = cmp.Or(o.TLSTimeout, 10*time.Second)
	o.IdlePerHost = cmp.Or(o.IdlePerHost, 2)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 60*time.Second)
	o.MaxHeader = cmp.Or(o.MaxHeader, 64<<10)
	if o.TLS == nil {
		o.TLS = &tls.Config{}
	}
	o.TLS = o.TLS.Clone()
	o.TLS.MinVersion = max(o.TLS.MinVersion, tls.VersionTLS12)
	o.TLS.NextProtos = nil // this is HTTP/1.1
	if o.TLS.ClientSessionCache == nil {
		o.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(256)
	}
	return &Transport{opts: o, pool: newPool(o.IdlePerHost, o.IdleTimeout)}
}

// CloseIdleConnections drops the idle connections.
func (t *Transport) CloseIdleConnections() { t.pool.clear() }

// RoundTrip sends req and returns the head of the answer; the body is read
// from the connection, and must be closed. The error is the cause of the
// request's context when that has ended. A request that may be repeated is
// sent again when a kept connection turns out to have been closed.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	for {
		c, err := t.connection(req.Context(), req.URL)
		if err != nil {
			closeBody(req)
			return nil, ended(req.Context(), err)
		}
		if !c.passes(req) {
			closeBody(req)
			t.pool.put(c)
			return nil, ErrProxyHost
		}
		res, err := c.exchange(req)
		if err == nil {
			return res, nil
		}
		c.Close()
		if !c.reused || !errors.Is(err, ErrNoAnswer) || req.Context().Err() != nil || !repeatable(req) {
			return nil, ended(req.Context(), err)
		}
		if req.GetBody != nil {
			again := *req
			if again.Body, err = req.GetBody(); err != nil {
				return nil, fmt.Errorf("rewind body: %w", err)
			}
			req = &again
		}
	}
}

// connection returns a kept connection that is alive, or a new one.
func (t *Transport) connection(ctx context.Context, u *url.URL) (*conn, error) {
	key := u.Scheme + "://" + u.Host
	for {
		c := t.pool.get(key)
		if c == nil {
			break
		}
		if c.alive() && !c.unasked() {
			c.reused = true
			return c, nil
		}
		c.Close()
	}
	// Dialling takes deep stacks (DNS, certificates), which a goroutine that
	// waits afterwards would keep. It ends with ctx.
	type dialed struct {
		c   *conn
		err error
	}
	done := make(chan dialed, 1)
	go func() {
		c, err := t.dial(ctx, u, key)
		done <- dialed{c, err}
	}()
	d := <-done
	return d.c, d.err
}

func (t *Transport) dial(ctx context.Context, u *url.URL, key string) (*conn, error) {
	proxy, err := t.proxy(u)
	if err != nil {
		return nil, err
	}
	c := &conn{key: key, transport: t}
	if proxy == nil {
		c.raw, err = t.opts.Dial(ctx, "tcp", hostPort(u))
		c.Conn, c.direct = c.raw, true
	} else {
		err = t.dialProxy(ctx, c, proxy, u)
	}
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" {
		return c, nil
	}
	secure, err := t.handshake(ctx, c.Conn, u.Hostname())
	if err != nil {
		c.raw.Close()
		return nil, err
	}
	c.Conn = secure
	return c, nil
}

// handshake speaks TLS over raw, which stays the caller's to close.
func (t *Transport) handshake(ctx context.Context, raw net.Conn, host string) (net.Conn, error) {
	cfg := t.opts.TLS
	if cfg.ServerName == "" {
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	secure := tls.Client(raw, cfg)
	ctx, cancel := context.WithTimeoutCause(ctx, t.opts.TLSTimeout, ErrTLSTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		if errors.Is(context.Cause(ctx), ErrTLSTimeout) {
			return nil, ErrTLSTimeout
		}
		return nil, err
	}
	return secure, nil
}

// hostPort is where the server of u is.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// Peer is the address of the server that res comes from; the zero Addr behind a
// proxy, or when res is of no Transport.
func Peer(res *http.Response) netip.Addr {
	b, ok := res.Body.(*body)
	if !ok || !b.conn.direct {
		return netip.Addr{}
	}
	to, err := netip.ParseAddrPort(b.conn.raw.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return to.Addr()
}

// ended is the cause of ctx when it has ended, whatever came of that.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// repeatable is net/http's rule: the method is idempotent, or the request says
// that it is.
func repeatable(req *http.Request) bool {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return req.Header.Get("Idempotency-Key") != ""
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// body is the body of an answer, with the connection it comes on.
type body struct {
	io.Reader
	conn     *conn
	settled  bool
	reusable bool
}

// Read gives the connection back at the end of the body.
func (b *body) Read(p []byte) (int, error) {
	if b.settled {
		return 0, io.EOF
	}
	n, err := b.Reader.Read(p)
	if err != nil {
		if err != io.EOF {
			err = ended(b.conn.ctx, err)
		}
		b.settle(err == io.EOF)
	}
	return n, err
}

// Close drops a connection with a body that was not read to its end, for
// nobody knows how much of it there is.
func (b *body) Close() error {
	b.settle(false)
	return nil
}

func (b *body) settle(whole bool) {
	if !b.settled {
		b.settled = true
		b.conn.release(whole && b.reusable)
	}
}
