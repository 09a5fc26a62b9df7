package claim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"callfleet/internal/blob"
	"callfleet/internal/blob/fileblob"
	"callfleet/internal/call"
	"callfleet/internal/claim"
	"callfleet/internal/evidence"
)

// setup is a checker on a store of files.
func setup(t *testing.T, o claim.Options) (*claim.Checker, blob.Store) {
	t.Helper()
	s, err := fileblob.New(evidence.Dir(t), fileblob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c := claim.New(o)
	c.Bind(s)
	return c, s
}

func wantFailure(t *testing.T, err error, name call.FailureName, says string) {
	t.Helper()
	f, ok := errors.AsType[*call.Failure](err)
	if !ok || f.Name != name || !strings.Contains(f.Cause, says) {
		t.Errorf("got %v, want %s that says %q", err, name, says)
	}
}

func TestKeepAndOpen(t *testing.T) {
	t.Parallel()
	c, _ := setup(t, claim.Options{})
	data := bytes.Repeat([]byte{0, 0xff, 7}, 100_000)
	first, err := c.Keep(t.Context(), "run-1", "image/png\r\nX: y", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if first.ContentType != "image/pngX: y" {
		t.Errorf("content type %q holds a line break", first.ContentType)
	}
	r, err := c.Open(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	second, err := c.Keep(t.Context(), "run-1", "", strings.NewReader("other"))
	if err != nil || second.URL == first.URL {
		t.Errorf("a second body of the request is at %q, %v: it must not replace the first", second.URL, err)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	c, _ := setup(t, claim.Options{MaxBlob: 1000})
	if _, err := c.Keep(t.Context(), "r", "", bytes.NewReader(make([]byte, 1000))); err != nil {
		t.Error(err)
	}
	_, err := c.Keep(t.Context(), "r", "", bytes.NewReader(make([]byte, 1001)))
	wantFailure(t, err, call.ResponseTooLarge, "1000 bytes")
}

func TestWithoutAStore(t *testing.T) {
	t.Parallel()
	c := claim.New(claim.Options{})
	if _, err := c.Keep(t.Context(), "r", "", strings.NewReader("x")); !errors.Is(err, blob.ErrNone) {
		t.Errorf("got %v", err)
	}
	_, err := c.Open(t.Context(), call.BlobRef{URL: "file:///x", SHA256: strings.Repeat("0", 64)})
	wantFailure(t, err, call.BadReference, "CALLFLEET_BLOBS")
}

// A reference is data from outside: it reaches nothing but a blob of the store,
// and that only with its digest.
func TestHostileReferences(t *testing.T) {
	t.Parallel()
	c, s := setup(t, claim.Options{MaxBlob: 1 << 20, MaxParams: 1000})
	good, err := c.PutParam(t.Context(), "r", "text/plain", strings.NewReader("secret"))
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(*call.BlobRef)) call.BlobRef {
		r := good
		f(&r)
		return r
	}
	for name, row := range map[string]struct {
		ref  call.BlobRef
		says string
	}{
		"file":            {change(func(r *call.BlobRef) { r.URL = "file:///etc/passwd" }), "not of this fleet"},
		"relative file":   {change(func(r *call.BlobRef) { r.URL = "file://../../etc/passwd" }), "not of this fleet"},
		"traversal":       {change(func(r *call.BlobRef) { r.URL = strings.Replace(r.URL, "params/", "params/../params/", 1) }), "not of this fleet"},
		"other bucket":    {change(func(r *call.BlobRef) { r.URL = "s3://other/params/r/x" }), "not of this fleet"},
		"other NATS":      {change(func(r *call.BlobRef) { r.URL = "nats-object://templates/x" }), "not of this fleet"},
		"metadata":        {change(func(r *call.BlobRef) { r.URL = "http://169.254.169.254/latest/meta-data/" }), "not of this fleet"},
		"guessed":         {change(func(r *call.BlobRef) { r.URL = r.URL[:len(r.URL)-1] }), "expired"},
		"another digest":  {change(func(r *call.BlobRef) { r.SHA256 = strings.Repeat("0", 64) }), "digest"},
		"another size":    {change(func(r *call.BlobRef) { r.Bytes-- }), "digest"},
		"no digest":       {change(func(r *call.BlobRef) { r.SHA256 = "" }), "sha256"},
		"too large":       {change(func(r *call.BlobRef) { r.Bytes = 2 << 20 }), "bytes"},
		"huge":            {change(func(r *call.BlobRef) { r.Bytes = 1 << 62 }), "bytes"},
		"above the bound": {change(func(r *call.BlobRef) { r.Bytes = 1001 }), "payloadRef"},
	} {
		params := json.RawMessage(`{"x":` + string(call.EncodeRef(row.ref)) + `}`)
		_, err := c.Resolve(t.Context(), params, nil)
		wantFailure(t, err, call.BadReference, row.says)
		if err != nil && (!strings.Contains(err.Error(), `param "x"`) || strings.Contains(err.Error(), "169.254") || strings.Contains(err.Error(), "passwd")) {
			t.Errorf("%s: the cause must name the param, and show nothing of it: %v", name, err)
		}
	}
	if _, err := s.Get(t.Context(), good.URL); err != nil {
		t.Error(err)
	}
}

func TestShrinkAndResolve(t *testing.T) {
	t.Parallel()
	c, _ := setup(t, claim.Options{})
	big, list := strings.Repeat("naïve \"text\" <&>\n", 20_000), "["+strings.Repeat("1.50,", 30_000)+"2]"
	text, err := json.Marshal(big)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		params string
		most   int
		refs   int
	}{
		"small":        {`{"a":1}`, 200 << 10, 0},
		"one large":    {`{"a":1,"doc":` + string(text) + `,"b":"x"}`, 200 << 10, 1},
		"two large":    {`{"doc":` + string(text) + `,"list":` + list + `}`, 10 << 10, 2},
		"the largest":  {`{"doc":` + string(text) + `,"list":` + list + `}`, 200 << 10, 1},
		"an empty one": {`{}`, 1, 0},
	} {
		small, err := c.Shrink(t.Context(), "r-1", json.RawMessage(row.params), row.most)
		if err != nil || len(small) > row.most && row.refs > 0 || strings.Count(string(small), `"$ref"`) != row.refs {
			t.Errorf("%s: %d bytes with %d references, %v, want %d", name, len(small), strings.Count(string(small), `"$ref"`), err, row.refs)
		}
		back, err := c.Resolve(t.Context(), small, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !equalJSON(t, back, []byte(row.params)) {
			t.Errorf("%s: the params came back as others", name)
		}
	}
}

// equalJSON compares values; numbers as they are written.
func equalJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var texts [2]string
	for i, data := range [][]byte{a, b} {
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	return texts[0] == texts[1]
}

func TestResolveKinds(t *testing.T) {
	t.Parallel()
	c, _ := setup(t, claim.Options{})
	ref := func(kind, data string) json.RawMessage {
		r, err := c.PutParam(t.Context(), "r", kind, strings.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return call.EncodeRef(r)
	}
	for _, row := range []struct{ kind, data, want string }{
		{"application/json", `{"n":1.50}`, `{"n":1.50}`},
		{"application/problem+json; charset=utf-8", `[1]`, `[1]`},
		{"application/json", `{broken`, `"{broken"`},
		{"text/plain", `{"n":1}`, `"{\"n\":1}"`},
		{"", "", `""`},
	} {
		got, err := c.Resolve(t.Context(), json.RawMessage(`{"x":`+string(ref(row.kind, row.data))+`}`), nil)
		if want := `{"x":` + row.want + `}`; err != nil || string(got) != want {
			t.Errorf("%s %s: got %s, %v, want %s", row.kind, row.data, got, err, want)
		}
	}
	binary := json.RawMessage(`{"x":` + string(ref("image/png", "\x89PNG\xff")) + `}`)
	_, err := c.Resolve(t.Context(), binary, nil)
	wantFailure(t, err, call.BadReference, "payloadRef")
	if got, err := c.Resolve(t.Context(), binary, []string{"x"}); err != nil || !bytes.Equal(got, binary) {
		t.Errorf("the excepted param: %s, %v", got, err)
	}
}

// away is a store that does not answer.
type away struct{ blob.Store }

func (away) Get(ctx context.Context, _ string) (*blob.Object, error) {
	return nil, blob.Try(ctx, func(context.Context) error { return errors.New("connection refused") })
}

func TestStoreAway(t *testing.T) {
	t.Parallel()
	c := claim.New(claim.Options{})
	c.Bind(away{})
	ctx, cancel := context.WithTimeout(t.Context(), 120_000_000)
	defer cancel()
	_, err := c.Open(ctx, call.BlobRef{URL: "s3://b/k", SHA256: strings.Repeat("0", 64)})
	wantFailure(t, err, call.BlobUnavailable, "connection refused")
	stopped, stop := context.WithCancelCause(t.Context())
	stop(call.ErrTaskGone)
	if _, err := c.Open(stopped, call.BlobRef{URL: "s3://b/k", SHA256: strings.Repeat("0", 64)}); !errors.Is(err, call.ErrTaskGone) {
		t.Errorf("got %v, want the cause", err)
	}
}
