// Package blobtest holds every backend of the blob seam to one contract.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"callfleet/internal/blob"
)

// Run runs the suite on stores that open makes, each of its own or with keys
// of other tests in it.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, blob.Store){
		"round trip":           roundTrip,
		"content type":         contentType,
		"put again":            putAgain,
		"not found":            notFound,
		"delete":               remove,
		"foreign URLs":         foreign,
		"bad keys":             badKeys,
		"reader breaks":        readerBreaks,
		"cancelled":            cancelled,
		"many at once":         manyAtOnce,
		"closed before end":    closedEarly,
		"another digest":       anotherDigest,
		"read ends with ctx":   readEndsWithContext,
		"reader in small bits": smallBits,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// Key is one that no other test has.
func Key(t *testing.T, name string) string {
	sum := sha256.Sum256([]byte(t.Name()))
	return "test/" + hex.EncodeToString(sum[:8]) + "/" + name
}

// Data is n bytes that are neither text nor all alike.
func Data(n int) []byte {
	data := make([]byte, n)
	x := uint32(2463534242)
	for i := range data {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		data[i] = byte(x)
	}
	return data
}

func put(t *testing.T, s blob.Store, key string, data []byte) blob.Ref {
	t.Helper()
	ref, err := s.Put(t.Context(), key, "application/octet-stream", bytes.NewReader(data))
	if err != nil {
		t.Fatalf("put %d bytes: %v", len(data), err)
	}
	return ref
}

func get(t *testing.T, s blob.Store, ref blob.Ref) []byte {
	t.Helper()
	o, err := blob.Open(t.Context(), s, ref)
	if err != nil {
		t.Fatalf("open %s: %v", ref.URL, err)
	}
	defer o.Close()
	data, err := io.ReadAll(o)
	if err != nil {
		t.Fatalf("read %s: %v", ref.URL, err)
	}
	return data
}

func roundTrip(t *testing.T, s blob.Store) {
	for _, n := range []int{0, 1, 1000, 128 << 10, 256<<10 - 1, 256 << 10, 256<<10 + 1, 5 << 20, 5<<20 + 1, 11<<20 + 7} {
		data := Data(n)
		sum := sha256.Sum256(data)
		ref := put(t, s, Key(t, fmt.Sprint("n", n)), data)
		if url := s.URL(Key(t, fmt.Sprint("n", n))); url != ref.URL {
			t.Errorf("put returned the URL %s, that of the key is %s", ref.URL, url)
		}
		if ref.Bytes != int64(n) || ref.SHA256 != hex.EncodeToString(sum[:]) || !strings.Contains(ref.URL, "://") {
			t.Errorf("%d bytes: reference %+v", n, ref)
		}
		if got := get(t, s, ref); !bytes.Equal(got, data) {
			t.Errorf("%d bytes came back as %d, or others", n, len(got))
		}
	}
}

func contentType(t *testing.T, s blob.Store) {
	for i, want := range []string{"", "image/png", `text/plain; charset="utf-8"`} {
		ref, err := s.Put(t.Context(), Key(t, fmt.Sprint("n", i)), want, strings.NewReader("x"))
		if err != nil || ref.ContentType != want {
			t.Fatalf("%q: put %+v, %v", want, ref, err)
		}
		o, err := s.Get(t.Context(), ref.URL)
		if err != nil {
			t.Fatal(err)
		}
		if o.ContentType != want || o.Bytes != 1 {
			t.Errorf("got %q of %d bytes, want %q of 1", o.ContentType, o.Bytes, want)
		}
		o.Close()
	}
}

func putAgain(t *testing.T, s blob.Store) {
	key := Key(t, "again")
	first := put(t, s, key, Data(700_000))
	second := put(t, s, key, Data(300_000))
	if first.URL != second.URL {
		t.Errorf("one key, two URLs: %s and %s", first.URL, second.URL)
	}
	if got := get(t, s, second); !bytes.Equal(got, Data(300_000)) {
		t.Errorf("got %d bytes, want the second blob", len(got))
	}
	if _, err := blob.Open(t.Context(), s, first); !errors.Is(err, blob.ErrDigest) {
		t.Errorf("the first reference: %v, want ErrDigest", err)
	}
}

