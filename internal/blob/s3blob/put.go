package s3blob

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"callfleet/internal/blob"
)

// part is the least that S3 takes as one part of several. It is all of a blob
// that is in memory.
const part = 5 << 20

var parts = sync.Pool{New: func() any { b := make([]byte, part); return &b }}

// Put implements blob.Store. Each part is sent until S3 has it, so that a
// moment's trouble does not cost what came before.
func (s *Store) Put(ctx context.Context, key, contentType string, r io.Reader) (blob.Ref, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Ref{}, fmt.Errorf("put blob: %w", err)
	}
	u := &upload{Store: s, key: s.key(key), kind: aws.String(cmp.Or(contentType, noType))}
	m := blob.NewMeter(r)
	if err := u.run(ctx, m); err != nil {
		return blob.Ref{}, fmt.Errorf("put blob %s in bucket %s: %w", key, s.o.Bucket, err)
	}
	return m.Ref(s.prefix()+key, contentType), nil
}

// upload is one blob on its way; owned by the goroutine of Put.
type upload struct {
	*Store
	key, kind *string
	id        *string // of an upload in parts
	done      []types.CompletedPart
}

func (u *upload) run(ctx context.Context, r io.Reader) error {
	buf := parts.Get().(*[]byte)
	defer parts.Put(buf)
	n, err := io.ReadFull(r, *buf)
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return u.whole(ctx, (*buf)[:n])
	case err != nil:
		return err
	}
	if err := u.begin(ctx); err != nil {
		return err
	}
	err = u.send(ctx, *buf)
	for err == nil {
		n, err = io.ReadFull(r, *buf)
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		if last {
			err = nil
		}
		if err == nil && n > 0 {
			err = u.send(ctx, (*buf)[:n])
		}
		if last && err == nil {
			if err = u.complete(ctx); err == nil {
				return nil
			}
		}
	}
	u.abort(ctx)
	return err
}

// whole sends a blob of one part.
func (u *upload) whole(ctx context.Context, data []byte) error {
	return blob.Try(ctx, func(ctx context.Context) error {
		_, err := u.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &u.o.Bucket, Key: u.key, ContentType: u.kind, ContentLength: aws.Int64(int64(len(data))), Body: bytes.NewReader(data),
		})
		return translate(err)
	})
}

func (u *upload) begin(ctx context.Context) error {
	return blob.Try(ctx, func(ctx context.Context) error {
		out, err := u.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &u.o.Bucket, Key: u.key, ContentType: u.kind})
		if err == nil {
			u.id = out.UploadId
		}
		return translate(err)
	})
}

func (u *upload) send(ctx context.Context, data []byte) error {
	number := aws.Int32(int32(len(u.done) + 1))
	return blob.Try(ctx, func(ctx context.Context) error {
		out, err := u.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &u.o.Bucket, Key: u.key, UploadId: u.id, PartNumber: number, ContentLength: aws.Int64(int64(len(data))), Body: bytes.NewReader(data),
		})
		if err == nil {
			u.done = append(u.done, types.CompletedPart{ETag: out.ETag, PartNumber: number})
		}
		return translate(err)
	})
}

func (u *upload) complete(ctx context.Context) error {
	return blob.Try(ctx, func(ctx context.Context) error {
		_, err := u.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &u.o.Bucket, Key: u.key, UploadId: u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: u.done},
		})
		return translate(err)
	})
}

// abort lets S3 drop the parts; the bucket's rule does it where this fails.
func (u *upload) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, _ = u.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.o.Bucket, Key: u.key, UploadId: u.id})
}
