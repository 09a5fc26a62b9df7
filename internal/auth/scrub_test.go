package auth

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"callfleet/internal/secret"
)

// A secret is found in base64 of whatever it is a part of. Of its ends up to four
// bits may stay, in letters that they share with what is beside them.
func TestScrubBase64(t *testing.T) {
	t.Parallel()
	for name, encoding := range map[string]*base64.Encoding{
		"standard": base64.StdEncoding, "standard, not padded": base64.RawStdEncoding,
		"URL-safe": base64.URLEncoding, "URL-safe, not padded": base64.RawURLEncoding,
	} {
		for _, value := range []string{"abcdefgh", "s3cr3t>>>???~~~/", "s3cr3t>>>???~~~/+", "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7", "sk-live-0123456789abcdef"} {
			g := &Grant{values: []secret.Value{secret.Of(value)}}
			for _, around := range [][2]string{{"", ""}, {"a", ""}, {"ab", ""}, {"abc", ""}, {"", "z"}, {"ann:", "\n"}, {"\x00?", "yz"}, {`{"token":"`, `"}`}} {
				text := encoding.EncodeToString([]byte(around[0] + value + around[1]))
				most := len(scrubbed) + len(text) - (len(value)*8/6 - 1)
				for _, got := range scrubs(t, g, text) {
					if !strings.Contains(got, scrubbed) || len(got) > most {
						t.Errorf("%s of %q within %q: %q", name, value, around, got)
					}
				}
			}
		}
	}
	value := "s3cr3t>>>???~~~/"
	g := &Grant{values: []secret.Value{secret.Of(value)}}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for _, got := range scrubs(t, g, encoding.EncodeToString([]byte(value))) {
			if got != scrubbed {
				t.Errorf("by itself: %q", got)
			}
		}
	}
}

// scrubs are the ways in which a text is scrubbed, of which there is one result.
func scrubs(t *testing.T, g *Grant, text string) []string {
	t.Helper()
	header := http.Header{"A": {text}}
	body := g.Scrub(header, []byte(text))
	kept, err := io.ReadAll(g.ScrubReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	return []string{header.Get("A"), string(body), string(kept), g.ScrubText(text)}
}

// BenchmarkScrub is an answer of an API that echoes nothing.
func BenchmarkScrub(b *testing.B) {
	header := http.Header{}
	for _, name := range []string{"Content-Type", "Date", "Server", "X-Request-Id", "Vary", "Cache-Control", "Etag", "Strict-Transport-Security"} {
		header.Set(name, "some value of this header, 40 bytes long")
	}
	for name, size := range map[string]int{"1 KB": 1 << 10, "100 KB": 100 << 10} {
		body := []byte(strings.Repeat(`{"id": 42, "name": "a name", "text": "Lorem ipsum"},`, size/50))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				g := &Grant{values: []secret.Value{secret.Of("sk-live-0123456789abcdef0123456789abcdef")}}
				g.Scrub(header, body)
			}
		})
	}
}
