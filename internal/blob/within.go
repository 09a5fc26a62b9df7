package blob

import (
	"context"
	"io"
)

// Within is r for as long as ctx lasts; then its error is the cause of ctx,
// whatever has been read ahead.
func Within(ctx context.Context, r io.Reader) io.Reader { return within{ctx, r} }

type within struct {
	ctx context.Context
	r   io.Reader
}

func (w within) Read(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	return w.r.Read(p)
}
