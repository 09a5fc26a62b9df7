package s3blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"

	"callfleet/internal/awstest"
	"callfleet/internal/blob"
	"callfleet/internal/blob/blobtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, e awstest.Emulator, o Options) *Store {
	t.Helper()
	s, err := New(e.Config(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	moto, bucket := awstest.Moto(t), awstest.Name("blobs")
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, moto, Options{Bucket: bucket, Prefix: "fleet"}) })
}

func TestCreate(t *testing.T) {
	t.Parallel()
	moto, bucket := awstest.Moto(t), awstest.Name("blobs")
	s, err := New(moto.Config(), Options{Bucket: bucket, Expiry: 36 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "producer setup") {
		t.Errorf("check without a bucket: %v, want the way out", err)
	}
	if _, err := s.Put(t.Context(), "a", "", strings.NewReader("x")); !errors.Is(err, blob.ErrRefused) {
		t.Errorf("put without a bucket: %v, want ErrRefused", err)
	}
	for _, want := range []bool{true, false} {
		if made, err := s.Create(t.Context()); err != nil || made != want {
			t.Errorf("made %v, %v, want %v", made, err, want)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	out, err := s.client.GetBucketLifecycleConfiguration(t.Context(), &s3.GetBucketLifecycleConfigurationInput{Bucket: &bucket})
	if err != nil || len(out.Rules) != 1 || *out.Rules[0].Expiration.Days != 1 {
		t.Errorf("rules %+v, %v, want one that expires after a day", out, err)
	}
}

// Nothing of a failed upload stays, not even parts that no listing shows.
func TestNothingStaysOfAFailedPut(t *testing.T) {
	t.Parallel()
	moto, bucket := awstest.Moto(t), awstest.Name("blobs")
	s := open(t, moto, Options{Bucket: bucket})
	broken := errors.New("broken")
	r := io.MultiReader(bytes.NewReader(blobtest.Data(6<<20)), readerFunc(func([]byte) (int, error) { return 0, broken }))
	if _, err := s.Put(t.Context(), "a", "", r); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	out, err := s.client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil || len(out.Uploads) != 0 {
		t.Errorf("%d uploads are left, %v", len(out.Uploads), err)
	}
}

// S3 that is away for a moment in the middle of a blob costs time alone; away
// for longer, the error says so.
func TestStoreAwayInTheMiddle(t *testing.T) {
	t.Parallel()
	moto, bucket := awstest.Moto(t), awstest.Name("blobs")
	open(t, moto, Options{Bucket: bucket})
	proxy := awstest.FaultProxy(t, moto.URL)
	s := open(t, proxy.Emulator, Options{Bucket: bucket})
	data := blobtest.Data(12 << 20)
	away := readerFunc(func([]byte) (int, error) {
		proxy.Set(awstest.Down)
		time.AfterFunc(300*time.Millisecond, proxy.Clear)
		return 0, io.EOF
	})
	ref, err := s.Put(t.Context(), "a", "image/png", io.MultiReader(bytes.NewReader(data[:6<<20]), away, bytes.NewReader(data[6<<20:])))
	if err != nil {
		t.Fatal(err)
	}
	o, err := blob.Open(t.Context(), s, ref)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	proxy.Set(awstest.Down)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Put(ctx, "b", "", strings.NewReader("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
