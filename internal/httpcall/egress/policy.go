// Package egress decides where a call may go. A URL comes from a template and
// its params, and so from outside: without a policy it reaches what only the
// worker can reach, such as other services of a private network, or the address
// at which a cloud hands out credentials.
//
// The decision is made three times. Normalize gives the host its one form, or
// refuses it. Policy.Target judges name and port. Target.Address judges every
// address that the name has at the moment of dialling, so that a name whose
// answer changes gains nothing. Whoever follows a redirect asks again.
//
// Without settings, public addresses on DefaultPorts are allowed, and nothing
// else is. An allow rule lifts that for what it names; a deny rule wins over
// every other.
package egress

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Options are the settings of a Policy. The zero value allows public addresses
// on DefaultPorts.
type Options struct {
	// Allow lifts what would be refused: for a rule with a port, on that port;
	// for one without, on the open ports. A rule for names lifts private,
	// loopback, carrier-NAT and unique-local addresses; link-local ones and all
	// that no host has take a rule for the network, and a metadata service one
	// for its very address.
	Allow Rules
	// Deny refuses whatever else is said; a rule without a port, on all ports.
	Deny Rules
	// Ports are those that are open; nil is DefaultPorts.
	Ports Ports
	// OnlyAllowed refuses public addresses, too, that no rule allows.
	OnlyAllowed bool
	// Proxy returns the proxy that calls a URL for us, nil for none; nil is no
	// proxy for any.
	Proxy func(*url.URL) (*url.URL, error)
}

// Policy decides. It is immutable and safe for concurrent use.
type Policy struct {
	opts   Options
	strict bool // no rule lifts that an address is not public
}

// New returns a policy.
func New(o Options) *Policy {
	if o.Ports == nil {
		o.Ports = DefaultPorts()
	}
	return &Policy{opts: o}
}

// Redirected is the policy for a redirect by a public server: it leads to
// public addresses alone, for an allow rule is for what templates name, not for
// what a stranger does.
func (p *Policy) Redirected() *Policy { return &Policy{opts: p.opts, strict: true} }

// Inside reports whether the server of u, at a, is one that calls reach only
// because a rule allows it. Without an address (behind a proxy) its name tells.
func (p *Policy) Inside(u *url.URL, a netip.Addr) bool {
	host := u.Hostname()
	if literal, err := netip.ParseAddr(host); err == nil {
		a = literal
	}
	if a.IsValid() {
		_, special := classify(a.WithZone("").Unmap())
		return special
	}
	return privateName(host) || slices.ContainsFunc(p.opts.Allow, func(r Rule) bool { return r.matchesName(host) })
}

// Proxy returns the proxy that calls u, nil for none.
func (p *Policy) Proxy(u *url.URL) (*url.URL, error) {
	if p.opts.Proxy == nil {
		return nil, nil
	}
	return p.opts.Proxy(u)
}

// Target is a host and a port, as far as they can be judged without addresses.
type Target struct {
	policy *Policy
	host   string
	port   uint16
	named  bool // an allow rule names the host
}

// Target judges a host, as Normalize leaves it (without brackets), and a port.
// The error is a *Denied.
func (p *Policy) Target(host string, port uint16) (Target, error) {
	t := Target{policy: p, host: host, port: port}
	for _, r := range p.opts.Deny {
		if r.matchesName(host) && r.onPort(port, nil) {
			return t, t.deniedBy(netip.Addr{}, r)
		}
	}
	for _, r := range p.opts.Allow {
		t.named = t.named || r.matchesName(host) && r.onPort(port, p.opts.Ports)
	}
	return t, nil
}

