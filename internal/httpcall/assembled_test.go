package httpcall

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/claim"
	"callfleet/internal/httpcall/content"
)

// around is a body with blobs of these contents at these places.
func around(t *testing.T, checker *claim.Checker, text string, blobs map[int]string) (r call.Rendered, want string) {
	t.Helper()
	r = call.Rendered{Method: "POST", Body: []byte(text)}
	for at := range len(text) + 1 {
		if blob, ok := blobs[at]; ok {
			ref, err := checker.PutParam(t.Context(), "run-1", "image/png", strings.NewReader(blob))
			if err != nil {
				t.Fatal(err)
			}
			r.Inserts = append(r.Inserts, call.Insert{At: at, Ref: ref})
			want += blob
		}
		if at < len(text) {
			want += text[at : at+1]
		}
	}
	return r, want
}

func TestAssembledBody(t *testing.T) {
	t.Parallel()
	checker := files(t)
	for _, blobs := range []map[int]string{
		{3: "middle"}, {0: "first"}, {6: "last"}, {0: "a", 3: "b", 6: "c"}, {2: "", 3: strings.Repeat("x", 100_000)},
	} {
		r, want := around(t, checker, "abcdef", blobs)
		for _, small := range []bool{false, true} {
			a := content.Assemble(io.NopCloser(bytes.NewReader(r.Body)), r.Inserts, func(ref call.BlobRef) (io.ReadCloser, error) {
				return checker.Open(t.Context(), ref)
			})
			var from io.Reader = a
			if small {
				from = iotest.OneByteReader(a)
			}
			if got, err := io.ReadAll(from); err != nil || string(got) != want {
				t.Errorf("%v: %d bytes, %v, want %d", blobs, len(got), err, len(want))
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A body with files in it is sent anew, whole, for each attempt and redirect.
func TestFilesWithinABody(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string // guarded by mu
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprintf("%d %v %s", r.ContentLength, err, data))
		switch {
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
		case len(got) == 2:
			w.WriteHeader(503)
		}
	})
	checker := files(t)
	r, want := around(t, checker, "--x\r\n\r\n--x--", map[int]string{5: strings.Repeat("\x89PNG\x00", 100_000)})
	r.URL = s + "/moved"
	c := newClient(t, Options{Claims: checker, BaseDelay: time.Millisecond})
	if res, err := c.Do(t.Context(), r, "run-1"); err != nil || res.StatusCode != 200 || res.Attempts != 2 {
		t.Fatalf("got %+v, %v", res, err)
	}
	mu.Lock()
	defer mu.Unlock()
	for i, body := range got {
		if body != fmt.Sprintf("%d <nil> %s", len(want), want) {
			t.Errorf("request %d had another body, of %d bytes", i, len(body))
		}
	}
	if len(got) != 4 {
		t.Errorf("%d requests, want 4", len(got))
	}
	request, err := c.Preview(r, "run-1")
	if err != nil {
		t.Fatal(err)
	}
	if shown, err := io.ReadAll(request.Body); err != nil || !strings.HasPrefix(string(shown), "--x\r\n(500000 bytes, sha256 ") || int64(len(shown)) != request.ContentLength {
		t.Errorf("preview %q of %d bytes, %v", shown, request.ContentLength, err)
	}
}

func TestFilesWithinABodyThatAreNotThere(t *testing.T) {
	t.Parallel()
	var whole atomic.Int32
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			whole.Add(1)
		}
	})
	checker := files(t)
	r, _ := around(t, checker, "abc", map[int]string{1: strings.Repeat("x", 1<<20), 2: "y"})
	r.URL = s
	_, err := newClient(t, Options{}).Do(t.Context(), r, "run-1")
	wantFailed(t, err, call.BadReference, "CALLFLEET_BLOBS")
	r.Inserts[1].Ref.SHA256 = strings.Repeat("0", 64)
	_, err = newClient(t, Options{Claims: checker}).Do(t.Context(), r, "run-1")
	wantFailed(t, err, call.BadReference, "digest")
	r.Inserts[0].Ref.URL = "file:///etc/passwd"
	_, err = newClient(t, Options{Claims: checker}).Do(t.Context(), r, "run-1")
	wantFailed(t, err, call.BadReference, "not of this fleet")
	if n := whole.Load(); n != 0 {
		t.Errorf("%d whole bodies have arrived", n)
	}
}
