package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"callfleet/internal/evidence"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// bundle is a broker and a store on it.
type bundle struct {
	*Store
	nc *nats.Conn
}

func setup(t *testing.T) *bundle {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: evidence.Dir(t), NoSigs: true, NoLog: true, MaxPayload: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); s.Shutdown(); s.WaitForShutdown() })
	b := &bundle{nc: nc}
	b.Store = b.open(t)
	return b
}

// open opens one more store on the broker, as another process would.
func (b *bundle) open(t *testing.T) *Store {
	t.Helper()
	st, err := Open(t.Context(), b.nc, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	return st
}

var base = time.UnixMilli(1_700_000_000_000).UTC()

// run writes an execution of two records; the second ends it unless open.
func (b *bundle) run(t *testing.T, k Key, open bool, started time.Time) (first, last uint64) {
	t.Helper()
	meta := Meta{Status: Running, Started: started, Writer: "w1"}
	first, err := b.Append(t.Context(), &Record{Key: k, Meta: meta, Data: []byte("one")}, 0)
	if err != nil {
		t.Fatal(err)
	}
	meta.First = first
	if !open {
		meta.Status, meta.Stopped = Succeeded, started.Add(time.Second)
	}
	last, err = b.Append(t.Context(), &Record{Key: k, Meta: meta, Data: []byte("two")}, first)
	if err != nil {
		t.Fatal(err)
	}
	return first, last
}

func TestLoadReturnsWhatWasAppended(t *testing.T) {
	t.Parallel()
	b := setup(t)
	k := Key{Machine: "a.b", Name: "übung=1"}
	first, last := b.run(t, k, false, base)
	got, err := b.Load(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || string(got[0].Data) != "one" || string(got[1].Data) != "two" {
		t.Fatalf("got %v", got)
	}
	want := Meta{Status: Succeeded, Started: base, Stopped: base.Add(time.Second), First: first, Writer: "w1"}
	if got[1].Meta != want || got[1].Seq != last || got[0].First != 0 {
		t.Errorf("got %+v, want %+v", got[1], want)
	}
	if _, err := b.Load(t.Context(), Key{Machine: "a.b", Name: "other"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("missing execution: %v, want ErrNotFound", err)
	}
}

func TestLoadReadsMoreThanOneBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	k := Key{Machine: "m", Name: "long"}
	var last uint64
	for i := range 2*batch + 3 {
		seq, err := b.Append(t.Context(), &Record{Key: k, Meta: Meta{Status: Running, Started: base}, Data: fmt.Append(nil, i)}, last)
		if err != nil {
			t.Fatal(err)
		}
		last = seq
	}
	got, err := b.Load(t.Context(), k)
	if err != nil || len(got) != 2*batch+3 {
		t.Fatalf("got %d records, %v", len(got), err)
	}
	for i, r := range got {
		if string(r.Data) != fmt.Sprint(i) {
			t.Fatalf("record %d is %s", i, r.Data)
		}
	}
}

func TestAppendRefusesTheSlowerWriter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	k := Key{Machine: "m", Name: "x"}
	first, _ := b.run(t, k, true, base)
	for _, last := range []uint64{0, first} {
		_, err := b.Append(t.Context(), &Record{Key: k, Meta: Meta{Status: Running, Started: base}}, last)
		if !errors.Is(err, ErrConflict) {
			t.Errorf("append after %d: %v, want ErrConflict", last, err)
		}
	}
}

func TestAppendSaysTooLarge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.Append(t.Context(), &Record{Key: Key{Machine: "m", Name: "x"}, Meta: Meta{Status: Running, Started: base}, Data: make([]byte, 128<<10)}, 0)
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func TestScanIndexesEveryExecutionByItsLastHeader(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 30 {
		b.run(t, Key{Machine: "m", Name: fmt.Sprint("x", i)}, i%3 == 0, base.Add(time.Duration(i)*time.Second))
	}
	fresh := b.open(t)
	open, closed := 0, 0
	if err := fresh.Scan(t.Context(), func(e Entry) {
		if e.Status.Closed() {
			closed++
		} else {
			open++
		}
	}); err != nil {
		t.Fatal(err)
	}
	if open != 10 || closed != 20 {
		t.Errorf("scanned %d open and %d closed, want 10 and 20", open, closed)
	}
	a, c := b.List(Query{Machine: "m", Limit: 100}), fresh.List(Query{Machine: "m", Limit: 100})
	if len(a) != 30 || len(c) != 30 {
		t.Fatalf("listed %d and %d", len(a), len(c))
	}
	for i := range a {
		if a[i] != c[i] {
			t.Errorf("entry %d: writer's list has %+v, scanned list %+v", i, a[i], c[i])
		}
	}
}

func TestScanOfAnEmptyLogEnds(t *testing.T) {
	t.Parallel()
	if err := setup(t).Scan(t.Context(), func(e Entry) { t.Errorf("found %v", e) }); err != nil {
		t.Fatal(err)
	}
}

func TestListPagesNewestFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 7 {
		b.run(t, Key{Machine: "m", Name: fmt.Sprint(i)}, i%2 == 0, base)
	}
	var names string
	q := Query{Machine: "m", Status: Running, Limit: 2}
	for {
		page := b.List(q)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			names += e.Name
		}
		q.Before = page[len(page)-1].First
	}
	if names != "6420" {
		t.Errorf("listed %s, want 6420", names)
	}
	if got := b.List(Query{Machine: "other", Limit: 5}); len(got) != 0 {
		t.Errorf("other machine has %v", got)
	}
}

