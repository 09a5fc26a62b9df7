package natsblob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"callfleet/internal/blob"
	"callfleet/internal/blob/blobtest"
	"callfleet/internal/evidence"
	"callfleet/internal/natsembed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T) *nats.Conn {
	t.Helper()
	server, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(t), Logger: evidence.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	nc, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func open(t *testing.T, nc *nats.Conn, o Options) *Store {
	t.Helper()
	s, err := New(t.Context(), nc, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	nc := connect(t)
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, nc, Options{}) })
}

// What is written is an object like any other, for the tools of NATS.
func TestFormIsTheLibrarysOwn(t *testing.T) {
	t.Parallel()
	s := open(t, connect(t), Options{})
	data := blobtest.Data(600_000)
	ref, err := s.Put(t.Context(), "a/b", "image/png", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.objects.GetBytes(t.Context(), "a/b")
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the library reads %d bytes, %v", len(got), err)
	}
	info, err := s.objects.GetInfo(t.Context(), "a/b")
	if err != nil || info.Chunks != 3 || info.Size != 600_000 {
		t.Errorf("info %+v, %v", info, err)
	}
	if _, err := s.objects.Put(t.Context(), jetstream.ObjectMeta{Name: "a/b"}, bytes.NewReader(data)); err != nil {
		t.Errorf("the library writes over it: %v", err)
	}
	if o, err := blob.Open(t.Context(), s, ref); err != nil {
		t.Errorf("open what the library wrote: %v", err)
	} else {
		o.Close()
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	nc := connect(t)
	for _, row := range []struct {
		set, want time.Duration
	}{{0, DefaultExpiry}, {time.Hour, time.Hour}, {0, time.Hour}} {
		s := open(t, nc, Options{Expiry: row.set})
		status, err := s.objects.Status(t.Context())
		if err != nil || status.TTL() != row.want {
			t.Errorf("set to %s: kept for %s, %v, want %s", row.set, status.TTL(), err, row.want)
		}
	}
}

func TestBlobsExpire(t *testing.T) {
	t.Parallel()
	s := open(t, connect(t), Options{Expiry: time.Second})
	ref, err := s.Put(t.Context(), "a", "", bytes.NewReader(blobtest.Data(300_000)))
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); ; {
		_, err := s.Get(t.Context(), ref.URL)
		if errors.Is(err, blob.ErrNotFound) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("still there: %v", err)
		}
	}
}

// What a failed Put has sent does not stay.
func TestNothingStaysOfAFailedPut(t *testing.T) {
	t.Parallel()
	s := open(t, connect(t), Options{})
	broken := errors.New("broken")
	_, err := s.Put(t.Context(), "a", "", io.MultiReader(bytes.NewReader(blobtest.Data(2<<20)), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	for range 3 { // the same key again and again
		if _, err := s.Put(t.Context(), "b", "", bytes.NewReader(blobtest.Data(1<<20))); err != nil {
			t.Fatal(err)
		}
	}
	status, err := s.objects.Status(t.Context())
	if err != nil || status.Size() > 1<<20+64<<10 {
		t.Errorf("%d bytes are kept, %v, want those of one blob", status.Size(), err)
	}
}

// A broker that is away for a moment in the middle of a blob costs time alone.
func TestStoreAwayInTheMiddle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start := func(listen string) *natsembed.Server {
		server, err := natsembed.Start(natsembed.Options{StoreDir: dir, Listen: listen, Logger: evidence.Logger(t)})
		if err != nil {
			t.Error(err)
		}
		return server
	}
	server, again := start("127.0.0.1:0"), make(chan *natsembed.Server, 1)
	if server == nil {
		t.FailNow()
	}
	url := server.URL()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s := open(t, nc, Options{})
	data := blobtest.Data(4 << 20)
	away := readerFunc(func([]byte) (int, error) {
		server.Shutdown()
		go func() { again <- start(url[len("nats://"):]) }()
		return 0, io.EOF
	})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	ref, err := s.Put(ctx, "a", "", io.MultiReader(bytes.NewReader(data[:2<<20]), away, bytes.NewReader(data[2<<20:])))
	select {
	case server := <-again:
		if server != nil {
			defer server.Shutdown()
		}
	case <-ctx.Done():
	}
	if err != nil {
		t.Fatal(err)
	}
	o, err := blob.Open(ctx, s, ref)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// forgetful loses every other answer of the broker.
type forgetful struct {
	jetstream.JetStream
	n int // of answers; Put asks one after the other
}

func (f *forgetful) PublishMsg(ctx context.Context, m *nats.Msg, o ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ack, err := f.JetStream.PublishMsg(ctx, m, o...)
	if f.n++; f.n%2 == 1 && err == nil {
		return nil, nats.ErrTimeout
	}
	return ack, err
}

// A chunk whose acknowledgement is lost is sent again, and is there once.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	s := open(t, connect(t), Options{})
	s.js = &forgetful{JetStream: s.js}
	putAndGet(t, s, blobtest.Data(700_000))
}

// putAndGet keeps an image under the key "a", and reads it again.
func putAndGet(t *testing.T, s *Store, data []byte) {
	t.Helper()
	ref, err := s.Put(t.Context(), "a", "image/png", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	o, err := blob.Open(t.Context(), s, ref)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, data) || o.ContentType != "image/png" {
		t.Errorf("%d bytes of %q, %v, want %d", len(got), o.ContentType, err, len(data))
	}
}
