package s3blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
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
	if err != nil || len(out.Rules) != 1 || *out.Rules[0].Expiration.Days != 2 {
		t.Errorf("rules %+v, %v, want one that expires after two days", out, err)
	}
}

// Rules that do not let every blob expire in time are told apart.
func TestCheckExpiry(t *testing.T) {
	t.Parallel()
	moto := awstest.Moto(t)
	rule := func(prefix string, days int32, parts bool) types.LifecycleRule {
		r := types.LifecycleRule{Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: &prefix}}
		if days > 0 {
			r.Expiration = &types.LifecycleExpiration{Days: &days}
		}
		if parts {
			r.AbortIncompleteMultipartUpload = &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(1)}
		}
		return r
	}
	off, tagged := rule("", 3, true), rule("", 3, true)
	off.Status, tagged.Filter = types.ExpirationStatusDisabled, &types.LifecycleRuleFilter{Tag: &types.Tag{Key: aws.String("a"), Value: aws.String("b")}}
	for name, row := range map[string]struct {
		rules []types.LifecycleRule
		days  int
		says  string // "" is well
	}{
		"as made":             {nil, 3, ""},
		"of the whole bucket": {[]types.LifecycleRule{rule("", 3, true)}, 3, ""},
		"in two rules":        {[]types.LifecycleRule{rule("fleet/", 3, false), rule("", 0, true)}, 3, ""},
		"the shortest counts": {[]types.LifecycleRule{rule("", 3, true), rule("fleet/", 1, true)}, 1, "keeps bodies 1 days by its lifecycle rule, and CALLFLEET_BLOB_EXPIRY says 3"},
		"of another prefix":   {[]types.LifecycleRule{rule("fleet/answers/", 3, true)}, 0, `keeps bodies for ever: give it a lifecycle rule that expires objects under "fleet/" after 3 days`},
		"off":                 {[]types.LifecycleRule{off}, 0, "for ever"},
		"of some objects":     {[]types.LifecycleRule{tagged}, 0, "for ever"},
		"parts stay":          {[]types.LifecycleRule{rule("fleet/", 3, false)}, 3, "parts of broken uploads"},
		"none":                {[]types.LifecycleRule{}, 0, "for ever"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bucket := awstest.Name("blobs")
			s := open(t, moto, Options{Bucket: bucket, Prefix: "fleet", Expiry: 3 * 24 * time.Hour})
			var err error
			switch {
			case row.rules != nil && len(row.rules) == 0:
				_, err = s.client.DeleteBucketLifecycle(t.Context(), &s3.DeleteBucketLifecycleInput{Bucket: &bucket})
			case row.rules != nil:
				_, err = s.client.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{
					Bucket: &bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: row.rules},
				})
			}
			if err != nil {
				t.Fatal(err)
			}
			kept, err := s.CheckExpiry(t.Context())
			if kept != time.Duration(row.days)*24*time.Hour || (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
				t.Errorf("%s, %v, want %d days and %q", kept, err, row.days, row.says)
			}
		})
	}
	s, err := New(moto.Config(), Options{Bucket: awstest.Name("never-made")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CheckExpiry(t.Context()); err == nil || !strings.Contains(err.Error(), "s3:GetLifecycleConfiguration") {
		t.Errorf("without a bucket: %v", err)
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
