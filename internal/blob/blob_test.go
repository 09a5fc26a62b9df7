package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"callfleet/internal/blob"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "run-1/x_Y-9", "a/b/c/d", strings.Repeat("x", 128)} {
		if err := blob.CheckKey(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "a.b", "a%2fb", `a\b`, "a b", "a\x00", "é", "a/b/c/d/e", strings.Repeat("x", 129)} {
		if blob.CheckKey(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestKeyOf(t *testing.T) {
	t.Parallel()
	const prefix = "s3://bucket/"
	if key, err := blob.KeyOf("s3://bucket/a/b", prefix); key != "a/b" || err != nil {
		t.Errorf("got %q, %v", key, err)
	}
	for _, bad := range []string{
		"", "a/b", "s3://bucket", "s3://bucket/", "s3://bucket2/a", "s3://bucket/../other/a", "s3://bucket//a", "s3://bucket/a?x=1", "s3://bucket/a#x",
		"S3://bucket/a", "s3://u@bucket/a", "s3:/bucket/a", "file:///etc/passwd", "http://169.254.169.254/latest/meta-data", " s3://bucket/a", "s3://bucket/%2e%2e/a",
	} {
		if key, err := blob.KeyOf(bad, prefix); !errors.Is(err, blob.ErrForeign) {
			t.Errorf("%q: got %q, %v, want ErrForeign", bad, key, err)
		}
	}
}

// one is a store with one blob.
type one struct {
	blob.Store
	data []byte
	wrap func(io.Reader) io.Reader
}

func (o one) Get(context.Context, string) (*blob.Object, error) {
	var r io.Reader = bytes.NewReader(o.data)
	if o.wrap != nil {
		r = o.wrap(r)
	}
	return &blob.Object{ReadCloser: io.NopCloser(r), Bytes: int64(len(o.data))}, nil
}

func refOf(data []byte) blob.Ref {
	sum := sha256.Sum256(data)
	return blob.Ref{URL: "x", Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
}

func TestOpenVerifies(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 2, 32<<10 - 1, 32 << 10, 32<<10 + 1, 100_000} {
		data := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": nil, "one byte": iotest.OneByteReader, "half": iotest.HalfReader, "data with EOF": iotest.DataErrReader,
		} {
			o, err := blob.Open(t.Context(), one{data: data, wrap: wrap}, refOf(data))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %d of %d bytes, %v", name, len(got), size, err)
			}
			if size == 0 {
				continue
			}
			bad := bytes.Clone(data)
			bad[size/2] ^= 1
			o, err = blob.Open(t.Context(), one{data: bad, wrap: wrap}, refOf(data))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(o); !errors.Is(err, blob.ErrDigest) || len(got) >= size {
				t.Errorf("%s, another blob: %d of %d bytes, %v, want fewer and ErrDigest", name, len(got), size, err)
			}
		}
	}
}

func TestOpenRefusesAnotherSize(t *testing.T) {
	t.Parallel()
	ref := refOf([]byte("abc"))
	ref.Bytes++
	if _, err := blob.Open(t.Context(), one{data: []byte("abc")}, ref); !errors.Is(err, blob.ErrDigest) {
		t.Errorf("got %v, want ErrDigest", err)
	}
}

func TestOpenPassesErrorsOn(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	wrap := func(r io.Reader) io.Reader { return io.MultiReader(io.LimitReader(r, 2), iotest.ErrReader(broken)) }
	o, err := blob.Open(t.Context(), one{data: []byte("abc"), wrap: wrap}, refOf([]byte("abc")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(o); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
