package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// appender writes lines at the end of a file.
type appender struct {
	mu   sync.Mutex
	file *os.File
	buf  *bufio.Writer // guarded by mu
	sync bool
}

func (a *appender) open(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	a.file, a.buf = f, bufio.NewWriterSize(f, 64<<10)
	return nil
}

func (a *appender) close() error {
	if a.file == nil {
		return nil
	}
	return a.file.Close()
}

// write adds one line, which flush puts into the file.
func (a *appender) write(line []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.buf.Write(line); err != nil {
		return fmt.Errorf("write %s: %w", a.file.Name(), err)
	}
	return nil
}

// flush returns when the operating system has every line, or the disk if sync
// is set.
func (a *appender) flush() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.buf.Flush()
	if err == nil && a.sync {
		err = a.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", a.file.Name(), err)
	}
	return nil
}

// replay calls f with every line from the start. A last line that is torn
// (without its end, or one that f refuses) is cut off; any other line that f
// refuses means the file is damaged.
func (a *appender) replay(f func(line []byte) error) error {
	if _, err := a.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read %s: %w", a.file.Name(), err)
	}
	in := bufio.NewReaderSize(a.file, 256<<10)
	var good int64
	var refused error
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s: %w", a.file.Name(), err)
		}
		if errors.Is(err, io.EOF) {
			return a.cut(good)
		}
		if refused != nil {
			return fmt.Errorf("read %s: line %d is damaged: %w", a.file.Name(), n-1, refused)
		}
		if refused = f(bytes.TrimSuffix(line, []byte("\n"))); refused == nil {
			good += int64(len(line))
		}
	}
}

// cut takes off what is behind the last whole line.
func (a *appender) cut(size int64) error {
	info, err := a.file.Stat()
	if err == nil && info.Size() > size {
		err = a.file.Truncate(size)
	}
	if err != nil {
		return fmt.Errorf("repair %s: %w", a.file.Name(), err)
	}
	return nil
}
