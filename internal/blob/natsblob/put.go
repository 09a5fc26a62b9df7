package natsblob

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"callfleet/internal/blob"
)

// chunk is what one message holds: less than any broker's limit, unless one
// was made smaller by hand.
const chunk = 256 << 10

var chunks = sync.Pool{New: func() any { b := make([]byte, chunk); return &b }}

// put writes an object in the form of the client library's own Put (NATS
// ADR-20). That one has up to 4,000 chunks in flight, which is the whole of a
// large blob in memory, and gives up at the first chunk that fails; this one
// has a single chunk, and sends it until the broker has it.
func (s *Store) put(ctx context.Context, key, contentType string, r io.Reader) (blob.Ref, error) {
	before, err := s.existing(ctx, key)
	if err != nil {
		return blob.Ref{}, err
	}
	id, m, digest := nuid.Next(), blob.NewMeter(r), sha256.New()
	n, err := s.sendChunks(ctx, id, io.TeeReader(m, digest))
	if err == nil {
		info := jetstream.ObjectInfo{
			ObjectMeta: jetstream.ObjectMeta{
				Name: key, Headers: nats.Header{typeHeader: {contentType}}, Opts: &jetstream.ObjectMetaOptions{ChunkSize: chunk},
			},
			Bucket: s.bucket, NUID: id, Size: uint64(m.Bytes()), Chunks: uint32(n), Digest: jetstream.GetObjectDigestValue(digest),
		}
		err = s.sendInfo(ctx, info)
	}
	if err != nil {
		s.purge(ctx, id)
		return blob.Ref{}, err
	}
	if before != "" {
		s.purge(ctx, before)
	}
	return m.Ref(s.prefix()+key, contentType), nil
}

// existing is the id of the chunks that a key has now.
func (s *Store) existing(ctx context.Context, key string) (id string, err error) {
	err = blob.Try(ctx, func(ctx context.Context) error {
		info, err := s.info(ctx, key)
		if err == nil {
			id = info.NUID
		}
		return err
	})
	if errors.Is(err, blob.ErrNotFound) {
		err = nil
	}
	return id, err
}

func (s *Store) sendChunks(ctx context.Context, id string, r io.Reader) (n int, err error) {
	buf := chunks.Get().(*[]byte)
	defer chunks.Put(buf)
	size := min(int64(chunk), s.conn.MaxPayload()-1024) // room for headers
	if size < 1 {
		return 0, fmt.Errorf("%w: the broker takes messages of %d bytes", blob.ErrRefused, s.conn.MaxPayload())
	}
	for {
		got, err := io.ReadFull(r, (*buf)[:size])
		if got > 0 {
			n++
			m := nats.NewMsg(s.chunkSubject(id))
			m.Data = (*buf)[:got]
			if err := s.send(ctx, m, fmt.Sprintf("%s-%d", id, n)); err != nil {
				return n, err
			}
		}
		switch {
		case err == io.EOF, err == io.ErrUnexpectedEOF:
			return n, ctx.Err()
		case err != nil:
			return n, err
		}
	}
}

// sendInfo makes the object visible, in place of the one before it.
func (s *Store) sendInfo(ctx context.Context, info jetstream.ObjectInfo) error {
	data, err := json.Marshal(info)
	if err != nil {
		return err
	}
	m := nats.NewMsg(s.infoSubject(info.Name))
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	m.Data = data
	return s.send(ctx, m, info.NUID+"-info")
}

// send is done when the broker has the message; its id keeps out the second one
// of a try whose answer was lost.
func (s *Store) send(ctx context.Context, m *nats.Msg, id string) error {
	return blob.Try(ctx, func(ctx context.Context) error {
		_, err := s.js.PublishMsg(ctx, m, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
		return translate(err)
	})
}

func (s *Store) infoSubject(key string) string {
	return "$O." + s.bucket + ".M." + base64.URLEncoding.EncodeToString([]byte(key))
}

func (s *Store) chunkSubject(id string) string { return "$O." + s.bucket + ".C." + id }

// purge removes chunks that no object has any more. What it cannot remove
// expires.
func (s *Store) purge(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = s.stream.Purge(ctx, jetstream.WithPurgeSubject(s.chunkSubject(id)))
}
