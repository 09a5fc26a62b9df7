package store

import (
	"fmt"
	"strings"
)

// Key names one execution.
type Key struct{ Machine, Name string }

// String is "machine:name", the tail of an execution ARN.
func (k Key) String() string { return k.Machine + ":" + k.Name }

const hexDigits = "0123456789ABCDEF"

// plain reports whether b stands for itself in a subject token and in a
// key-value key.
func plain(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_'
}

// escape makes any text one token of a subject: bytes that are not plain
// become =XX.
func escape(s string) string {
	i := 0
	for i < len(s) && plain(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 8)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// unescape undoes escape.
func unescape(s string) (string, error) {
	if strings.IndexByte(s, '=') < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '=' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("token %q: cut escape", s)
		}
		hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("token %q: bad escape", s)
		}
		b = append(b, byte(hi<<4|lo))
		i += 2
	}
	return string(b), nil
}

// subject is where the log of k lives.
func (s *Store) subject(k Key) string {
	return s.subjects + escape(k.Machine) + "." + escape(k.Name)
}

// key undoes subject.
func (s *Store) key(subject string) (Key, error) {
	rest, ok := strings.CutPrefix(subject, s.subjects)
	machine, name, two := strings.Cut(rest, ".")
	if !ok || !two {
		return Key{}, fmt.Errorf("subject %q is not of the log", subject)
	}
	m, err := unescape(machine)
	if err != nil {
		return Key{}, err
	}
	n, err := unescape(name)
	return Key{Machine: m, Name: n}, err
}
