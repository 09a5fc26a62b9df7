package producer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"callfleet/internal/call"
	"callfleet/internal/producer/callfile"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/requestid"
)

// strict checks the whole file. Standard input is put into the run's directory
// first, and is then a file like any other.
func (s *session) strict(ctx context.Context, m *journal.Meta) error {
	name := s.path
	if s.path == callfile.Stdin {
		kept, err := s.journal.Spool(s.opts.Stdin)
		if err != nil {
			return err
		}
		if err := m.Describe(kept); err != nil {
			return err
		}
		s.path = m.File
	}
	r, err := callfile.Open(s.path, nil, callfile.Options{Format: s.opts.Format, MaxLine: s.opts.MaxLine})
	if err != nil {
		return err
	}
	defer r.Close()
	found := &callfile.Mistakes{File: name}
	check := requestid.Checker{Run: s.id}
	for {
		l, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: read %s: %w", callfile.ErrInput, name, err)
		}
		req, err := check.Check(l)
		if err == nil {
			err = s.tryEncode(ctx, req)
		}
		if err == nil {
			continue
		}
		found.Add(l.Number, err)
	}
	if found.Count > 0 {
		return found
	}
	return nil
}

// tryEncode finds what only shows when the message is made.
func (s *session) tryEncode(ctx context.Context, r call.Request) error {
	err := s.deps.Checker.Check(ctx, r)
	if s.deps.Claims != nil && len(r.Params) > s.opts.ClaimAbove {
		r.Params = nil // they are moved when they are published, not for a check
	}
	if err == nil {
		_, err = s.message(ctx, r)
	}
	if f, ok := errors.AsType[*call.Failure](err); ok {
		if f.Name == BadInput {
			return errors.New(f.Cause)
		}
		return f
	}
	return nil // passing trouble: the run itself meets it again
}
