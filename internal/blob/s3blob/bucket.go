package s3blob

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"callfleet/internal/blob"
)

const day = 24 * time.Hour

// days is an expiry as S3 takes it: never shorter than it was meant.
func days(expiry time.Duration) int32 { return int32((expiry + day - 1) / day) }

// Check finds out whether the bucket is there and blobs in it may be read.
func (s *Store) Check(ctx context.Context) error {
	_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.o.Bucket})
	if err = translate(err); errors.Is(err, blob.ErrNotFound) {
		err = errors.New("there is no such bucket: make it with \"producer setup\" or deploy/cdk")
	}
	if err == nil { // nobody puts a blob there: that it is not found is right
		_, err = s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.o.Bucket, Key: s.key("check")})
		if err = translate(err); errors.Is(err, blob.ErrNotFound) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("blob bucket %s: %w", s.o.Bucket, err)
	}
	return nil
}

// Create makes the bucket when it is missing, closed to the public as S3's are,
// and with the rule that lets blobs expire.
func (s *Store) Create(ctx context.Context) (made bool, err error) {
	if _, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.o.Bucket}); err == nil {
		return false, nil
	} else if !errors.Is(translate(err), blob.ErrNotFound) {
		return false, fmt.Errorf("make blob bucket %s: %w", s.o.Bucket, err)
	}
	in := &s3.CreateBucketInput{Bucket: &s.o.Bucket}
	if s.region != "us-east-1" { // which is the one that must not be named
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(s.region)}
	}
	if _, err := s.client.CreateBucket(ctx, in); err != nil {
		return false, fmt.Errorf("make blob bucket %s: %w", s.o.Bucket, err)
	}
	_, err = s.client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{
		Bucket: &s.o.Bucket,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{
			ID: aws.String("callfleet"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String(s.o.Prefix)},
			Expiration:                     &types.LifecycleExpiration{Days: aws.Int32(days(s.o.Expiry))},
			AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(1)},
		}}},
	})
	if err != nil {
		return true, fmt.Errorf("let blobs of bucket %s expire: %w", s.o.Bucket, err)
	}
	return true, nil
}

// CheckExpiry finds out how long the bucket's rules keep blobs, and whether
// they do what a fleet wants of them: that all blobs expire, in the time of the
// options, and that parts of broken uploads go. The error says what to change.
func (s *Store) CheckExpiry(ctx context.Context) (kept time.Duration, err error) {
	out, err := s.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &s.o.Bucket})
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "NoSuchLifecycleConfiguration" {
		out, err = &s3.GetBucketLifecycleConfigurationOutput{}, nil
	}
	if err != nil {
		return 0, fmt.Errorf("rules of blob bucket %s (s3:GetLifecycleConfiguration): %w", s.o.Bucket, err)
	}
	least, aborts := int32(0), false
	for _, rule := range out.Rules {
		if rule.Status != types.ExpirationStatusEnabled || !s.covered(rule) {
			continue
		}
		if e := rule.Expiration; e != nil && e.Days != nil && (least == 0 || *e.Days < least) {
			least = *e.Days
		}
		aborts = aborts || rule.AbortIncompleteMultipartUpload != nil
	}
	kept = time.Duration(least) * day
	switch want := days(s.o.Expiry); {
	case least == 0:
		return 0, fmt.Errorf("blob bucket %s keeps bodies for ever: give it a lifecycle rule that expires objects under %q after %d days", s.o.Bucket, s.o.Prefix, want)
	case least != want:
		return kept, fmt.Errorf("blob bucket %s keeps bodies %d days by its lifecycle rule, and CALLFLEET_BLOB_EXPIRY says %d: only the rule counts, change one of them", s.o.Bucket, least, want)
	case !aborts:
		return kept, fmt.Errorf("blob bucket %s keeps parts of broken uploads for ever: give it a lifecycle rule that aborts incomplete multipart uploads after a day", s.o.Bucket)
	}
	return kept, nil
}

// covered reports whether a rule is about every blob of the store.
func (s *Store) covered(rule types.LifecycleRule) bool {
	//lint:ignore SA1019 S3 still gives it for rules that were made in the old form
	prefix := rule.Prefix
	if f := rule.Filter; f != nil {
		if f.And != nil || f.Tag != nil || f.ObjectSizeGreaterThan != nil || f.ObjectSizeLessThan != nil {
			return false
		}
		prefix = f.Prefix
	}
	return strings.HasPrefix(s.o.Prefix, aws.ToString(prefix))
}
