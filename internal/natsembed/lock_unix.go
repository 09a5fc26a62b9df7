//go:build unix

package natsembed

import (
	"errors"
	"os"
	"syscall"
)

// acquire opens path and locks it. The kernel drops the lock when the process
// ends, so a lock file that was left behind does no harm.
func acquire(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errHeld
		}
		return nil, err
	}
	return file, nil
}

// unlock frees the lock, and says so before it closes the file: a child process
// that is being started holds a copy of the file for a moment, and the lock
// with it. The file stays: removing it would let two processes lock two files
// of one name.
func unlock(file *os.File) error {
	return errors.Join(syscall.Flock(int(file.Fd()), syscall.LOCK_UN), file.Close())
}
