// Package callfile reads files of call requests, JSON Lines or CSV, one line
// at a time: memory is bounded by the longest line allowed, whatever the size
// of the file. A line that cannot be used is handed out with the reason and
// stops nothing.
package callfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"callfleet/internal/call"
)

// Format says how a file's lines are read.
type Format string

// The formats; FormatAuto goes by the file's extension, then by its first
// character: "{" starts JSON Lines, anything else a CSV header.
const (
	FormatAuto  Format = ""
	FormatJSONL Format = "jsonl"
	FormatCSV   Format = "csv"
)

// DefaultMaxLine is the longest line, or CSV record, that is read.
const DefaultMaxLine = 1 << 20

// Stdin is the path that stands for standard input.
const Stdin = "-"

// ErrInput marks what is wrong with a file as a whole: nothing of it can be
// called.
var ErrInput = errors.New("call file is not usable")

// Options say how to read; the zero value reads any file.
type Options struct {
	Format  Format
	MaxLine int // bytes, DefaultMaxLine when 0, at least 16
}

// Line is one line of the file that asks for a call, or should have.
type Line struct {
	Number  int64        // counted from 1; a CSV record has the number of its first line
	Request call.Request // ID is the file's own id, not yet a request id; "" is none
	// Err is why the line cannot be called; Request may be incomplete then.
	Err error
}

// Reader reads one file. It is not safe for concurrent use.
type Reader struct {
	format Format
	lines  interface{ next() (Line, error) }
	close  []io.Closer
}

// Open opens the file at path, or stdin for "-". Compressed files (gzip) are
// read as what they hold. The error is an ErrInput when it is the content that
// cannot be read.
func Open(path string, stdin io.Reader, o Options) (*Reader, error) {
	if path == Stdin {
		r, err := NewReader(stdin, o)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return r, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open call file: %w", err)
	}
	if o.Format == FormatAuto {
		o.Format = formatOf(path)
	}
	r, err := NewReader(f, o)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	r.close = append(r.close, f)
	return r, nil
}

func formatOf(path string) Format {
	path = strings.TrimSuffix(strings.ToLower(path), ".gz")
	switch filepath.Ext(path) {
	case ".jsonl", ".ndjson":
		return FormatJSONL
	case ".csv":
		return FormatCSV
	}
	return FormatAuto
}

// NewReader reads from r, which it does not close. A CSV header is read at
// once.
func NewReader(r io.Reader, o Options) (*Reader, error) {
	size := o.MaxLine
	if size == 0 {
		size = DefaultMaxLine
	}
	in, closers, err := decode(r, max(size, 16))
	if err != nil {
		return nil, err
	}
	reader := &Reader{format: o.Format, close: closers}
	if reader.format == FormatAuto {
		if reader.format, err = sniff(in); err != nil {
			return nil, err
		}
	}
	switch reader.format {
	case FormatJSONL:
		reader.lines = &jsonLines{splitter: splitter{in: in}}
	case FormatCSV:
		if reader.lines, err = newRecords(in); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w: format %q is unknown, use jsonl or csv", ErrInput, o.Format)
	}
	return reader, nil
}

// decode takes compression and the byte order mark off.
func decode(r io.Reader, size int) (*bufio.Reader, []io.Closer, error) {
	in := bufio.NewReaderSize(r, size)
	var closers []io.Closer
	if head, _ := in.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrInput, err)
		}
		closers = append(closers, z)
		in = bufio.NewReaderSize(z, size)
	}
	if head, _ := in.Peek(3); string(head) == "\ufeff" {
		_, _ = in.Discard(3)
	}
	return in, closers, nil
}

func sniff(in *bufio.Reader) (Format, error) {
	for n := 1; ; n++ {
		head, err := in.Peek(n)
		if len(head) < n {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
				return "", err
			}
			return FormatJSONL, nil // nothing but space: no line to read
		}
		switch head[n-1] {
		case ' ', '\t', '\r', '\n':
		case '{', '[':
			return FormatJSONL, nil
		default:
			return FormatCSV, nil
		}
	}
}

// Format is the format being read, never FormatAuto.
func (r *Reader) Format() Format { return r.format }

// Next returns the next line, or io.EOF. Blank lines are passed over. Another
// error ends the file: what comes after it cannot be read. The request's
// memory is the caller's.
func (r *Reader) Next() (Line, error) { return r.lines.next() }

// Close closes what Open has opened.
func (r *Reader) Close() error {
	var errs []error
	for _, c := range r.close {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
