package egress

import "net/netip"

// lift is what it takes to allow an address of a class.
type lift int

const (
	byName    lift = iota // a rule that names the host, or one for the address
	byNetwork             // a rule for the address or its network
	byAddress             // a rule for this one address
)

// class is a range of addresses that no public API has.
type class struct {
	prefix netip.Prefix
	name   string // as causes show it: "10.0.0.1 is …"
	lift   lift
}

// classes are the IANA special-purpose registries (IPv4, RFC 6890 and its
// followers; IPv6, those in 2000::/3), and above them the addresses at which
// clouds hand out credentials to whoever asks from inside. The first match
// counts.
var classes = []class{
	{host("169.254.169.254"), "a cloud's metadata service", byAddress}, // AWS, Azure, Google, Oracle, …
	{host("169.254.170.2"), "the credentials service of ECS", byAddress},
	{host("169.254.170.23"), "the credentials service of EKS", byAddress},
	{host("fd00:ec2::254"), "a cloud's metadata service", byAddress}, // AWS
	{host("fd00:ec2::23"), "the credentials service of EKS", byAddress},
	{host("fd20:ce::254"), "a cloud's metadata service", byAddress},    // Google
	{host("100.100.100.200"), "a cloud's metadata service", byAddress}, // Alibaba
	{host("192.0.0.192"), "a cloud's metadata service", byAddress},     // Oracle, old
	{host("169.254.42.42"), "a cloud's metadata service", byAddress},   // Scaleway
	{host("fd00:42::42"), "a cloud's metadata service", byAddress},     // Scaleway
	{host("168.63.129.16"), "a cloud's platform service", byAddress},   // Azure, at a public address

	{net("0.0.0.0/8"), "this very host (unspecified)", byNetwork},
	{net("10.0.0.0/8"), "private", byName},
	{net("100.64.0.0/10"), "shared by a carrier's NAT", byName},
	{net("127.0.0.0/8"), "loopback", byName},
	{net("169.254.0.0/16"), "link-local", byNetwork},
	{net("172.16.0.0/12"), "private", byName},
	{net("192.0.0.0/24"), "reserved for protocols", byNetwork},
	{net("192.0.2.0/24"), "for documentation", byNetwork},
	{net("192.88.99.0/24"), "a 6to4 relay", byNetwork},
	{net("192.168.0.0/16"), "private", byName},
	{net("198.18.0.0/15"), "for benchmarks", byNetwork},
	{net("198.51.100.0/24"), "for documentation", byNetwork},
	{net("203.0.113.0/24"), "for documentation", byNetwork},
	{net("224.0.0.0/4"), "multicast", byNetwork},
	{net("255.255.255.255/32"), "broadcast", byNetwork},
	{net("240.0.0.0/4"), "reserved", byNetwork},

	{net("::1/128"), "loopback", byName},
	{net("::/128"), "this very host (unspecified)", byNetwork},
	{net("::/96"), "an IPv4 address within IPv6 (IPv4-compatible)", byNetwork},
	{net("64:ff9b:1::/48"), "an IPv4 address within IPv6 (local NAT64)", byNetwork},
	{net("2001::/32"), "an IPv4 address within IPv6 (Teredo)", byNetwork},
	{net("2001::/23"), "reserved for protocols", byNetwork},
	{net("2001:db8::/32"), "for documentation", byNetwork},
	{net("2002::/16"), "an IPv4 address within IPv6 (6to4)", byNetwork},
	{net("3ffe::/16"), "reserved", byNetwork}, // the 6bone's, given back
	{net("3fff::/20"), "for documentation", byNetwork},
	{net("fc00::/7"), "unique-local", byName},
	{net("fe80::/10"), "link-local", byNetwork},
	{net("fec0::/10"), "site-local", byNetwork},
	{net("ff00::/8"), "multicast", byNetwork},
}

var (
	globalUnicast = net("2000::/3")
	nat64         = net("64:ff9b::/96")
	reserved      = class{net("::/0"), "reserved", byNetwork} // all IPv6 that is not assigned
)

func net(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func host(text string) netip.Prefix {
	a := netip.MustParseAddr(text)
	return netip.PrefixFrom(a, a.BitLen())
}

// classify returns the class of a, which is unmapped and has no zone; ok is
// false for an address that is public. An address that leads to an IPv4 one is
// of that one's class.
func classify(a netip.Addr) (c class, ok bool) {
	for _, c := range classes {
		if c.prefix.Contains(a) {
			return c, true
		}
	}
	if v4 := leadsTo(a); v4.IsValid() {
		if c, ok := classify(v4); ok {
			c.name += ", as " + v4.String() + " within IPv6"
			return c, true
		}
		return class{}, false
	}
	return reserved, a.Is6() && !globalUnicast.Contains(a)
}

// leadsTo is the IPv4 address that a packet to a may reach although a is not
// refused as such: NAT64's well-known prefix (RFC 6052), which networks without
// IPv4 need, and ISATAP (RFC 5214), which any prefix may have. Otherwise it is
// the zero Addr.
func leadsTo(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return netip.Addr{}
	}
	b := a.As16()
	isatap := b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
	if nat64.Contains(a) || isatap && globalUnicast.Contains(a) {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.Addr{}
}

// within is every IPv4 address that is written into a, for rules that deny it.
func within(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return netip.Addr{}
	}
	b := a.As16()
	switch {
	case net6to4.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	case teredo.Contains(a):
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})
	case compatible.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return leadsTo(a)
}

var (
	net6to4    = net("2002::/16")
	teredo     = net("2001::/32")
	compatible = net("::/96")
)
