package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Record is one decision of one execution.
type Record struct {
	Key
	Meta
	Seq  uint64 // its place in the log
	Data []byte
}

// Append writes the next decision of an execution. last is the sequence of the
// record before it, 0 for the first. It returns when the broker has the record,
// and the sequence it got; ErrConflict when last is not the last one,
// ErrTooLarge when the broker will never take it. After any other error the
// record may or may not have been written: load the execution to know.
func (s *Store) Append(ctx context.Context, r *Record, last uint64) (uint64, error) {
	msg := &nats.Msg{Subject: s.subject(r.Key), Data: r.Data, Header: nats.Header{
		headerMeta:                          {r.Meta.encode()},
		jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(last, 10)},
		jetstream.ExpectedStreamHeader:      {s.name},
	}}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	reply, err := s.nc.RequestMsgWithContext(ctx, msg)
	if err != nil {
		if errors.Is(err, nats.ErrMaxPayload) {
			return 0, fmt.Errorf("append %s: %d bytes: %w", r.Key, len(r.Data), ErrTooLarge)
		}
		return 0, fmt.Errorf("append %s: %w", r.Key, err)
	}
	seq, err := parseAck(reply.Data)
	if err != nil {
		return 0, fmt.Errorf("append %s: %w", r.Key, err)
	}
	first := r.First
	if last == 0 {
		first = seq
	}
	s.index.put(r.Key, r.Meta, first, seq)
	return seq, nil
}

// ack is the broker's answer to a publish.
type ack struct {
	Seq   uint64 `json:"seq"`
	Error *struct {
		Code        int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
}

func parseAck(data []byte) (uint64, error) {
	if seq, ok := plainAck(data); ok {
		return seq, nil
	}
	var a ack
	if err := json.Unmarshal(data, &a); err != nil {
		return 0, fmt.Errorf("answer of the broker: %w", err)
	}
	if a.Error == nil {
		return a.Seq, nil
	}
	switch jetstream.ErrorCode(a.Error.Code) {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return 0, ErrConflict
	case jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return 0, ErrTooLarge
	}
	return 0, fmt.Errorf("broker: %s (code %d)", a.Error.Description, a.Error.Code)
}

// plainAck reads the usual answer, {"stream":"…","seq":7}, without a parser.
func plainAck(data []byte) (uint64, bool) {
	const mark = `,"seq":`
	i := bytes.Index(data, []byte(mark))
	if i < 0 || len(data) == 0 || data[len(data)-1] != '}' || bytes.Contains(data, []byte(`"error"`)) {
		return 0, false
	}
	digits := data[i+len(mark) : len(data)-1]
	seq, err := strconv.ParseUint(string(digits), 10, 64)
	return seq, err == nil
}

// batch is how many records one direct get asks for.
const batch = 256

// Load returns all records of an execution in order, or ErrNotFound.
func (s *Store) Load(ctx context.Context, k Key) ([]Record, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*s.timeout)
	defer cancel()
	var all []Record
	for from := uint64(1); from != 0; {
		records, more, err := s.loadBatch(ctx, k, from)
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", k, err)
		}
		all = append(all, records...)
		from = 0
		if more && len(records) > 0 {
			from = records[len(records)-1].Seq + 1
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("load %s: %w", k, ErrNotFound)
	}
	last := &all[len(all)-1]
	s.index.put(k, last.Meta, all[0].Seq, last.Seq)
	return all, nil
}

// loadBatch reads up to batch records of k from a sequence on, over the
// broker's batched direct get: one request, one reply per record, and a last
// one with status 204 that says how many are left.
func (s *Store) loadBatch(ctx context.Context, k Key, from uint64) (records []Record, more bool, err error) {
	inbox := s.nc.NewRespInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	req, err := json.Marshal(map[string]any{"seq": from, "next_by_subj": s.subject(k), "batch": batch})
	if err != nil {
		return nil, false, err
	}
	if err := s.nc.PublishRequest("$JS.API.DIRECT.GET."+s.name, inbox, req); err != nil {
		return nil, false, err
	}
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, false, err
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
			r, err := s.record(k, msg)
			if err != nil {
				return nil, false, err
			}
			records = append(records, r)
		case "204":
			return records, msg.Header.Get("Nats-Num-Pending") != "0", nil
		case "404":
			return records, false, nil
		default:
			return nil, false, fmt.Errorf("broker: %s %s", status, msg.Header.Get("Description"))
		}
	}
}

// record makes a Record of a message that a direct get returned.
func (s *Store) record(k Key, msg *nats.Msg) (Record, error) {
	seq, err := strconv.ParseUint(msg.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return Record{}, fmt.Errorf("sequence of a record: %w", err)
	}
	r := Record{Key: k, Seq: seq, Data: msg.Data}
	if r.Meta, err = decodeMeta(msg.Header.Get(headerMeta)); err != nil {
		return Record{}, err
	}
	return r, nil
}

// LastSeq is the sequence of the newest record of all.
func (s *Store) LastSeq(ctx context.Context) (uint64, error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("look up stream %s: %w", s.name, err)
	}
	return info.State.LastSeq, nil
}

// Scan reads the last header of every execution in the log into the list, and
// hands each to visit. It returns after those that were there when it was
// called.
func (s *Store) Scan(ctx context.Context, visit func(Entry)) error {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("scan log: %w", err)
	}
	if info.State.Msgs == 0 {
		return nil
	}
	cons, err := s.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, HeadersOnly: true, InactiveThreshold: time.Minute,
	})
	if err != nil {
		return fmt.Errorf("scan log: %w", err)
	}
	msgs, err := cons.Messages(jetstream.PullMaxMessages(2000))
	if err != nil {
		return fmt.Errorf("scan log: %w", err)
	}
	defer msgs.Stop()
	for {
		msg, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("scan log: %w", err)
		}
		at, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("scan log: %w", err)
		}
		e, err := s.scanned(msg, at.Sequence.Stream)
		if err != nil {
			return fmt.Errorf("scan log: %w", err)
		}
		visit(e)
		if at.NumPending == 0 {
			s.index.sortClosed()
			return nil
		}
	}
}

// scanned puts one last message into the list.
func (s *Store) scanned(msg jetstream.Msg, seq uint64) (Entry, error) {
	k, err := s.key(msg.Subject())
	if err != nil {
		return Entry{}, err
	}
	m, err := decodeMeta(msg.Headers().Get(headerMeta))
	if err != nil {
		return Entry{}, fmt.Errorf("record %d of %s: %w", seq, k, err)
	}
	if m.First == 0 {
		m.First = seq
	}
	return s.index.put(k, m, m.First, seq), nil
}
