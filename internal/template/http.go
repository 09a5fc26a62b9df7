package template

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"callfleet/internal/secret"
)

// validHeaderName is token of RFC 9110 §5.6.2.
func validHeaderName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= 256
}

// validHeaderValue refuses what could end the line or the message.
func validHeaderValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// reserved names the headers that frame the message or belong to the
// connection.
func reserved(canonical string) bool {
	switch canonical {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Upgrade", "Expect":
		return true
	}
	return false
}

// cutScheme takes http:// or https:// away.
func cutScheme(s string) (rest string, ok bool) {
	for _, scheme := range []string{"https://", "http://"} {
		if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			return s[len(scheme):], true
		}
	}
	return s, false
}

// checkURL checks a rendered URL and percent-encodes what is not ASCII in it.
// Its errors show nothing of the URL.
func checkURL(s string) (string, error) {
	if len(s) > maxURLBytes {
		return "", errors.New("has more than " + strconv.Itoa(maxURLBytes) + " bytes")
	}
	rest, ok := cutScheme(s)
	if !ok {
		return "", errors.New("does not begin with http:// or https://")
	}
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c == 0x7f:
			return "", errors.New("holds a space or a control character")
		case c >= 0x80:
			ascii = false
		}
	}
	host, _, _ := strings.Cut(rest, "#")
	host, _, _ = strings.Cut(host, "?")
	host, path, _ := strings.Cut(host, "/")
	if strings.Contains(host, secret.MarkPrefix) {
		return "", errors.New("has a secret in its host, which traces and errors show: a secret stands in the path or the query")
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 || r == '\\' || r == '%' }) {
		return "", errors.New("has a host that is not ASCII")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if dots(segment) {
			return "", errors.New("has a path segment of dots only, which would lead to another path")
		}
	}
	if !ascii {
		s = encodeNonASCII(s)
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", errors.New("is no valid URL") // the error of url would show it
	}
	if u.Hostname() == "" {
		return "", errors.New("has no host")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "", errors.New("has a port out of range")
		}
	}
	return s, nil
}

// dots reports "." and "..", percent-encoded as well (RFC 3986 §5.2.4).
func dots(segment string) bool {
	if len(segment) > len("%2e%2e") {
		return false
	}
	switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
	case ".", "..":
		return true
	}
	return false
}

func encodeNonASCII(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < 0x80 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
