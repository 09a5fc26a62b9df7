package natsembed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// lockName is the file in the store directory that its owner holds.
const lockName = "broker.lock"

// dirLock is the right to use a store directory.
type dirLock struct{ file *os.File }

// errHeld is what acquire returns when another process holds the file.
var errHeld = errors.New("lock held")

// lockDir takes the lock of dir, or says who has it. The lock ends with the
// process that holds it, however that ends.
func lockDir(dir string) (*dirLock, error) {
	path := filepath.Join(dir, lockName)
	file, err := acquire(path)
	if errors.Is(err, errHeld) {
		return nil, fmt.Errorf("%w: %s is used by %s: stop that process or choose another directory", ErrInUse, dir, holder(path))
	}
	if err != nil {
		return nil, fmt.Errorf("lock store directory: %w", err)
	}
	l := &dirLock{file: file}
	if err := l.sign(); err != nil {
		return nil, errors.Join(fmt.Errorf("lock store directory: %w", err), l.release())
	}
	return l, nil
}

// sign writes the process id for holder to read.
func (l *dirLock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func (l *dirLock) release() error {
	return unlock(l.file)
}

// holder names the process that wrote the lock file.
func holder(path string) string {
	text, err := os.ReadFile(path)
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return "process " + pid
	}
	return "another process"
}
