package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"callfleet/internal/blob"
	"callfleet/internal/blob/fileblob"
	"callfleet/internal/blob/natsblob"
	"callfleet/internal/blob/s3blob"
)

// openBlobs opens the store of large bodies: that of the queue's broker unless
// another is named. It never returns a nil pointer as an interface.
func (b *Backend) openBlobs(ctx context.Context) (blob.Store, error) {
	at, expiry := b.options.Blobs, b.options.BlobExpiry
	nats, onNATS := b.queues.(*natsBroker)
	switch s := scheme(at); {
	case onNATS && (at == "" || at == b.options.Queue):
		return orNone(natsblob.New(ctx, nats.conn, natsblob.Options{Expiry: expiry}))
	case at == "":
		return nil, nil
	case s == "nats":
		other, err := b.connect(ctx, at)
		if err != nil {
			return nil, err
		}
		return orNone(natsblob.New(ctx, other, natsblob.Options{Expiry: expiry}))
	case s == "s3":
		return b.openS3(ctx)
	case s == "file":
		files, err := fileblob.New(strings.TrimPrefix(at, "file://"), fileblob.Options{Expiry: expiry})
		if err != nil {
			return nil, err
		}
		b.close = append(b.close, func() { _ = files.Close() }) // only reads and whole writes: nothing is lost
		return files, nil
	case s == "":
		return nil, errors.New("the URL is not valid")
	default:
		return nil, fmt.Errorf("unknown scheme %q", s)
	}
}

func (b *Backend) openS3(ctx context.Context) (blob.Store, error) {
	cfg, err := b.awsConfig(ctx)
	if err != nil {
		return nil, err
	}
	bucket, prefix := s3blob.Place(b.options.Blobs)
	return orNone(s3blob.New(cfg, s3blob.Options{Bucket: bucket, Prefix: prefix, Expiry: b.options.BlobExpiry}))
}

func orNone[S blob.Store](s S, err error) (blob.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Bucket is a blob store on a bucket that has to be made.
type Bucket interface {
	// Check finds out whether the bucket is there and may be read.
	Check(ctx context.Context) error
	// CheckExpiry finds out how long the bucket keeps a body; an error says what
	// to change, and is none that keeps calls from being made.
	CheckExpiry(ctx context.Context) (time.Duration, error)
	// Create makes it if it is missing.
	Create(ctx context.Context) (made bool, err error)
}

// Bucket is the bucket of the blob store, nil where that is none.
func (b *Backend) Bucket() Bucket {
	s, _ := b.Blobs.(Bucket)
	return s
}