func notFound(t *testing.T, s blob.Store) {
	ref := put(t, s, Key(t, "there"), []byte("x"))
	if _, err := s.Get(t.Context(), ref.URL+"not"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func remove(t *testing.T, s blob.Store) {
	ref := put(t, s, Key(t, "gone"), Data(600_000))
	for range 2 {
		if err := s.Delete(t.Context(), ref.URL); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Get(t.Context(), ref.URL); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if again := put(t, s, Key(t, "gone"), []byte("y")); string(get(t, s, again)) != "y" {
		t.Error("a deleted key cannot be used again")
	}
}

func foreign(t *testing.T, s blob.Store) {
	ref := put(t, s, Key(t, "mine"), []byte("x"))
	key := ref.URL[strings.Index(ref.URL, "test/"):]
	place := strings.TrimSuffix(ref.URL, key)
	scheme, _, _ := strings.Cut(ref.URL, "://")
	for _, url := range []string{
		"", key, place, "/" + key, scheme + "://other/" + key, place + "../" + key, place + "x/../" + key, place + "/" + key, place + key + "/",
		place + key + "?versionId=1", place + key + "#x", strings.ToUpper(scheme) + strings.TrimPrefix(ref.URL, scheme), place + "%74est" + key[4:],
		"file:///etc/passwd", "file://../../etc/passwd", "s3://other-bucket/x", "nats-object://other/x", "http://127.0.0.1/" + key, "https://example.com/x",
		strings.TrimSuffix(place, "/") + "-2/" + key, place + key + "\x00", place + "..", place + strings.ReplaceAll(key, "/", `\`),
	} {
		if o, err := s.Get(t.Context(), url); !errors.Is(err, blob.ErrForeign) {
			t.Errorf("get %q: %v, %v, want ErrForeign", url, o, err)
		}
		if err := s.Delete(t.Context(), url); !errors.Is(err, blob.ErrForeign) {
			t.Errorf("delete %q: %v, want ErrForeign", url, err)
		}
	}
	get(t, s, ref)
}

func badKeys(t *testing.T, s blob.Store) {
	for _, key := range []string{"", "../x", "a/../../x", "/etc/x", "a b", "a\nb", "x.json", strings.Repeat("x", 300)} {
		if ref, err := s.Put(t.Context(), key, "", strings.NewReader("x")); err == nil {
			t.Errorf("key %q is taken: %+v", key, ref)
		}
	}
}

func readerBreaks(t *testing.T, s blob.Store) {
	broken := errors.New("broken")
	for _, n := range []int{0, 100, 600_000, 6 << 20} {
		key := Key(t, fmt.Sprint("n", n))
		before := put(t, s, key, []byte("before"))
		_, err := s.Put(t.Context(), key, "", io.MultiReader(bytes.NewReader(Data(n)), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v, want the reader's error", n, err)
		}
		if got := get(t, s, before); string(got) != "before" {
			t.Errorf("after %d bytes: what was there was replaced", n)
		}
	}
}

func cancelled(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("stopped")
	r := io.MultiReader(bytes.NewReader(Data(6<<20)), readerFunc(func([]byte) (int, error) {
		cancel(why)
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}))
	key := Key(t, "cancelled")
	if _, err := s.Put(ctx, key, "", r); !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
	if _, err := s.Put(ctx, key, "", strings.NewReader("x")); err == nil {
		t.Error("put with a context that has ended")
	}
	if _, err := s.Get(ctx, put(t, s, Key(t, "there"), []byte("x")).URL); err == nil {
		t.Error("get with a context that has ended")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func manyAtOnce(t *testing.T, s blob.Store) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			data := Data(300_000 + i)
			ref, err := s.Put(t.Context(), Key(t, fmt.Sprint("n", i)), "", bytes.NewReader(data))
			if err != nil {
				t.Error(err)
				return
			}
			o, err := blob.Open(t.Context(), s, ref)
			if err != nil {
				t.Error(err)
				return
			}
			defer o.Close()
			if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d: %d bytes, %v", i, len(got), err)
			}
		})
	}
	all.Wait()
}

func closedEarly(t *testing.T, s blob.Store) {
	ref := put(t, s, Key(t, "large"), Data(3<<20))
	o, err := s.Get(t.Context(), ref.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(o, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if got := get(t, s, ref); len(got) != 3<<20 {
		t.Errorf("then: %d bytes", len(got))
	}
}

func anotherDigest(t *testing.T, s blob.Store) {
	ref := put(t, s, Key(t, "x"), Data(400_000))
	ref.SHA256 = strings.Repeat("0", 64)
	o, err := blob.Open(t.Context(), s, ref)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if got, err := io.ReadAll(o); !errors.Is(err, blob.ErrDigest) || len(got) >= 400_000 {
		t.Errorf("%d bytes, %v, want fewer and ErrDigest", len(got), err)
	}
}

func readEndsWithContext(t *testing.T, s blob.Store) {
	ref := put(t, s, Key(t, "x"), Data(8<<20))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o, err := s.Get(ctx, ref.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if _, err := io.ReadFull(o, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if n, err := io.Copy(io.Discard, o); err == nil {
		t.Errorf("read %d bytes more and no error", n)
	}
}

func smallBits(t *testing.T, s blob.Store) {
	data := Data(5000)
	ref, err := s.Put(t.Context(), Key(t, "x"), "", iotest.OneByteReader(bytes.NewReader(data)))
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, ref); !bytes.Equal(got, data) {
		t.Errorf("%d bytes", len(got))
	}
}
