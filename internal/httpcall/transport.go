package httpcall

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"syscall"
	"time"
)

// A call that waits on a slow API costs its connection: two goroutines of
// net/http and these two buffers. Bodies larger than a buffer pass by it.
const (
	readBuffer     = 2 << 10
	writeBuffer    = 1 << 10
	maxHeaderBytes = 64 << 10
)

func newTransport(o Options) *http.Transport {
	d := &net.Dialer{Timeout: o.DialTimeout, KeepAlive: 30 * time.Second}
	if o.Egress != nil {
		d.Control = egressControl(o.Egress)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(o.HTTP2)
	t := &http.Transport{
		DialContext:            d.DialContext,
		TLSClientConfig:        o.TLS.Clone(),
		TLSHandshakeTimeout:    o.TLSTimeout,
		ResponseHeaderTimeout:  o.HeaderTimeout,
		MaxIdleConns:           0, // bounded by host and by IdleConnTimeout
		MaxIdleConnsPerHost:    o.Slots,
		IdleConnTimeout:        60 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ReadBufferSize:         readBuffer,
		WriteBufferSize:        writeBuffer,
		Protocols:              protocols,
	}
	if o.HTTP2 {
		// A connection that many calls share is pinged when it falls silent,
		// so that its death is not found out by each call's own timeout.
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}
	}
	return t
}

// errDenied marks a dial that the egress rule forbids.
type errDenied struct {
	addr   netip.AddrPort
	reason error
}

func (e *errDenied) Error() string {
	return fmt.Sprintf("address %s is not allowed: %v", e.addr, e.reason)
}

func (e *errDenied) Unwrap() error { return e.reason }

// egressControl runs between DNS and connect, so a name that resolves
// differently on a second look cannot slip through.
func egressControl(allow func(netip.AddrPort) error) func(string, string, syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("parse address: %w", err)
		}
		ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
		if err := allow(ap); err != nil {
			return &errDenied{addr: ap, reason: err}
		}
		return nil
	}
}

// errRedirects marks an answer that sends the client round and round.
var errRedirects = errors.New("too many redirects")

// redirectPolicy follows at most limit redirects. Headers of the template may
// be credentials whatever their names, so on the way to another origin, or
// from https down to http, only harmless ones are kept.
func redirectPolicy(limit int) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if len(via) > limit {
			return fmt.Errorf("%w: %d, the last to %s", errRedirects, limit, bareURL(req.URL))
		}
		if leaves(req.URL, via) {
			for name := range req.Header {
				if !harmless(name) {
					delete(req.Header, name)
				}
			}
		}
		return nil
	}
}

// leaves reports whether any hop so far was to another origin than the first.
func leaves(next *url.URL, via []*http.Request) bool {
	first := via[0].URL
	for _, r := range via[1:] {
		if !sameOrigin(first, r.URL) {
			return true
		}
	}
	return !sameOrigin(first, next)
}

func sameOrigin(a, b *url.URL) bool {
	if a.Scheme == "https" && b.Scheme != "https" {
		return false
	}
	if a.Scheme == b.Scheme {
		return a.Host == b.Host
	}
	return a.Hostname() == b.Hostname() && a.Port() == "" && b.Port() == "" // http to https
}

// harmless names the headers that go along to another origin.
func harmless(name string) bool {
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Accept", "Accept-Language", "Accept-Encoding", "Content-Type", "Content-Language",
		"Idempotency-Key", "Traceparent", "User-Agent":
		return true
	}
	return false
}
