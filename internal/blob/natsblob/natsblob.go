// Package natsblob keeps blobs in an object store of JetStream.
package natsblob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/blob"
)

// DefaultExpiry is how long a blob of a new bucket is kept.
const DefaultExpiry = 7 * 24 * time.Hour

// Options are the settings of a Store. A zero field is its default.
type Options struct {
	// Bucket is the name of the object store. Default "callfleet-blobs".
	Bucket string
	// Expiry is how long a blob is kept. Default: as the bucket says, and
	// DefaultExpiry for a new one.
	Expiry time.Duration
	// Replicas of a new bucket. Default 1.
	Replicas int
}

// Store is a bucket. The connection stays the caller's.
type Store struct {
	conn    *nats.Conn
	js      jetstream.JetStream
	objects jetstream.ObjectStore
	stream  jetstream.Stream // that objects is on
	bucket  string
}

var _ blob.Store = (*Store)(nil)

const typeHeader = "Content-Type"

// New opens the bucket, and makes it when it is not there.
func New(ctx context.Context, nc *nats.Conn, o Options) (*Store, error) {
	o.Bucket, o.Replicas = cmp.Or(o.Bucket, "callfleet-blobs"), cmp.Or(o.Replicas, 1)
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open blob bucket %s: %w", o.Bucket, err)
	}
	objects, err := js.ObjectStore(ctx, o.Bucket)
	switch {
	case errors.Is(err, jetstream.ErrBucketNotFound):
		objects, err = js.CreateObjectStore(ctx, config(o))
		if errors.Is(err, jetstream.ErrBucketExists) { // somebody else was faster
			objects, err = js.ObjectStore(ctx, o.Bucket)
		}
	case err == nil && o.Expiry > 0:
		objects, err = keepFor(ctx, js, objects, o)
	}
	var stream jetstream.Stream
	if err == nil {
		stream, err = js.Stream(ctx, "OBJ_"+o.Bucket)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob bucket %s: %w", o.Bucket, err)
	}
	return &Store{conn: nc, js: js, objects: objects, stream: stream, bucket: o.Bucket}, nil
}

func config(o Options) jetstream.ObjectStoreConfig {
	return jetstream.ObjectStoreConfig{
		Bucket: o.Bucket, Description: "Bodies of callfleet that are too large for a message",
		TTL: cmp.Or(o.Expiry, DefaultExpiry), Replicas: o.Replicas,
	}
}

// keepFor changes the bucket's expiry, and nothing else of it.
func keepFor(ctx context.Context, js jetstream.JetStream, objects jetstream.ObjectStore, o Options) (jetstream.ObjectStore, error) {
	status, err := objects.Status(ctx)
	if err != nil || status.TTL() == o.Expiry {
		return objects, err
	}
	o.Replicas = status.Replicas()
	return js.UpdateObjectStore(ctx, config(o))
}

func (s *Store) prefix() string { return "nats-object://" + s.bucket + "/" }

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, key, contentType string, r io.Reader) (blob.Ref, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Ref{}, fmt.Errorf("put blob: %w", err)
	}
	ref, err := s.put(ctx, key, contentType, r)
	if err != nil {
		return blob.Ref{}, fmt.Errorf("put blob %s in bucket %s: %w", key, s.bucket, err)
	}
	return ref, nil
}

// URL implements blob.Store.
func (s *Store) URL(key string) string { return s.prefix() + key }

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, url string) error {
	key, err := blob.KeyOf(url, s.prefix())
	if err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	err = blob.Try(ctx, func(ctx context.Context) error { return translate(s.objects.Delete(ctx, key)) })
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		return fmt.Errorf("delete blob %s in bucket %s: %w", key, s.bucket, err)
	}
	return nil
}

// translate gives the errors of JetStream the names of the seam.
func translate(err error) error {
	switch {
	case errors.Is(err, jetstream.ErrObjectNotFound):
		return blob.ErrNotFound
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrPermissionViolation),
		errors.Is(err, nats.ErrAuthorization), errors.Is(err, jetstream.ErrBucketNotFound):
		return fmt.Errorf("%w: %w", blob.ErrRefused, err)
	}
	return err
}
