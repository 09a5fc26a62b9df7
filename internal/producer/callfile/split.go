package callfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// errTooLong says that a line does not fit into the buffer; the line has been
// passed over.
var errTooLong = errors.New("line is too long")

// splitter cuts its input into lines or CSV records, each inside the buffer of
// in: what it returns is good until the next call.
type splitter struct {
	in     *bufio.Reader
	number int64 // of the last line that was read
}

// line returns the next line without its end.
func (s *splitter) line() ([]byte, error) {
	b, err := s.in.ReadSlice('\n')
	if len(b) == 0 && err != nil {
		return nil, err
	}
	s.number++
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		if err := s.skipLine(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: more than %d bytes", errTooLong, s.in.Size())
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r")), nil
}

// skipLine reads up to the end of the line.
func (s *splitter) skipLine() error {
	for {
		switch _, err := s.in.ReadSlice('\n'); {
		case err == nil, errors.Is(err, io.EOF):
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// record returns the next CSV record with its end, and the number of its first
// line. A record that does not fit or is never closed costs its first line
// only: reading goes on with the second.
func (s *splitter) record() (rec []byte, first int64, err error) {
	first = s.number + 1
	var q quotes
	for n := 0; ; {
		_, err := s.in.Peek(n + 1)
		buf, _ := s.in.Peek(s.in.Buffered())
		switch {
		case len(buf) > n:
		case errors.Is(err, io.EOF) && n == 0:
			return nil, first, io.EOF
		case errors.Is(err, io.EOF) && !q.open:
			s.number += q.lines + 1
			_, _ = s.in.Discard(n)
			return buf[:n], first, nil
		case errors.Is(err, io.EOF):
			s.number++
			return nil, first, errors.Join(errOpenQuote, s.skipLine())
		case errors.Is(err, bufio.ErrBufferFull):
			s.number++
			if err := s.skipLine(); err != nil {
				return nil, first, err
			}
			return nil, first, fmt.Errorf("%w: more than %d bytes%s", errTooLong, s.in.Size(), q.hint())
		default:
			return nil, first, err
		}
		for ; n < len(buf); n++ {
			if q.ends(buf[n]) {
				s.number += q.lines
				_, _ = s.in.Discard(n + 1)
				return buf[:n+1], first, nil
			}
		}
	}
}

var errOpenQuote = errors.New("a quote is opened and never closed")

// quotes finds the end of a CSV record (RFC 4180): a line end outside quotes.
// A quote opens at the start of a field only, so that a stray one inside a
// field spoils its own record and not the ones that follow.
type quotes struct {
	open, closed bool // closed: the last byte closed, a quote now opens again
	inField      bool // not at the start of a field
	lines        int64
}

func (q *quotes) ends(c byte) bool {
	closed := q.closed
	q.closed = false
	switch {
	case c == '"' && q.open:
		q.open, q.closed = false, true
	case c == '"' && (!q.inField || closed):
		q.open = true
	case c == '\n':
		q.lines++
		return !q.open
	}
	q.inField = q.open || q.closed || c != ','
	return false
}

func (q *quotes) hint() string {
	if q.open {
		return ", perhaps a quote that is never closed"
	}
	return ""
}
