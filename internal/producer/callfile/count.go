package callfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// CountFile is Count for the file at path, until ctx ends. Only regular files
// can be counted.
func CountFile(ctx context.Context, path string, o Options) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("count lines: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		return 0, fmt.Errorf("count lines: %w", err)
	}
	return Count(ctxReader{ctx, f}, o.Format, o.MaxLine)
}

// ctxReader ends when its context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// Count counts the lines that a Reader would hand out, without looking into
// them. Of a CSV file the header is not counted.
func Count(r io.Reader, f Format, maxLine int) (int64, error) {
	if maxLine == 0 {
		maxLine = DefaultMaxLine
	}
	in, _, err := decode(r, max(maxLine, 16))
	if err != nil {
		return 0, err
	}
	s := splitter{in: in}
	next := func() ([]byte, error) { return s.line() }
	count := int64(0)
	if f == FormatCSV {
		next = func() ([]byte, error) { rec, _, err := s.record(); return rec, err }
		count-- // the header
	}
	for {
		text, err := next()
		switch {
		case errors.Is(err, errTooLong), errors.Is(err, errOpenQuote):
			count++
		case errors.Is(err, io.EOF):
			return max(count, 0), nil
		case err != nil:
			return 0, fmt.Errorf("count lines: %w", err)
		case !blank(text):
			count++
		}
	}
}

func blank(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 }
