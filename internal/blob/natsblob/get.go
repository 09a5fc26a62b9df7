package natsblob

import (
	"context"
	"fmt"
	"io"

	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/blob"
)

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, url string) (*blob.Object, error) {
	key, err := blob.KeyOf(url, s.prefix())
	if err != nil {
		return nil, fmt.Errorf("get blob: %w", err)
	}
	var info *jetstream.ObjectInfo
	err = blob.Try(ctx, func(ctx context.Context) error {
		info, err = s.info(ctx, key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get blob %s in bucket %s: %w", key, s.bucket, err)
	}
	r := &reader{ctx: ctx, store: s, key: key, subject: s.chunkSubject(info.NUID), next: 1, left: int64(info.Size)}
	return &blob.Object{ReadCloser: io.NopCloser(r), Bytes: r.left, ContentType: info.Headers.Get(typeHeader)}, nil
}

// reader asks for one chunk after the other. The client library's own has a
// consumer, which sends more than is read, and leaves goroutines behind when it
// is closed early.
type reader struct {
	ctx     context.Context
	store   *Store
	key     string
	subject string
	next    uint64 // least sequence number of the next chunk
	left    int64  // bytes after chunk
	chunk   []byte // received and not read
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, context.Cause(r.ctx)
	}
	if len(r.chunk) == 0 && r.left <= 0 {
		return 0, io.EOF
	}
	if len(r.chunk) == 0 {
		if err := r.receive(); err != nil {
			return 0, fmt.Errorf("read blob %s in bucket %s: %w", r.key, r.store.bucket, err)
		}
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}

func (r *reader) receive() error {
	return blob.Try(r.ctx, func(ctx context.Context) error {
		m, err := r.store.chunkFrom(ctx, r.subject, r.next)
		switch {
		case err != nil: // blob.ErrNotFound: deleted or expired meanwhile
			return err
		case len(m.Data) == 0:
			return fmt.Errorf("%w: it has an empty chunk", blob.ErrRefused)
		}
		r.next, r.chunk, r.left = m.Seq+1, m.Data, r.left-int64(len(m.Data))
		return nil
	})
}
