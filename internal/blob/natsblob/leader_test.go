package natsblob

import (
	"testing"

	"github.com/nats-io/nats.go"

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
	putAndGet(t, s, blobtest.Data(600_000))
	putAndGet(t, s, blobtest.Data(10)) // in place of the first
	status, err := s.objects.Status(t.Context())
	if err != nil || status.Size() > 10_000 {
		t.Errorf("%d bytes are kept, %v, want those of the second blob", status.Size(), err)
	}
}
