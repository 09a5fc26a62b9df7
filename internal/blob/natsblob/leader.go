package natsblob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/blob"
)

// question names a message of the bucket's stream, as JetStream's API does.
type question struct {
	LastFor string `json:"last_by_subj,omitempty"` // the last one of a subject
	Seq     uint64 `json:"seq,omitempty"`          // the first one from here on
	NextFor string `json:"next_by_subj,omitempty"` // of a subject
}

// message is one as the API returns it.
type message struct {
	Seq  uint64 `json:"seq"`
	Data []byte `json:"data"`
}

// askLeader gets a message from the leader of the bucket's stream, which has
// every write that was acknowledged. The client library lets any replica answer,
// also one that does not have the last writes yet: the bucket allows direct
// reads. The error is blob.ErrNotFound when there is none.
func (s *Store) askLeader(ctx context.Context, q question) (*message, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	reply, err := s.conn.RequestWithContext(ctx, jetstream.DefaultAPIPrefix+"STREAM.MSG.GET.OBJ_"+s.bucket, body)
	if err != nil {
		return nil, translate(err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *message            `json:"message"`
	}
	err = json.Unmarshal(reply.Data, &answer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the broker's answer: %w", err)
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, blob.ErrNotFound
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeStreamNotFound:
		return nil, translate(jetstream.ErrBucketNotFound)
	case answer.Error != nil:
		return nil, answer.Error
	case answer.Message == nil:
		return nil, errors.New("the broker's answer has no message")
	}
	return answer.Message, nil
}

// info is that of an object, as it was last written.
func (s *Store) info(ctx context.Context, key string) (*jetstream.ObjectInfo, error) {
	m, err := s.askLeader(ctx, question{LastFor: s.infoSubject(key)})
	if err != nil {
		return nil, err
	}
	info := &jetstream.ObjectInfo{}
	if err := json.Unmarshal(m.Data, info); err != nil {
		return nil, fmt.Errorf("%w: %w", blob.ErrRefused, jetstream.ErrBadObjectMeta)
	}
	if info.Deleted {
		return nil, blob.ErrNotFound
	}
	return info, nil
}

// chunkFrom is the first chunk of a subject from a sequence number on. Any
// replica may have it, and sends it as it is; that there is none is known to the
// leader alone.
func (s *Store) chunkFrom(ctx context.Context, subject string, seq uint64) (*message, error) {
	m, err := s.stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(subject))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return s.askLeader(ctx, question{Seq: seq, NextFor: subject})
	case err != nil:
		return nil, translate(err)
	}
	return &message{Seq: m.Sequence, Data: m.Data}, nil
}
