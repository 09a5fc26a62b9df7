package egress

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"api.example": "api.example", "API.Example:8080": "api.example:8080", "api.example.": "api.example", "api.example:": "api.example",
		"api.example:0080": "api.example:80", "a_b.example": "a_b.example", "bücher.example": "xn--bcher-kva.example", "BÜCHER.example:1": "xn--bcher-kva.example:1",
		"127.0.0.1": "127.0.0.1", "127.0.0.1.": "127.0.0.1", "１２７.０.０.１": "127.0.0.1", "①②⑦.⓪.⓪.①": "127.0.0.1", "127。0。0。1": "127.0.0.1",
		"ｌｏｃａｌｈｏｓｔ": "localhost", "loc\u00adalhost.": "localhost", "[::1]": "[::1]", "[::1]:80": "[::1]:80", "[0:0:0:0:0:0:0:1]:": "[::1]", "[FE80::A]": "[fe80::a]",
		"[::ffff:127.0.0.1]:80": "127.0.0.1:80", "[::ffff:7f00:1]": "127.0.0.1", "[::127.0.0.1]": "[::7f00:1]", "1.2.3.4.example": "1.2.3.4.example", "0x.example": "0x.example",
		"3com": "3com", "a.1b": "a.1b",
	} {
		u := &url.URL{Scheme: "http", Host: in}
		if err := Normalize(u); err != nil || u.Host != want {
			t.Errorf("%s becomes %s, %v, want %s", in, u.Host, err, want)
		}
	}
	for in, want := range map[string]string{
		"2130706433": "unusual form", "0x7f000001": "unusual form", "0177.0.0.1": "unusual form", "127.1": "unusual form", "127.0.1": "unusual form",
		"0x7f.1": "unusual form", "127.0.0.01": "unusual form", "127.0.0.0x1": "unusual form", "0": "unusual form", "a.0": "unusual form", "1.2.3.4.5": "unusual form",
		"256.1.1.1": "unusual form", "0x": "unusual form", "127.0.0.0X1": "unusual form", "127.0.0.1.:1": "",
		"..": "no valid host name", "a..b": "no valid host name", ".a": "no valid host name", "a..": "no valid host name", ".": "no valid host name",
		"a,b": "no valid host name", "a b": "no valid host name", "a%b": "no valid host name", "a*": "no valid host name", `a\b`: "no valid host name", "a'b": "no valid host name",
		"::1": "no valid host name", "[127.0.0.1]": "no IPv6 address", "[a]": "no IPv6 address", "[]": "no IPv6 address", "[::1%lo]": "zone", "[fe80::1%25eth0]": "zone",
		"\u2025\u2025": "international", "a\u202e.example": "international", strings.Repeat("a", 64): "no valid host name", strings.Repeat("a.", 127) + "a": "no valid host name",
		"a:0": "port that is none", "a:65536": "port that is none", "a:99999999999999999999": "port that is none",
	} {
		u := &url.URL{Scheme: "http", Host: in}
		err := Normalize(u)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v, want it taken", in, err)
			}
			continue
		}
		var denied *Denied
		if !errors.As(err, &denied) || !strings.Contains(denied.Reason, want) {
			t.Errorf("%s becomes %s, %v, want it refused: %s", in, u.Host, err, want)
		}
	}
}

// loose reads an IPv4 address as inet_aton does, in one to four parts, each
// decimal, octal or hexadecimal: some resolver will.
func loose(text string) (netip.Addr, bool) {
	parts := strings.Split(strings.TrimSuffix(text, "."), ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, part := range parts {
		base := 10
		switch {
		case strings.HasPrefix(part, "0x"):
			part, base = part[2:], 16
			if part == "" {
				part = "0"
			}
		case len(part) > 1 && part[0] == '0':
			base = 8
		}
		n, err := strconv.ParseUint(part, base, 32)
		rest := uint(4 - i) // bytes that this part may fill, if it is the last
		if err != nil || i < len(parts)-1 && n > 255 || i == len(parts)-1 && n>>(8*rest) != 0 {
			return netip.Addr{}, false
		}
		if i < len(parts)-1 {
			sum |= n << (8 * (3 - i))
		} else {
			sum |= n
		}
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true
}

// FuzzNormalize wants one form that stays what it is, and no host that anybody
// reads as another address than we do.
func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{
		"http://api.example/", "http://127.0.0.1:80", "http://0x7f.1/", "http://[::ffff:127.0.0.1]/", "http://a@b:1/", "http://１２７.1/", "http://2130706433:080/",
		"https://xn--bcher-kva.example", "http://[fe80::1%25lo]/", "http://a%b/", "http://a\\@b/", "http://127.0.0.1.:/", "http://0.0.0.0x", "http://%ff/",
	} {
		f.Add(seed)
	}
	policy := New(Options{})
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return
		}
		if Normalize(u) != nil {
			return
		}
		once := u.Host
		if err := Normalize(u); err != nil || u.Host != once {
			t.Fatalf("%q becomes %q, and that %q, %v", text, once, u.Host, err)
		}
		again, err := url.Parse("http://" + once + "/")
		if err != nil || again.Host != once {
			t.Fatalf("%q becomes %q, which is read as %v, %v", text, once, again, err)
		}
		for _, b := range []byte(once) {
			if !nameByte(b) && !strings.ContainsRune(".:[]", rune(b)) {
				t.Fatalf("%q becomes %q", text, once)
			}
		}
		a, err := netip.ParseAddr(u.Hostname())
		if read, ok := loose(u.Hostname()); ok && (err != nil || a != read) {
			t.Fatalf("%q becomes %q, which may be read as %s", text, once, read)
		}
		target, err := policy.Target(u.Hostname(), 80)
		if err != nil {
			t.Fatal(err)
		}
		if a.IsValid() && (target.Proxied() == nil) != (target.Address(a) == nil) {
			t.Fatalf("%q is judged otherwise behind a proxy", once)
		}
		if rules, err := ParseRules(once); err != nil || len(rules) != 1 {
			t.Fatalf("%q is no rule: %v", once, err)
		}
	})
}

func BenchmarkNormalize(b *testing.B) {
	u := &url.URL{Scheme: "https", Host: "payments.api.example:8443"}
	b.ReportAllocs()
	for b.Loop() {
		if err := Normalize(u); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAddress(b *testing.B) {
	target, err := New(Options{}).Target("payments.api.example", 443)
	if err != nil {
		b.Fatal(err)
	}
	a := netip.MustParseAddr("93.184.215.14")
	b.ReportAllocs()
	for b.Loop() {
		if err := target.Address(a); err != nil {
			b.Fatal(err)
		}
	}
}
