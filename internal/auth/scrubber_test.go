package auth

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"callfleet/internal/secret"
)

// However a body is cut into pieces, it comes out as when it is in one piece.
func TestScrubReader(t *testing.T) {
	t.Parallel()
	g := &Grant{values: []secret.Value{secret.Of("s3cret/+value"), secret.Of("s3cret/+value-longer")}, derived: []string{"abcabcabd"}}
	secrets := g.needles()
	for range 300 {
		var b strings.Builder
		for b.Len() < rand.IntN(3*scrubChunk) {
			switch rand.IntN(3) {
			case 0:
				b.WriteString(strings.Repeat("#", rand.IntN(scrubChunk)))
			case 1:
				b.WriteString(secrets[rand.IntN(len(secrets))])
			case 2:
				one := secrets[rand.IntN(len(secrets))]
				b.WriteString(one[:rand.IntN(len(one))])
			}
		}
		text := b.String()
		var from io.Reader = strings.NewReader(text)
		switch rand.IntN(3) {
		case 0:
			from = iotest.HalfReader(from)
		case 1:
			from = iotest.DataErrReader(from)
		}
		got, err := io.ReadAll(g.ScrubReader(from))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range secrets {
			if bytes.Contains(got, []byte(s)) {
				t.Fatalf("a secret is left in a body of %d bytes", len(text))
			}
		}
		if want := strings.Count(text, "#"); bytes.Count(got, []byte("#")) != want {
			t.Fatalf("%d bytes of %d are left that are no secret", bytes.Count(got, []byte("#")), want)
		}
	}
}

func TestScrubReaderPassesErrorsOn(t *testing.T) {
	t.Parallel()
	g := &Grant{values: []secret.Value{secret.Of("s3cret/+value")}}
	got, err := io.ReadAll(g.ScrubReader(io.MultiReader(strings.NewReader("begin s3cret/+value"), iotest.ErrReader(iotest.ErrTimeout))))
	if string(got) != "begin [secret]" || err != iotest.ErrTimeout {
		t.Errorf("%q, %v", got, err)
	}
	if r := strings.NewReader("x"); (&Grant{}).ScrubReader(r) != r {
		t.Error("a body is looked through for nothing")
	}
}
