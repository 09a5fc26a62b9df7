package natsblob

import (
	"bytes"
	"io"
	"testing"

	"github.com/nats-io/nats.go"

	"callfleet/internal/blob"
	"callfleet/internal/blob/blobtest"
)

// behind answers direct reads of the bucket as a replica does that has not seen
// the message yet, and as the only one.
func behind(t *testing.T, s *Store) {
	t.Helper()
	c := s.stream.CachedInfo().Config
	c.AllowDirect = false // the broker itself does not answer them any more
	if _, err := s.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"$JS.API.DIRECT.GET.OBJ_" + s.bucket, "$JS.API.DIRECT.GET.OBJ_" + s.bucket + ".>"} {
		if _, err := s.conn.Subscribe(subject, func(m *nats.Msg) {
			_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"404"}, "Description": {"Message Not Found"}}})
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// A blob that the replica asked has not seen yet is there nevertheless.
func TestReplicaIsBehind(t *testing.T) {
	t.Parallel()
	s := open(t, connect(t), Options{})
	behind(t, s)
	for _, data := range [][]byte{blobtest.Data(600_000), blobtest.Data(10)} { // the second one in place of the first
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
	status, err := s.objects.Status(t.Context())
	if err != nil || status.Size() > 10_000 {
		t.Errorf("%d bytes are kept, %v, want those of the second blob", status.Size(), err)
	}
}
