//go:build !unix

package natsembed

import (
	"errors"
	"io/fs"
	"os"
)

// acquire creates path, or finds it held. Where files know no advisory locks,
// a process that was killed leaves the file behind, to be removed by hand.
func acquire(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, errHeld
	}
	return file, err
}

// unlock removes the file.
func unlock(file *os.File) error {
	return errors.Join(file.Close(), os.Remove(file.Name()))
}
