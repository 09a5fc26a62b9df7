package auth

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf16"

	"callfleet/internal/template/sandbox/escape"
)

const (
	// minScrub is the length from which a secret is looked for in answers: a
	// shorter one is found where it is none.
	minScrub = 8
	scrubbed = "[secret]"
)

// needles are the texts that an answer must not show: secrets and what was made
// of them, in each way in which they may be written, the longest first.
func (g *Grant) needles() []string {
	list := append(make([]string, 0, 6*(len(g.derived)+len(g.values)+1)), g.derived...)
	for _, v := range g.values {
		list = append(list, v.Reveal())
	}
	if g.token != nil {
		list = append(list, g.token.value)
	}
	list = slices.DeleteFunc(list, func(s string) bool { return len(s) < minScrub })
	for _, s := range list[:len(list):len(list)] {
		list = appendForms(list, s)
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.Compact(list)
}

// appendForms appends the ways in which an API writes s that are not s itself:
// percent-encoded, in base64, in JSON, and in JSON that is a text in JSON, with
// and without what writers of JSON escape of their own accord.
func appendForms(list []string, s string) []string {
	list = appendBase64(list, s)
	if !strings.ContainsFunc(s, func(c rune) bool { return c >= 0x80 || !escape.Unreserved(byte(c)) }) {
		return list
	}
	list = append(list, escape.Percent(s), escape.Form(s))
	for _, as := range []func(string) string{escape.JSON, htmlJSON, asciiJSON} {
		once := as(s)
		list = append(list, once, as(once))
	}
	return list
}

// appendBase64 appends what there is of s in base64 of itself, and of a text that
// s is a part of: the letters that hold nothing else, which depend on where s begins.
// In the URL-safe alphabet they differ only if they have one of two characters.
func appendBase64(list []string, s string) []string {
	began := len(list)
	padded := append(make([]byte, 2, 2+len(s)), s...)
	encoded := make([]byte, 0, 3*base64.StdEncoding.EncodedLen(len(padded)))
	for before := range 3 {
		encoded = base64.StdEncoding.AppendEncode(encoded, padded[2-before:])
	}
	for before, all := 0, string(encoded); before < 3; before++ {
		n := before + len(s)
		whole := base64.StdEncoding.EncodedLen(n)
		if before == 0 {
			list = append(list, all[:whole])
		}
		list = append(list, all[(before*8+5)/6:n*8/6])
		all = all[whole:]
	}
	for _, form := range list[began:len(list):len(list)] {
		if strings.ContainsAny(form, "+/") {
			list = append(list, base64URL(form))
		}
	}
	return list
}

// base64URL is a text in base64 in the other alphabet (RFC 4648, section 5).
func base64URL(standard string) string {
	return strings.ReplaceAll(strings.ReplaceAll(standard, "+", "-"), "/", "_")
}

// htmlJSON escapes < > & too, as Go does.
func htmlJSON(s string) string {
	quoted, _ := json.Marshal(s) // a string always has JSON
	return string(quoted[1 : len(quoted)-1])
}

// asciiJSON escapes all that is not ASCII, as Python does.
func asciiJSON(s string) string {
	var b strings.Builder
	for _, c := range escape.JSON(s) {
		if c < 0x80 {
			b.WriteRune(c)
			continue
		}
		for _, unit := range utf16.Encode([]rune{c}) {
			fmt.Fprintf(&b, "\\u%04x", unit)
		}
	}
	return b.String()
}

// Scrubs reports whether there is anything to look for in an answer.
func (g *Grant) Scrubs() bool { return len(g.needles()) > 0 }

// Scrub takes the secrets of the attempt out of an answer: headers, body and
// texts that are made of it. What holds none is returned as it is.
func (g *Grant) Scrub(header map[string][]string, body []byte) []byte {
	needles := g.needles()
	for _, values := range header {
		for i, v := range values {
			values[i] = scrub(v, needles)
		}
	}
	for _, needle := range needles {
		if bytes.Contains(body, []byte(needle)) {
			body = bytes.ReplaceAll(body, []byte(needle), []byte(scrubbed))
		}
	}
	return body
}

// scrub returns text as it is when it holds none of the needles.
func scrub(text string, needles []string) string {
	if len(needles) == 0 || len(text) < len(needles[len(needles)-1]) {
		return text
	}
	for _, needle := range needles {
		text = strings.ReplaceAll(text, needle, scrubbed)
	}
	return text
}

// Withhold takes the headers away that hold a secret, however short.
func (g *Grant) Withhold(header http.Header) {
	for _, name := range g.headers {
		header.Del(name)
	}
	for _, needle := range g.needles() {
		for name, values := range header {
			if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, needle) }) {
				delete(header, name)
			}
		}
	}
}

// ScrubText is Scrub for one text.
func (g *Grant) ScrubText(text string) string { return scrub(text, g.needles()) }
