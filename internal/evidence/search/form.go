// Package search finds the secrets of a test run in its evidence, however they
// are written there.
package search

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// form is one way in which a text may be written.
type form struct{ name, text string }

// forms are the ways of writing a text of letters and digits that a search knows.
// Percent-encoding, JSON, XML and headers leave such a text as it is, unless
// they escape everything.
func forms(s string) []form {
	list := []form{
		{"as it is", s}, {"in lower case", strings.ToLower(s)}, {"in upper case", strings.ToUpper(s)},
		{"in hex", hex.EncodeToString([]byte(s))}, {"in hex", strings.ToUpper(hex.EncodeToString([]byte(s)))},
		{"percent-encoded", each(s, "%%%02x")}, {"percent-encoded", each(s, "%%%02X")}, {"escaped for JSON", each(s, `\u%04x`)},
	}
	for _, once := range inBase64(s) {
		list = append(list, form{"in base64", once})
		for _, twice := range inBase64(once) {
			list = append(list, form{"in base64 of base64", twice})
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(f form) bool {
		twice := seen[f.text] || len(f.text) < shortest
		seen[f.text] = true
		return twice
	})
}

func each(s, verb string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, verb, c)
	}
	return b.String()
}

// inBase64 is what of a text can be seen in base64 of a longer one that has it
// somewhere, in both alphabets.
func inBase64(s string) []string {
	var list []string
	for before := range 3 {
		padded := append(make([]byte, before), s...)
		from, to := (before*8+5)/6, len(padded)*8/6
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			list = append(list, encoding.EncodeToString(padded)[from:to])
		}
	}
	return list
}

// needles are the parts of a secret that are looked for: lines of PEM each by
// itself, for they may be written with another line's end; the letters and digits
// that begin with the marker, whatever is around them; and else the whole.
func needles(value, marker string) []string {
	if from := strings.Index(value, marker); from >= 0 {
		value = value[from:]
		if to := strings.IndexFunc(value, func(c rune) bool { return !isAlphanumeric(c) }); to >= 0 {
			value = value[:to]
		}
		return []string{value}
	}
	if !strings.Contains(value, "-----BEGIN ") {
		return []string{value}
	}
	var list []string
	for l := range strings.Lines(value) {
		if l = strings.TrimSpace(l); !strings.HasPrefix(l, "-----") && len(l) >= shortest {
			list = append(list, l)
		}
	}
	return list
}

func isAlphanumeric(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
