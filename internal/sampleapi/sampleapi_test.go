package sampleapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

func get(t *testing.T, url, key string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func TestFlakyFailsTheFirstAttemptsOfEachKey(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(New())
	t.Cleanup(srv.Close)
	for _, key := range []string{"a", "b"} {
		for attempt, want := range []int{429, 429, 200, 200} {
			resp := get(t, srv.URL+"/flaky?fail=2&status=429&retry_after=3", key)
			if resp.StatusCode != want {
				t.Errorf("key %s, attempt %d: status %d, want %d", key, attempt+1, resp.StatusCode, want)
			}
			retryAfter := resp.Header.Get("Retry-After")
			if want == 429 && retryAfter != "3" || want == 200 && retryAfter != "" {
				t.Errorf("key %s, attempt %d: Retry-After %q", key, attempt+1, retryAfter)
			}
		}
	}
}

func TestFlakyRefusesWhatItCannotUnderstand(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(New())
	t.Cleanup(srv.Close)
	for _, query := range []string{"fail=x", "fail=-1", "status=200", "status=600", "retry_after=1.5"} {
		if resp := get(t, srv.URL+"/flaky?key=k&"+query, ""); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400", query, resp.StatusCode)
		}
	}
	if resp := get(t, srv.URL+"/flaky", ""); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("without a key: status %d, want 400", resp.StatusCode)
	}
}

func TestLimitedCountsSeconds(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(New())
	t.Cleanup(srv.Close)
	if resp := get(t, srv.URL+"/limited?rate=0", ""); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("rate 0: status %d, want 400", resp.StatusCode)
	}
	if resp := get(t, srv.URL+"/limited?rate=1000000", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("below the rate: status %d, want 200", resp.StatusCode)
	}
	var l limited
	for i, want := range []int{1, 2, 1, 1} {
		if n := l.count(time.Unix(int64(max(0, i-1)), 0)); n != want {
			t.Errorf("request %d is number %d of its second, want %d", i, n, want)
		}
	}
	w := httptest.NewRecorder()
	l = limited{second: time.Now().Unix() + 1, came: 0}
	for range 3 { // the second may end once meanwhile
		w = httptest.NewRecorder()
		l.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/limited?rate=1", nil))
	}
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
		t.Errorf("above the rate: status %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
}

func TestFlakyForgetsTheOldestKeys(t *testing.T) {
	t.Parallel()
	f := &flaky{seen: map[string]int{}}
	for i := range maxKeys + 10 {
		f.count(strconv.Itoa(i))
	}
	if len(f.seen) != maxKeys || len(f.ring) != maxKeys {
		t.Fatalf("remembers %d keys in a ring of %d, want %d", len(f.seen), len(f.ring), maxKeys)
	}
	if n := f.count(strconv.Itoa(maxKeys + 9)); n != 2 {
		t.Errorf("newest key: attempt %d, want 2", n)
	}
	if n := f.count("0"); n != 1 {
		t.Errorf("oldest key: attempt %d, want 1 (forgotten)", n)
	}
}

func TestHTTPBinIsUnderneath(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(New())
	t.Cleanup(srv.Close)
	for path, want := range map[string]int{"/anything/42": 200, "/status/404": 404, "/headers": 200, "/delay/0.001": 200} {
		resp := get(t, srv.URL+path, "")
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != want {
			t.Errorf("%s: status %d, error %v, want %d", path, resp.StatusCode, err, want)
		}
	}
}
