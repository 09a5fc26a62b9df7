package escape

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

// One pass takes out what the expression matches.
func TestWithoutTags(t *testing.T) {
	t.Parallel()
	tag := regexp.MustCompile(`(?s)<!--.*?-->|<.*?>`)
	pieces := []string{"<", ">", "<!--", "-->", "-", "!", "a", "\n", "<b>"}
	for range 20000 {
		var b strings.Builder
		for range rand.IntN(12) {
			b.WriteString(pieces[rand.IntN(len(pieces))])
		}
		if got, want := WithoutTags(b.String()), tag.ReplaceAllString(b.String(), ""); got != want {
			t.Fatalf("%q: %q, want %q", b.String(), got, want)
		}
	}
}

func TestWithoutTagsTakesOnePass(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"<!-- >", "<!--", "<!---->", "<", "-->"} {
		start := time.Now()
		WithoutTags(strings.Repeat(text, 1<<20))
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: took %v", text, took)
		}
	}
}
