package httpcall

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"callfleet/internal/httpcall/h1"
)

func newTransport(o Options) *h1.Transport {
	d := &net.Dialer{Timeout: o.DialTimeout, KeepAlive: 30 * time.Second}
	if o.Egress != nil {
		d.Control = egressControl(o.Egress)
	}
	return h1.New(h1.Options{
		Dial:          d.DialContext,
		TLS:           o.TLS,
		TLSTimeout:    o.TLSTimeout,
		HeaderTimeout: o.HeaderTimeout,
		IdlePerHost:   o.Slots,
	})
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
