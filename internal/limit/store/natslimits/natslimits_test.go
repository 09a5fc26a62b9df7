package natslimits

import (
	"testing"

	"go.uber.org/goleak"

	"callfleet/internal/evidence"
	"callfleet/internal/limit/store"
	"callfleet/internal/limit/store/storetest"
	"callfleet/internal/natsembed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store { return open(t) })
}

func open(t *testing.T) *Store {
	t.Helper()
	server, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	conn, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	s, err := New(t.Context(), conn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := New(t.Context(), conn, Options{}); err != nil || again.name != "flows" {
		t.Fatalf("opened again: %v, %v", again, err)
	}
	return s
}

// What others keep in the bucket is not ours.
func TestOtherKeysAreLeftAlone(t *testing.T) {
	t.Parallel()
	s := open(t)
	if _, err := s.kv.Put(t.Context(), "other", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if all, err := s.List(t.Context()); len(all) != 0 || err != nil {
		t.Errorf("listed %v, %v", all, err)
	}
}