// Address judges one address of the target, right before it is dialled. The
// error is a *Denied.
func (t Target) Address(a netip.Addr) error {
	a = a.WithZone("").Unmap()
	inner := within(a)
	for _, r := range t.policy.opts.Deny {
		if r.onPort(t.port, nil) && (r.matchesAddress(a) || r.matchesAddress(inner)) {
			return t.deniedBy(a, r)
		}
	}
	c, special := classify(a)
	lifted := t.named && (!special || c.lift == byName) || t.allowed(a, c)
	if lifted && !(special && t.policy.strict) {
		return nil
	}
	switch {
	case lifted:
		return t.inside(a, c.name)
	case special:
		return &Denied{Host: t.host, Address: a, Reason: c.name + " (" + c.prefix.String() + ")", WayOut: t.allow(a, c.lift != byName)}
	case !t.policy.opts.Ports.contains(t.port):
		return t.closed(a)
	case t.policy.opts.OnlyAllowed:
		return t.unlisted(a)
	}
	return nil
}

// allowed reports whether a rule for addresses allows a, which is of class c.
func (t Target) allowed(a netip.Addr, c class) bool {
	inner := leadsTo(a)
	for _, r := range t.policy.opts.Allow {
		if !r.onPort(t.port, t.policy.opts.Ports) || c.lift == byAddress && !r.single() {
			continue
		}
		if r.matchesAddress(a) || r.matchesAddress(inner) {
			return true
		}
	}
	return false
}

// Proxied judges a target that a proxy will look up and dial: an address as
// Address does, a name by itself alone. The error is a *Denied.
func (t Target) Proxied() error {
	if a, err := netip.ParseAddr(t.host); err == nil {
		return t.Address(a)
	}
	switch {
	case privateName(t.host) && t.named && t.policy.strict:
		return t.inside(netip.Addr{}, "a name of a private network")
	case t.named:
		return nil
	case !t.policy.opts.Ports.contains(t.port):
		return t.closed(netip.Addr{})
	case privateName(t.host):
		return &Denied{Host: t.host, Reason: "a name of a private network, and behind a proxy nobody here sees its address", WayOut: t.allow(netip.Addr{}, false)}
	case t.policy.opts.OnlyAllowed:
		return t.unlisted(netip.Addr{})
	}
	return nil
}

// privateName reports whether a name has no place in public DNS (RFC 6761,
// RFC 6762, RFC 8375, and ICANN's reservation of .internal): a proxy may still
// find an address for it.
func privateName(host string) bool {
	dot := strings.LastIndexByte(host, '.')
	switch host[dot+1:] {
	case "localhost", "local", "internal", "localdomain", "lan", "home", "corp", "intranet", "private", "test", "invalid", "onion":
		return true
	}
	return dot < 0 || host == "home.arpa" || strings.HasSuffix(host, ".home.arpa")
}

func (t Target) deniedBy(a netip.Addr, r Rule) *Denied {
	return &Denied{Host: t.host, Address: a, Reason: "denied by " + r.text + " of " + DenySetting}
}

func (t Target) closed(a netip.Addr) *Denied {
	return &Denied{
		Host: t.host, Address: a, Reason: "not to be called on port " + strconv.Itoa(int(t.port)) + ": open are " + t.policy.opts.Ports.String(),
		WayOut: t.allow(netip.Addr{}, false) + ", or the port in " + PortsSetting + " for all",
	}
}

func (t Target) inside(a netip.Addr, what string) *Denied {
	return &Denied{Host: t.host, Address: a, Reason: what + ", and a redirect by a public server does not lead there", WayOut: "call it by its own URL"}
}

func (t Target) unlisted(a netip.Addr) *Denied {
	return &Denied{
		Host: t.host, Address: a, Reason: "allowed by no rule, and " + DefaultSetting + " is none",
		WayOut: t.allow(netip.Addr{}, false),
	}
}

// allow is the narrowest setting that allows the target, by its address when
// its name is not enough.
func (t Target) allow(a netip.Addr, byAddress bool) string {
	host := t.host
	if byAddress {
		host = a.String()
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return AllowSetting + "=" + host + ":" + strconv.Itoa(int(t.port)) + " allows it"
}
