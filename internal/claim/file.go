package claim

import (
	"cmp"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"

	"callfleet/internal/call"
)

// PutFile puts a file as a param of the request id. Its content type is that of
// its name, or of how it begins. JSON counts as text, as it does in a param that
// is read from a small file: what a param is must not depend on its size.
func (c *Checker) PutFile(ctx context.Context, id, path string) (call.BlobRef, error) {
	f, err := os.Open(path)
	if err != nil {
		return call.BlobRef{}, err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return call.BlobRef{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return call.BlobRef{}, err
	}
	kind := cmp.Or(mime.TypeByExtension(filepath.Ext(path)), http.DetectContentType(head[:n]))
	if isJSON(kind) {
		kind = textType
	}
	return c.PutParam(ctx, id, kind, f)
}
