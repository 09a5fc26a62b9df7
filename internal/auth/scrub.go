package auth

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"strings"

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
	list := slices.Clone(g.derived)
	for _, v := range g.values {
		list = append(list, v.Reveal())
	}
	if g.token != nil {
		list = append(list, g.token.value)
	}
	list = slices.DeleteFunc(list, func(s string) bool { return len(s) < minScrub })
	for _, s := range list[:len(list):len(list)] {
		for _, as := range []func(string) string{escape.JSON, escape.Percent, escape.Form} {
			if written := as(s); written != s {
				list = append(list, written)
			}
		}
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.Compact(list)
}

// Scrub takes the secrets of the attempt out of an answer: headers, body and
// texts that are made of it. What holds none is returned as it is.
func (g *Grant) Scrub(header map[string][]string, body []byte) []byte {
	for _, needle := range g.needles() {
		for name, values := range header {
			for i, v := range values {
				if strings.Contains(v, needle) {
					header[name][i] = strings.ReplaceAll(v, needle, scrubbed)
				}
			}
		}
		if bytes.Contains(body, []byte(needle)) {
			body = bytes.ReplaceAll(body, []byte(needle), []byte(scrubbed))
		}
	}
	return body
}

// Withhold takes the headers away that hold a secret.
func (g *Grant) Withhold(header http.Header) {
	for _, needle := range g.needles() {
		for name, values := range header {
			if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, needle) }) {
				delete(header, name)
			}
		}
	}
}

// ScrubText is Scrub for one text.
func (g *Grant) ScrubText(text string) string {
	for _, needle := range g.needles() {
		text = strings.ReplaceAll(text, needle, scrubbed)
	}
	return text
}
