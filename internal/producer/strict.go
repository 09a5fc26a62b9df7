package producer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"callfleet/internal/call"
	"callfleet/internal/producer/callfile"
	"callfleet/internal/producer/journal"
)

// maxMistakes are listed; the rest is counted.
const maxMistakes = 100

// Mistake is one line that cannot be called.
type Mistake struct {
	Line   int64
	Reason string
}

// Mistakes refuses a file under Options.Strict. It is a callfile.ErrInput.
type Mistakes struct {
	File  string
	First []Mistake // at most 100
	Count int64
}

// Error lists them, one a line.
func (m *Mistakes) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s has %d bad lines, nothing was published:", m.File, m.Count)
	for _, x := range m.First {
		fmt.Fprintf(&b, "\n  line %d: %s", x.Line, x.Reason)
	}
	if more := m.Count - int64(len(m.First)); more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return b.String()
}

// Unwrap is callfile.ErrInput.
func (m *Mistakes) Unwrap() error { return callfile.ErrInput }

// strict checks the whole file. Standard input is put into the run's directory
// first, and is then a file like any other.
func (s *session) strict(ctx context.Context, m *journal.Meta) error {
	name := s.path
	if s.path == callfile.Stdin {
		s.path = s.journal.SpoolPath()
		if err := spool(s.path, s.opts.Stdin); err != nil {
			return fmt.Errorf("keep standard input: %w", err)
		}
		if err := m.Describe(s.path); err != nil {
			return err
		}
		s.path = m.File
	}
	r, err := callfile.Open(s.path, nil, callfile.Options{Format: s.opts.Format, MaxLine: s.opts.MaxLine})
	if err != nil {
		return err
	}
	defer r.Close()
	found := &Mistakes{File: name}
	check := checker{run: s.id}
	for {
		l, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: read %s: %w", callfile.ErrInput, name, err)
		}
		req, err := check.check(l)
		if err == nil {
			err = s.tryEncode(ctx, req)
		}
		if err == nil {
			continue
		}
		if found.Count++; len(found.First) < maxMistakes {
			found.First = append(found.First, Mistake{l.Number, err.Error()})
		}
	}
	if found.Count > 0 {
		return found
	}
	return nil
}

// tryEncode finds what only shows when the message is made.
func (s *session) tryEncode(ctx context.Context, r call.Request) error {
	_, err := s.encodeOnce(ctx, r)
	if f, ok := errors.AsType[*call.Failure](err); ok {
		if f.Name == BadInput {
			return errors.New(f.Cause)
		}
		return f
	}
	return nil // passing trouble: the run itself meets it again
}

func spool(path string, in io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, in)
	return errors.Join(err, f.Close())
}
