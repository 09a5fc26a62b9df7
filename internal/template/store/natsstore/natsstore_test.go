package natsstore_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"callfleet/internal/evidence"
	"callfleet/internal/template/store"
	"callfleet/internal/template/store/natsstore"
	"callfleet/internal/template/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect starts a server in this process.
func connect(t *testing.T) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: evidence.Dir(t), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		s.Shutdown()
		s.WaitForShutdown()
	})
	return nc
}

func open(t *testing.T, nc *nats.Conn) *natsstore.Store {
	t.Helper()
	s, err := natsstore.New(t.Context(), nc, natsstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, connect(t)) })
}

func TestSecondStoreSeesTheSame(t *testing.T) {
	t.Parallel()
	nc := connect(t)
	one, two := open(t, nc), open(t, nc)
	it := store.Item{Key: store.Key{Name: "a", Method: "GET"}, Attributes: []byte(`{"PK":{"S":"a"},"SK":{"S":"GET"}}`)}
	rev, err := one.Put(t.Context(), it, store.IfAbsent())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := two.Get(t.Context(), it.Key); err != nil || got.Revision != rev {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestForeignKeysAreLeftAlone(t *testing.T) {
	t.Parallel()
	nc := connect(t)
	s := open(t, nc)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "templates")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"foreign", "a=4.GET", "a=ZZ.GET", "a.GET.x", "a.GET.0", "a.GET.03", "a.GET.3.4"} {
		if _, err := kv.PutString(t.Context(), key, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if items, err := s.List(t.Context(), store.Key{}, 10); err != nil || len(items) != 0 {
		t.Errorf("got %v, %v", items, err)
	}
	if items, err := s.Versions(t.Context(), store.Key{Name: "a"}); err != nil || len(items) != 0 {
		t.Errorf("versions are %v, %v", items, err)
	}
}

// A bucket that is used for long does not fill up with what was pruned.
func TestDeletedVersionsLeaveNoMarker(t *testing.T) {
	t.Parallel()
	nc := connect(t)
	s := open(t, nc)
	key := store.Key{Name: "a b", Method: "GET"}.At(3)
	if _, err := s.Put(t.Context(), store.Item{Key: key, Attributes: []byte(`{"PK":{"S":"a b"},"SK":{"S":"GET@3"}}`)}, store.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_templates")
	if err != nil {
		t.Fatal(err)
	}
	for want := range 2 {
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("$KV.templates.a=20b.GET.3"))
		if err != nil || int(info.State.Msgs) != 1-want || len(info.State.Subjects) != 1-want {
			t.Errorf("the bucket holds %+v, %v", info.State, err)
		}
		if err := s.Delete(t.Context(), key, store.Always()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeletingNothingLeavesNoMarker(t *testing.T) {
	t.Parallel()
	nc := connect(t)
	s := open(t, nc)
	for range 3 {
		if err := s.Delete(t.Context(), store.Key{Name: "a", Method: "GET"}, store.Always()); err != nil {
			t.Fatal(err)
		}
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_templates")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 0 {
		t.Errorf("the bucket holds %d messages", n)
	}
}

func TestBadBucket(t *testing.T) {
	t.Parallel()
	_, err := natsstore.New(t.Context(), connect(t), natsstore.Options{Bucket: "a b"})
	if err == nil || !strings.HasPrefix(err.Error(), "open template bucket a b: ") {
		t.Errorf("got %v", err)
	}
}
