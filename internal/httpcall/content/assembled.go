package content

import (
	"io"

	"callfleet/internal/call"
)

// assembled is a body with blobs in it, each of which is opened when it is its
// turn.
type assembled struct {
	text    io.ReadCloser
	at      int           // what of text was read
	inserts []call.Insert // still to come
	open    func(call.BlobRef) (io.ReadCloser, error)
	blob    io.ReadCloser // the one that is being read; nil for none
}

var _ io.ReadCloser = (*assembled)(nil)

// Assemble is text with blobs in it at their places.
func Assemble(text io.ReadCloser, inserts []call.Insert, open func(call.BlobRef) (io.ReadCloser, error)) io.ReadCloser {
	return &assembled{text: text, inserts: inserts, open: open}
}

// Read implements io.Reader.
func (a *assembled) Read(p []byte) (int, error) {
	for len(p) > 0 {
		switch {
		case a.blob != nil:
			n, err := a.blob.Read(p)
			if err == io.EOF {
				err = a.closeBlob()
			}
			if n > 0 || err != nil {
				return n, err
			}
		case len(a.inserts) > 0 && a.inserts[0].At <= a.at:
			var err error
			if a.blob, err = a.open(a.inserts[0].Ref); err != nil {
				a.blob = nil
				return 0, err
			}
			a.inserts = a.inserts[1:]
		default:
			if len(a.inserts) > 0 {
				p = p[:min(len(p), a.inserts[0].At-a.at)]
			}
			n, err := a.text.Read(p)
			a.at += n
			return n, err
		}
	}
	return 0, nil
}

// Close implements io.Closer.
func (a *assembled) Close() error {
	err := a.closeBlob()
	if closing := a.text.Close(); err == nil {
		err = closing
	}
	return err
}

func (a *assembled) closeBlob() (err error) {
	if a.blob != nil {
		err, a.blob = a.blob.Close(), nil
	}
	return err
}
