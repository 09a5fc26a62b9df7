package egress

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// maxHost and maxLabel bound a name (RFC 1035, section 2.3.4).
const (
	maxHost  = 253
	maxLabel = 63
)

// Normalize gives the host of an absolute URL the one form that everything
// after it sees: lower case, ASCII, addresses as netip writes them, no final
// dot, no empty port. What has several readings is refused with a *Denied. It
// allocates nothing for a host that has that form.
func Normalize(u *url.URL) error {
	name, port := u.Hostname(), u.Port()
	clean, err := cleanHost(name, strings.HasPrefix(u.Host, "["))
	if err != nil {
		return &Denied{Host: printable(name), Reason: err.Error()}
	}
	number, err := cleanPort(port)
	if err != nil {
		return &Denied{Host: clean, Reason: err.Error()}
	}
	if clean == name && number == port && len(u.Host) == len(name)+min(1, len(port))+len(port) {
		return nil
	}
	if strings.Contains(clean, ":") {
		clean = "[" + clean + "]"
	}
	if number != "" {
		clean += ":" + number
	}
	u.Host = clean
	return nil
}

// cleanPort takes decimal digits alone, and drops zeros before them.
func cleanPort(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", errors.New("with a port that is none")
	}
	if text[0] != '0' {
		return text, nil
	}
	return strconv.FormatUint(n, 10), nil
}

// cleanHost returns an address or a name; reasons complete "host is …".
func cleanHost(text string, bracketed bool) (string, error) {
	if bracketed {
		return cleanIPv6(text)
	}
	text, err := ascii(text)
	if err != nil {
		return "", err
	}
	text = strings.TrimSuffix(text, ".")
	if len(text) == 0 || len(text) > maxHost {
		return "", errors.New("no valid host name")
	}
	last, start := "", 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && text[i] != '.' {
			if !nameByte(text[i]) {
				return "", errors.New("no valid host name")
			}
			continue
		}
		if i == start || i-start > maxLabel {
			return "", errors.New("no valid host name")
		}
		last, start = text[start:i], i+1
	}
	if !numeric(last) {
		return text, nil
	}
	if a, err := netip.ParseAddr(text); err != nil || !a.Is4() {
		return "", errors.New("an unusual form of an IPv4 address: write a.b.c.d in decimal")
	}
	return text, nil
}

func cleanIPv6(text string) (string, error) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil || a.Is4():
		return "", errors.New("no IPv6 address in its brackets")
	case a.Zone() != "":
		return "", errors.New("an address with a zone, which means nothing beyond one link")
	}
	if clean := a.Unmap().String(); clean != text {
		return clean, nil
	}
	return text, nil
}

// ascii is text in lower case, a name of another script in Punycode. The
// mapping (UTS 46) makes digits and dots of what looks like them, so it comes
// before everything that looks at them.
func ascii(text string) (string, error) {
	upper := false
	for i := range len(text) {
		if text[i] >= 0x80 {
			text, err := idna.Lookup.ToASCII(text)
			if err != nil {
				return "", errors.New("no valid international name")
			}
			return strings.ToLower(text), nil
		}
		upper = upper || 'A' <= text[i] && text[i] <= 'Z'
	}
	if upper {
		return strings.ToLower(text), nil
	}
	return text, nil
}

// nameByte takes the underscore as well, which names in use have.
func nameByte(b byte) bool {
	return 'a' <= b && b <= 'z' || '0' <= b && b <= '9' || b == '-' || b == '_'
}

// numeric reports whether some resolver may read a name with this last label
// as an IPv4 address: decimal, octal or hexadecimal.
func numeric(label string) bool {
	if label[0] < '0' || label[0] > '9' {
		return false
	}
	digits, base := label, "0123456789"
	if strings.HasPrefix(label, "0x") {
		digits, base = label[2:], "0123456789abcdef"
	}
	return strings.Trim(digits, base) == ""
}

// printable is text for a cause: short, on one line.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' || r == '\ufffd' {
			return '?'
		}
		return r
	}, text)
	if len(text) > 80 {
		text = strings.ToValidUTF8(text[:80], "") + "…"
	}
	return text
}
