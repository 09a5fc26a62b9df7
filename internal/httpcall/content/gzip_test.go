package content

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
)

// squeeze is gzip of data that is written in pieces.
func squeeze(t *testing.T, data []byte, level, piece int, after func(*gzip.Writer, io.Writer)) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	for len(data) > 0 {
		n := min(piece, len(data))
		if _, err := z.Write(data[:n]); err != nil {
			t.Fatal(err)
		}
		if data = data[n:]; len(data) > 0 && after != nil {
			after(z, &b)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unread(header string, body io.Reader) *http.Response {
	return &http.Response{ContentLength: -1, Header: http.Header{"Content-Encoding": {header}}, Body: io.NopCloser(body)}
}

// What holds something is read, however badly it is compressed.
func TestReadGzip(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 2<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	text := bytes.Repeat([]byte("one two three "), 100_000)
	flush := func(z *gzip.Writer, _ io.Writer) { z.Flush() }
	anew := func(z *gzip.Writer, to io.Writer) { z.Close(); z.Reset(to) }
	for name, row := range map[string]struct{ want, body []byte }{
		"text":                      {text, squeeze(t, text, gzip.BestCompression, len(text), nil)},
		"noise":                     {noise, squeeze(t, noise, gzip.DefaultCompression, len(noise), nil)},
		"noise, not compressed":     {noise, squeeze(t, noise, gzip.NoCompression, len(noise), nil)},
		"flushed after each byte":   {noise[:200_000], squeeze(t, noise[:200_000], gzip.BestSpeed, 1, flush)},
		"many streams":              {noise[:1<<18], squeeze(t, noise[:1<<18], gzip.NoCompression, 16, anew)},
		"a few streams of nothing":  {nil, bytes.Repeat(squeeze(t, nil, gzip.BestSpeed, 1, nil), 40_000)},
		"nothing":                   {nil, squeeze(t, nil, gzip.BestSpeed, 1, nil)},
		"no body, which is no gzip": {nil, nil},
	} {
		for _, limit := range []int{len(row.want), len(row.want) / 2} {
			got, err := Read(unread("gzip", bytes.NewReader(row.body)), limit, true)
			if large, ok := errors.AsType[*TooLarge](err); ok && limit < len(row.want) { // as one that is kept is read
				got, err = io.ReadAll(io.MultiReader(bytes.NewReader(large.Head), large.Rest))
			}
			if err != nil || !bytes.Equal(got, row.want) {
				t.Errorf("%s: %d bytes of %d compressed, %v, want %d", name, len(got), len(row.body), err, len(row.want))
			}
		}
	}
}

// endless repeats a text, and counts what was taken of it.
type endless struct {
	text  []byte
	taken int64
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text[(e.taken+int64(n))%int64(len(e.text)):])
	}
	e.taken += int64(n)
	return n, nil
}

// What holds next to nothing is given up soon, whatever it is made of.
func TestReadHollowGzip(t *testing.T) {
	t.Parallel()
	head := squeeze(t, nil, gzip.BestSpeed, 1, nil)[:10]
	named := append([]byte{31, 139, 8, 4, 0, 0, 0, 0, 0, 0, 0, 0xff}, make([]byte, 0xff00)...) // with an extra field
	for name, row := range map[string]struct{ first, then []byte }{
		"streams of nothing":       {nil, squeeze(t, nil, gzip.BestSpeed, 1, nil)},
		"blocks of nothing":        {head, []byte{0, 0, 0, 0xff, 0xff}},
		"headers":                  {nil, append(named, squeeze(t, nil, gzip.BestSpeed, 1, nil)[10:]...)},
		"streams of one byte":      {nil, squeeze(t, []byte("x"), gzip.BestSpeed, 1, nil)},
		"something, and then none": {squeeze(t, make([]byte, 4096), gzip.BestSpeed, 4096, nil), squeeze(t, nil, gzip.BestSpeed, 1, nil)},
	} {
		body := &endless{text: row.then}
		_, err := Read(unread("gzip", io.MultiReader(bytes.NewReader(row.first), body)), 100<<20, true)
		if hollow, ok := errors.AsType[*Hollow](err); !ok || body.taken > 2<<20 || hollow.Compressed <= hollow.Plain*mostGzip {
			t.Errorf("%s: %v after %d bytes", name, err, body.taken)
		}
	}
}

func TestEncoding(t *testing.T) {
	t.Parallel()
	for want, headers := range map[string][][]string{
		"":               {nil, {""}, {"identity"}, {" Identity "}},
		"gzip":           {{"gzip"}, {"GZIP"}, {"x-gzip"}, {" gzip\t"}},
		"br":             {{"br"}},
		"gzip, br":       {{"gzip", "br"}, {"gzip, br"}},
		"identity, zstd": {{"identity", "zstd"}},
	} {
		for _, values := range headers {
			h := http.Header{}
			for _, v := range values {
				h.Add("Content-Encoding", v)
			}
			if got := Encoding(h); got != want {
				t.Errorf("of %q: %q, want %q", values, got, want)
			}
		}
	}
}
