package httpcall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"callfleet/internal/httpcall/egress"
	"callfleet/internal/httpcall/h1"
)

// newTransport makes connections where the policy, which is that of o or made
// from it, allows it.
func newTransport(o Options, policy *egress.Policy) *h1.Transport {
	d := net.Dialer{Timeout: o.DialTimeout, KeepAlive: 30 * time.Second, Resolver: o.Resolver}
	g := &guard{policy: policy, dialer: d}
	return h1.New(h1.Options{
		Dial:          g.dial,
		Proxy:         g.proxy,
		DialProxy:     d.DialContext, // the settings' own choice
		TLS:           o.TLS,
		TLSTimeout:    o.TLSTimeout,
		HeaderTimeout: o.HeaderTimeout,
		IdlePerHost:   o.Slots,
	})
}

// guard opens connections where the policy allows it.
type guard struct {
	policy *egress.Policy
	dialer net.Dialer
}

// dial judges the name before it is looked up, and each of its addresses
// between DNS and connect: what was judged is what is dialled.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := splitHostPort(address)
	if err != nil {
		return nil, err
	}
	target, err := g.policy.Target(host, port)
	if err != nil {
		return nil, err
	}
	var tried atomic.Bool // some address was allowed
	d := g.dialer
	d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("parse address: %w", err)
		}
		if err := target.Address(to.Addr()); err != nil {
			return err
		}
		tried.Store(true)
		return nil
	}
	conn, err := d.DialContext(ctx, network, address)
	var denied *egress.Denied
	if errors.As(err, &denied) && tried.Load() {
		// The dialler tells of the first address alone. That another one may work
		// next time is what counts.
		return nil, errors.New("no address of the host that may be called takes the connection")
	}
	return conn, err
}

// proxy returns the proxy for u once the policy has judged u: behind a proxy
// nobody here sees the address.
func (g *guard) proxy(u *url.URL) (*url.URL, error) {
	proxy, err := g.policy.Proxy(u)
	if err != nil || proxy == nil {
		return nil, err
	}
	target, err := g.policy.Target(u.Hostname(), uint16(port(u)))
	if err != nil {
		return nil, err
	}
	return proxy, target.Proxied()
}

func splitHostPort(address string) (string, uint16, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("dial: %w", err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("dial %s: %w", host, err)
	}
	return host, uint16(port), nil
}
