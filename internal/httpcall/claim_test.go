package httpcall

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"callfleet/internal/blob"
	"callfleet/internal/blob/fileblob"
	"callfleet/internal/call"
	"callfleet/internal/claim"
	"callfleet/internal/evidence"
)

// files is a checker on a store of files.
func files(t testing.TB) *claim.Checker {
	t.Helper()
	s, err := fileblob.New(evidence.Dir(t), fileblob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c := claim.New(claim.Options{})
	c.Bind(s)
	return c
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func TestLargeAnswersAreKept(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("0123456789\xff\x00"), 50_000)
	quotes := bytes.Repeat([]byte{1}, 100<<10) // text that grows sixfold
	for name, row := range map[string]struct {
		write func(http.ResponseWriter)
		body  []byte
		kept  bool
	}{
		"with a length":    {func(w http.ResponseWriter) { w.Header().Set("Content-Length", fmt.Sprint(len(large))); w.Write(large) }, large, true},
		"chunked":          {func(w http.ResponseWriter) { w.(http.Flusher).Flush(); w.Write(large) }, large, true},
		"compressed":       {func(w http.ResponseWriter) { writeGzip(w, large) }, large, true},
		"grows as JSON":    {func(w http.ResponseWriter) { w.Write(quotes) }, quotes, true},
		"just small":       {func(w http.ResponseWriter) { w.Write(large[:140<<10]) }, large[:140<<10], false},
		"an error's page":  {func(w http.ResponseWriter) { w.WriteHeader(404); w.Write(large) }, large, true},
		"one byte too big": {func(w http.ResponseWriter) { w.Write(bytes.Repeat([]byte("x"), 200<<10+1)) }, bytes.Repeat([]byte("x"), 200<<10+1), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "image/x-test")
				row.write(w)
			})
			checker := files(t)
			c := newClient(t, Options{Claims: checker})
			res, err := c.Do(t.Context(), call.Rendered{Method: "GET", URL: s}, "run-1")
			if err != nil {
				t.Fatal(err)
			}
			if !row.kept {
				if res.BodyRef != nil || res.BodyEncoding != "base64" {
					t.Errorf("reference %+v, encoding %q", res.BodyRef, res.BodyEncoding)
				}
				return
			}
			ref := res.BodyRef
			if ref == nil || res.Body != nil || ref.SHA256 != digestOf(row.body) || ref.Bytes != int64(len(row.body)) || ref.ContentType != "image/x-test" {
				t.Fatalf("reference %+v, body of %d bytes", ref, len(res.Body))
			}
			r, err := checker.Open(t.Context(), *ref)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, row.body) {
				t.Errorf("kept %d bytes, %v", len(got), err)
			}
			out, err := call.EncodeResult(res, 4<<10)
			if err != nil || bytes.Contains(out, []byte(`"body"`)) || !bytes.Contains(out, []byte(`"bodyRef"`)) {
				t.Errorf("output %s, %v", out, err)
			}
		})
	}
}

func writeGzip(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	z.Write(data)
	z.Close()
}

// endlessGzip are streams of gzip, one behind the other, with nothing in them.
func endlessGzip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	var one bytes.Buffer
	gzip.NewWriter(&one).Close()
	many := bytes.Repeat(one.Bytes(), 1000)
	for r.Context().Err() == nil {
		if _, err := w.Write(many); err != nil {
			return
		}
	}
}

// An answer does not go on for ever once it is being kept, either.
func TestKeptGzipWithoutEnd(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		writeGzip(w, bytes.Repeat([]byte("x"), 300<<10))
		endlessGzip(w, r)
	})
	for _, wants := range []string{`{}`, `{"body": "ref"}`, `{"select": "$.a"}`} {
		c := newClient(t, Options{Claims: files(t)})
		_, err := c.Do(t.Context(), call.Rendered{Method: "GET", URL: s, Timeout: 10 * time.Second, Response: answered(t, wants)}, "run-1")
		wantFailed(t, err, call.ResponseTooLarge, "far larger compressed")
	}
}

func TestHeadOfALargeAnswer(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "50000000") })
	res, err := newClient(t, Options{}).Do(t.Context(), call.Rendered{Method: "HEAD", URL: s}, "")
	if err != nil || res.Headers["Content-Length"] != "50000000" || string(res.Body) != `""` {
		t.Errorf("got %+v, %v", res, err)
	}
}

func wantFailed(t *testing.T, err error, name call.FailureName, says string) {
	t.Helper()
	f, ok := errors.AsType[*call.Failure](err)
	if !ok || f.Name != name || !strings.Contains(f.Cause, says) {
		t.Errorf("got %v, want %s that says %q", err, name, says)
	}
}

