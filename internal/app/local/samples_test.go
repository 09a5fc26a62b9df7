package local

import (
	"bytes"
	"testing"

	"callfleet/internal/template/store"
)

func TestSeedFillsAnEmptyStoreOnce(t *testing.T) {
	t.Parallel()
	s := files(t)
	for _, row := range []struct {
		addr string
		want int
	}{{"127.0.0.1:8089", 10}, {"127.0.0.1:8089", 0}, {"127.0.0.1:9999", 10}, {"sampleapi:8089", 10}, {"sampleapi:8089", 0}} {
		if n, err := seed(t.Context(), s, row.addr); n != row.want || err != nil {
			t.Errorf("seed for %s put %d, %v, want %d", row.addr, n, err, row.want)
		}
		got, err := s.Get(t.Context(), store.Key{Name: "too-slow", Method: "GET"})
		if err != nil || !bytes.Contains(got.Attributes, []byte("http://"+row.addr+"/delay/3")) {
			t.Errorf("seeded for %s: %s, %v", row.addr, got.Attributes, err)
		}
	}
}

func TestSeedLeavesAStoreOfOthersAlone(t *testing.T) {
	t.Parallel()
	s := files(t)
	if _, err := s.Put(t.Context(), store.Item{Key: store.Key{Name: "a", Method: "GET"}, Attributes: raw("a", "https://api.example/")}, store.Always()); err != nil {
		t.Fatal(err)
	}
	if n, err := seed(t.Context(), s, "127.0.0.1:8089"); n != 0 || err != nil {
		t.Errorf("seed put %d, %v, want none", n, err)
	}
}

func TestSeedLeavesAChangedOrRemovedSampleAlone(t *testing.T) {
	t.Parallel()
	s := files(t)
	if _, err := seed(t.Context(), s, "127.0.0.1:8089"); err != nil {
		t.Fatal(err)
	}
	changed, removed := store.Key{Name: "slow", Method: "GET"}, store.Key{Name: "search", Method: "GET"}
	if _, err := s.Put(t.Context(), store.Item{Key: changed, Attributes: raw("slow", "http://127.0.0.1:8089/mine")}, store.Always()); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), removed, store.Always()); err != nil {
		t.Fatal(err)
	}
	if n, err := seed(t.Context(), s, "127.0.0.1:9999"); n != 8 || err != nil {
		t.Errorf("seed put %d, %v, want the 8 others", n, err)
	}
	if got, err := s.Get(t.Context(), changed); err != nil || !bytes.Contains(got.Attributes, []byte("http://127.0.0.1:8089/mine")) {
		t.Errorf("the changed sample is %s, %v", got.Attributes, err)
	}
	if got, err := s.Get(t.Context(), removed); err == nil {
		t.Errorf("the removed sample is back: %s", got.Attributes)
	}
}
