// Package s3blob keeps blobs in a bucket of S3, or of what speaks its protocol.
package s3blob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"callfleet/internal/blob"
)

// DefaultExpiry is how long a blob is kept in a bucket that Create makes.
const DefaultExpiry = 7 * 24 * time.Hour

// Options are the settings of a Store.
type Options struct {
	Bucket string
	// Prefix begins every key, with a slash at its end; "" is none.
	Prefix string
	// Expiry is what Create tells the bucket, in days, a part of one as a whole.
	// Default DefaultExpiry.
	Expiry time.Duration
}

// Store is a bucket. S3 removes what has expired, by the bucket's rule.
type Store struct {
	client *s3.Client
	region string
	o      Options
}

var _ blob.Store = (*Store)(nil)

// Place is the bucket and the prefix that a URL names: s3://bucket/prefix.
func Place(url string) (bucket, prefix string) {
	bucket, prefix, _ = strings.Cut(strings.TrimPrefix(url, "s3://"), "/")
	return bucket, prefix
}

// New returns a store; it asks S3 for nothing.
func New(cfg aws.Config, o Options) (*Store, error) {
	if o.Bucket == "" || strings.Contains(o.Bucket, "/") {
		return nil, errors.New("open blob bucket: want a URL such as s3://bucket or s3://bucket/prefix")
	}
	if o.Prefix != "" {
		o.Prefix = strings.Trim(o.Prefix, "/") + "/"
		if err := blob.CheckKey(strings.TrimSuffix(o.Prefix, "/")); err != nil {
			return nil, fmt.Errorf("open blob bucket %s: prefix: %w", o.Bucket, err)
		}
	}
	o.Expiry = cmp.Or(o.Expiry, DefaultExpiry)
	client := s3.NewFromConfig(cfg, func(c *s3.Options) {
		// Elsewhere than on AWS a bucket has no host of its own.
		c.UsePathStyle = c.BaseEndpoint != nil
		// A blob has a digest of its own; other servers do not know S3's.
		c.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		c.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	return &Store{client: client, region: cfg.Region, o: o}, nil
}

func (s *Store) prefix() string { return "s3://" + s.o.Bucket + "/" + s.o.Prefix }

func (s *Store) key(key string) *string { return aws.String(s.o.Prefix + key) }

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, url string) (*blob.Object, error) {
	key, err := blob.KeyOf(url, s.prefix())
	if err != nil {
		return nil, fmt.Errorf("get blob: %w", err)
	}
	var out *s3.GetObjectOutput
	err = blob.Try(ctx, func(context.Context) (err error) {
		// Reading goes on beyond this try, with ctx.
		out, err = s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.o.Bucket, Key: s.key(key)})
		return translate(err)
	})
	if err != nil {
		return nil, fmt.Errorf("get blob %s in bucket %s: %w", key, s.o.Bucket, err)
	}
	kind := aws.ToString(out.ContentType)
	if kind == noType {
		kind = ""
	}
	body := struct {
		io.Reader
		io.Closer
	}{blob.Within(ctx, out.Body), out.Body}
	return &blob.Object{ReadCloser: body, Bytes: aws.ToInt64(out.ContentLength), ContentType: kind}, nil
}

// noType is what S3 would make of no content type by itself.
const noType = "binary/octet-stream"

// URL implements blob.Store.
func (s *Store) URL(key string) string { return s.prefix() + key }

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, url string) error {
	key, err := blob.KeyOf(url, s.prefix())
	if err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	err = blob.Try(ctx, func(ctx context.Context) error {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.o.Bucket, Key: s.key(key)})
		return translate(err)
	})
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		return fmt.Errorf("delete blob %s in bucket %s: %w", key, s.o.Bucket, err)
	}
	return nil
}

// translate gives the errors of S3 the names of the seam: what S3 refuses once
// it will refuse again, unless it says that there was too much of it.
func translate(err error) error {
	var answered *awshttp.ResponseError
	if err == nil || !errors.As(err, &answered) {
		return err
	}
	api, _ := errors.AsType[smithy.APIError](err)
	switch code := answered.HTTPStatusCode(); {
	case api != nil && api.ErrorCode() == "NoSuchBucket":
		return fmt.Errorf("%w: there is no such bucket: make it with \"producer setup\" or deploy/cdk (%w)", blob.ErrRefused, err)
	case code == http.StatusNotFound:
		return fmt.Errorf("%w (%w)", blob.ErrNotFound, err)
	case code == http.StatusForbidden:
		return fmt.Errorf("%w: access denied: the role needs s3:GetObject, s3:PutObject and s3:AbortMultipartUpload on the bucket's objects and s3:ListBucket on the bucket (%w)", blob.ErrRefused, err)
	case code >= 400 && code < 500 && code != http.StatusRequestTimeout && code != http.StatusTooManyRequests:
		return fmt.Errorf("%w: %w", blob.ErrRefused, err)
	}
	return err
}