func TestAnswersThatCannotBeKept(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("x"), 300<<10)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.Header().Set("Content-Length", fmt.Sprint(len(large)+1))
		}
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
		}
		w.Write(large)
	})
	for name, row := range map[string]struct {
		path   string
		claims Claims
		most   int64
		want   call.FailureName
		says   string
	}{
		"no store":       {"/", claim.New(claim.Options{}), 0, call.ResponseTooLarge, "CALLFLEET_BLOBS"},
		"no claims":      {"/", nil, 0, call.ResponseTooLarge, "204800"},
		"above the most": {"/", files(t), 250 << 10, call.ResponseTooLarge, "256000"},
		"says so before": {"/length", files(t), 250 << 10, call.ResponseTooLarge, "256000"},
		"breaks off":     {"/broken", files(t), 0, call.ConnectionFailed, "middle of the answer"},
		"store is away":  {"/", &broken{err: errors.New("connection refused")}, 0, call.BlobUnavailable, "connection refused (4 attempts"},
		"store refuses":  {"/", &broken{err: fmt.Errorf("%w: access denied", blob.ErrRefused)}, 0, call.BlobUnavailable, "access denied (1 attempt "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, Options{Claims: row.claims, MaxClaim: row.most, BaseDelay: time.Millisecond})
			res, err := c.Do(t.Context(), call.Rendered{Method: "GET", URL: s + row.path}, "run-1")
			if err == nil {
				t.Fatalf("got %+v", res)
			}
			wantFailed(t, err, row.want, row.says)
		})
	}
}

// broken is a store with an error, for the first times at least.
type broken struct {
	Claims
	err   error
	times int32
	seen  atomic.Int32
}

func (b *broken) Ready() bool { return true }

func (b *broken) Keep(ctx context.Context, id, kind string, r io.Reader) (call.BlobRef, error) {
	if n := b.seen.Add(1); b.times == 0 || n <= b.times {
		io.CopyN(io.Discard, r, 1000)
		return call.BlobRef{}, b.err
	}
	return b.Claims.Keep(ctx, id, kind, r)
}

func TestStoreComesBack(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("x"), 300<<10)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(large) })
	c := newClient(t, Options{Claims: &broken{Claims: files(t), err: errors.New("away"), times: 2}, BaseDelay: time.Millisecond})
	res, err := c.Do(t.Context(), call.Rendered{Method: "GET", URL: s}, "run-1")
	if err != nil || res.Attempts != 3 || res.BodyRef == nil || res.BodyRef.SHA256 != digestOf(large) {
		t.Errorf("got %+v, %v", res, err)
	}
}

func TestPayloadFromAReference(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got [][]byte
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			got = append(got, data)
		}
		switch {
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
		case len(got)%3 == 1:
			w.WriteHeader(503)
		}
	})
	checker := files(t)
	data := bytes.Repeat([]byte("\x89PNG\x00"), 1<<20)
	ref, err := checker.PutParam(t.Context(), "run-1", "image/png", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, Options{Claims: checker, BaseDelay: time.Millisecond})
	res, err := c.Do(t.Context(), call.Rendered{Method: "POST", URL: s + "/moved", BodyRef: &ref}, "run-1")
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("got %+v, %v", res, err)
	}
	for i, body := range got {
		if !bytes.Equal(body, data) {
			t.Errorf("request %d had another body, of %d bytes", i, len(body))
		}
	}
	if len(got) < 2 {
		t.Errorf("%d requests", len(got))
	}
}

// A body that is not what the reference says never arrives whole, and the call
// does not hang on it.
func TestPayloadThatIsAnother(t *testing.T) {
	t.Parallel()
	var whole atomic.Int32
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			whole.Add(1)
		}
	})
	checker := files(t)
	for _, size := range []int{10, 1 << 20} {
		ref, err := checker.PutParam(t.Context(), "run-1", "", bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		ref.SHA256 = strings.Repeat("0", 64)
		c := newClient(t, Options{Claims: checker})
		_, err = c.Do(t.Context(), call.Rendered{Method: "POST", URL: s, BodyRef: &ref}, "run-1")
		wantFailed(t, err, call.BadReference, "digest")
		ref.URL = "file:///etc/passwd"
		_, err = c.Do(t.Context(), call.Rendered{Method: "POST", URL: s, BodyRef: &ref}, "run-1")
		wantFailed(t, err, call.BadReference, "not of this fleet")
	}
	if n := whole.Load(); n != 0 {
		t.Errorf("%d whole bodies have arrived", n)
	}
	_, err := newClient(t, Options{}).Do(t.Context(), call.Rendered{Method: "POST", URL: s, BodyRef: &call.BlobRef{Bytes: 1}}, "run-1")
	wantFailed(t, err, call.BadReference, "CALLFLEET_BLOBS")
}

func TestResultHoldsLessWhenAsked(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 2000)) })
	for _, row := range []struct {
		claims Claims
		kept   bool
	}{{files(t), true}, {nil, false}} {
		res, err := newClient(t, Options{Claims: row.claims}).Do(t.Context(), call.Rendered{Method: "GET", URL: s, MaxInline: 1000}, "run-1")
		if err != nil || (res.BodyRef != nil) != row.kept {
			t.Errorf("got %+v, %v, want kept %v", res, err, row.kept)
		}
	}
}