func TestExpireKeepsWhatIsOpenAndWhatIsYoung(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 10 {
		b.run(t, Key{Machine: "m", Name: fmt.Sprint("old", i)}, false, base)
	}
	b.run(t, Key{Machine: "m", Name: "open"}, true, base)
	for i := range 10 {
		b.run(t, Key{Machine: "m", Name: fmt.Sprint("mid", i)}, false, base)
	}
	now := base.Add(time.Hour)
	b.run(t, Key{Machine: "m", Name: "young"}, false, now)
	n, err := b.Expire(t.Context(), Limits{Closed: 1}, now)
	if err != nil || n != 20 {
		t.Fatalf("expired %d, %v; want 20", n, err)
	}
	for name, want := range map[string]bool{"old0": false, "old9": false, "mid0": false, "mid9": false, "open": true, "young": true} {
		_, err := b.Load(t.Context(), Key{Machine: "m", Name: name})
		if got := err == nil; got != want {
			t.Errorf("%s is there: %v, want %v (%v)", name, got, want, err)
		}
	}
	if got := len(b.List(Query{Machine: "m", Limit: 100})); got != 2 {
		t.Errorf("list has %d entries, want 2", got)
	}
	if open, closed := b.Counts(); open != 1 || closed != 1 {
		t.Errorf("counts %d open, %d closed", open, closed)
	}
}

func TestExpireLeavesWhatAnotherEngineNeeds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, _ := b.run(t, Key{Machine: "m", Name: "0"}, false, base)
	other := &bundle{Store: b.open(t), nc: b.nc}
	other.run(t, Key{Machine: "m", Name: "theirs"}, true, base)
	b.run(t, Key{Machine: "m", Name: "1"}, false, base)
	if got := other.Floor(99); got != first+2 {
		t.Fatalf("the other engine's floor is %d, want %d", got, first+2)
	}
	if _, err := b.Expire(t.Context(), Limits{Age: time.Minute, Floor: other.Floor(99)}, base.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Load(t.Context(), Key{Machine: "m", Name: "theirs"}); err != nil {
		t.Errorf("the other engine's execution is gone: %v", err)
	}
	if _, closed := b.Counts(); closed != 0 {
		t.Errorf("%d closed executions are left, want 0", closed)
	}
}

func TestInstancesAreSavedAndForgotten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := Instance{ID: "abc", Published: 7, Floor: 3, At: base}
	if err := b.SaveInstance(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got, err := b.Instances(t.Context())
	if err != nil || len(got) != 1 || got[0] != want {
		t.Fatalf("got %+v, %v", got, err)
	}
	if err := b.ForgetInstance(t.Context(), "abc"); err != nil {
		t.Fatal(err)
	}
	if got, err = b.Instances(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("after forgetting: %+v, %v", got, err)
	}
}

func FuzzKeyAsSubject(f *testing.F) {
	for _, s := range []string{"a", "a.b", "=41", "x y*>", "ü", "\x00"} {
		f.Add(s, "n-1")
	}
	s := &Store{subjects: "p.log."}
	f.Fuzz(func(t *testing.T, machine, name string) {
		k := Key{Machine: machine, Name: name}
		got, err := s.key(s.subject(k))
		if err != nil || got != k {
			t.Errorf("%q came back as %q, %v", k, got, err)
		}
		_, _ = unescape(machine) // whatever it is, no panic
	})
}

func FuzzDecodeMeta(f *testing.F) {
	f.Add(Meta{Status: Failed, Started: base, Stopped: base, First: 9, Writer: "w"}.encode())
	f.Add("1 RUNNING 1 0 0 -")
	f.Add("2 RUNNING 1 0 0 w")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := decodeMeta(s)
		if err != nil {
			return
		}
		again, err := decodeMeta(m.encode())
		if err != nil || again != m {
			t.Errorf("%q: %+v came back as %+v, %v", s, m, again, err)
		}
	})
}
