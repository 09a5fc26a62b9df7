package egress

import (
	"net/netip"
	"strings"
	"testing"
)

func TestClasses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0.0.0.0": "unspecified", "0.255.255.255": "unspecified", "10.0.0.0": "private", "10.255.255.255": "private",
		"100.64.0.0": "carrier", "100.127.255.255": "carrier", "100.100.100.200": "metadata", "127.0.0.1": "loopback", "127.255.255.255": "loopback",
		"168.63.129.16": "platform", "169.254.0.0": "link-local", "169.254.169.254": "metadata", "169.254.170.2": "ECS", "169.254.170.23": "EKS",
		"169.254.255.255": "link-local", "172.16.0.0": "private", "172.31.255.255": "private", "192.0.0.8": "protocols", "192.0.0.192": "metadata",
		"192.0.2.255": "documentation", "192.88.99.1": "6to4", "192.168.255.255": "private", "198.18.0.0": "benchmarks", "198.19.255.255": "benchmarks",
		"198.51.100.1": "documentation", "203.0.113.1": "documentation", "224.0.0.0": "multicast", "239.255.255.255": "multicast",
		"240.0.0.0": "reserved", "255.255.255.254": "reserved", "255.255.255.255": "broadcast",
		"::": "unspecified", "::1": "loopback", "::2": "IPv4-compatible", "::7f00:1": "IPv4-compatible", "::ffff:0:7f00:1": "reserved",
		"64:ff9b::a00:1": "private, as 10.0.0.1", "64:ff9b::a9fe:a9fe": "metadata", "64:ff9b:1::808:808": "local NAT64", "100::1": "reserved",
		"2001::f7f7:f7f7": "Teredo", "2001:1ff::1": "protocols", "2001:db8::1": "documentation", "2002:808:808::1": "6to4", "3ffe::1": "reserved",
		"3fff:fff::1": "documentation", "4000::1": "reserved", "5f00::1": "reserved", "fc00::1": "unique-local", "fd00:ec2::254": "metadata",
		"fd00:ec2::23": "EKS", "fd20:ce::254": "metadata", "fdff:ffff::1": "unique-local", "fe80::1": "link-local", "febf::1": "link-local",
		"fec0::1": "site-local", "ff02::1": "multicast", "2a00:1450::5efe:a00:1": "private, as 10.0.0.1", "2a00:1450::200:5efe:7f00:1": "loopback, as 127.0.0.1",
	} {
		if c, ok := classify(netip.MustParseAddr(text)); !ok || !strings.Contains(c.name, want) {
			t.Errorf("%s is %q, %t, want %q", text, c.name, ok, want)
		}
	}
	for _, text := range []string{
		"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0",
		"172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"8.8.8.8", "168.63.129.15", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700::1111", "3ffd::1", "2a00:1450::5efe:808:808", "64:ff9b::808:808",
	} {
		if c, ok := classify(netip.MustParseAddr(text)); ok {
			t.Errorf("%s is %q, want it public", text, c.name)
		}
	}
}

// FuzzAddress holds the classes against what the standard library knows, and
// the forms of one IPv4 address against each other.
func FuzzAddress(f *testing.F) {
	for _, text := range []string{"127.0.0.1", "8.8.8.8", "::1", "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1", "169.254.169.254", "2001:4860::5efe:a00:1"} {
		b := netip.MustParseAddr(text).As16()
		f.Add(b[:], uint16(443))
	}
	policy := New(Options{})
	f.Fuzz(func(t *testing.T, bytes []byte, port uint16) {
		if len(bytes) != 16 {
			return
		}
		target, err := policy.Target("api.example", 443)
		if err != nil {
			t.Fatal(err)
		}
		whole := netip.AddrFrom16([16]byte(bytes))
		a := whole.Unmap()
		err = target.Address(a)
		if whole != a && (target.Address(whole) == nil) != (err == nil) {
			t.Errorf("%s and %s are not judged alike", whole, a)
		}
		if whole.WithZone("eth0").Zone() != "" && (target.Address(whole.WithZone("eth0")) == nil) != (err == nil) {
			t.Errorf("%s is judged by its zone", whole)
		}
		if err == nil && (!a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsMulticast() || a.IsUnspecified() || a.IsLinkLocalUnicast()) {
			t.Errorf("%s is allowed", a)
		}
		if inner := within(a); err == nil && inner.IsValid() && target.Address(inner) != nil {
			t.Errorf("%s is allowed, %s within it is not", a, inner)
		}
		last := netip.AddrFrom4([4]byte(bytes[12:]))
		prefixed := nat64.Addr().As16()
		copy(prefixed[12:], bytes[12:])
		if (target.Address(last) == nil) != (target.Address(netip.AddrFrom16(prefixed)) == nil) {
			t.Errorf("%s is judged otherwise through NAT64", last)
		}
		if other, _ := policy.Target("api.example", port); other.Address(a) == nil && !DefaultPorts().contains(port) {
			t.Errorf("port %d is open", port)
		}
	})
}
