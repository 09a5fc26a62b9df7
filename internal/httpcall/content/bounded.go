package content

import "io"

// Bounded is a body with a limit, and what went wrong with it.
type Bounded struct {
	From  io.Reader
	Limit int64
	Err   error // of From, or a *TooLarge; nil at the end

	n int64 // read so far
}

var _ io.Reader = (*Bounded)(nil)

// Read implements io.Reader.
func (b *Bounded) Read(p []byte) (int, error) {
	n, err := b.From.Read(p)
	if b.n += int64(n); b.n > b.Limit {
		n, err = 0, &TooLarge{Limit: b.Limit}
	}
	if err != nil && err != io.EOF {
		b.Err = err
	}
	return n, err
}
