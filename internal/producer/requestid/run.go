package requestid

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// maxRun leaves room for the line's part of a request id.
const maxRun = 40

// digits sort as bytes do; i, l, o and u are left out.
const digits = "0123456789abcdefghjkmnpqrstvwxyz"

// NewRun makes a run id: 8 characters of time to the millisecond, so that ids
// sort by age, and 4 random ones.
func NewRun(now time.Time) string {
	// 40 bits of milliseconds reach from 2025 to 2059.
	v := uint64(now.UnixMilli()-1735689600000)&(1<<40-1)<<20 | rand.Uint64N(1<<20)
	var id [12]byte
	for i := len(id) - 1; i >= 0; i-- {
		id[i] = digits[v&31]
		v >>= 5
	}
	return string(id[:])
}

// ValidateRun checks a run id that a user has chosen; "" is none.
func ValidateRun(run string) error {
	if len(run) > maxRun {
		return fmt.Errorf("may have %d characters, has %d", maxRun, len(run))
	}
	for _, c := range []byte(run) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
		default:
			return errors.New("may hold letters, digits and _ only")
		}
	}
	return nil
}
