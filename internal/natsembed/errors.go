package natsembed

import (
	"errors"
	"fmt"
	"syscall"
)

var (
	// ErrInUse says that another process has the store directory.
	ErrInUse = errors.New("store directory in use")
	// ErrAddressInUse says that another process listens on the address.
	ErrAddressInUse = errors.New("address in use")
)

// listenError says what to do about a port that can't be had.
func listenError(address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s: %w by another program: stop it (a second producer or NATS server?) or choose another port", address, ErrAddressInUse)
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}
