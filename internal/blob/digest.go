package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

// Meter counts and digests what is read through it.
type Meter struct {
	r    io.Reader
	hash hash.Hash
	n    int64
	err  error
}

// NewMeter returns a reader of r.
func NewMeter(r io.Reader) *Meter { return &Meter{r: r, hash: sha256.New()} }

// Read implements io.Reader.
func (m *Meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.hash.Write(p[:n])
	m.n += int64(n)
	if err != nil && err != io.EOF {
		m.err = err
	}
	return n, err
}

// Err is the error, other than io.EOF, that the reader ended with.
func (m *Meter) Err() error { return m.err }

// Bytes is how much was read.
func (m *Meter) Bytes() int64 { return m.n }

// SHA256 is the digest of what was read, in hex.
func (m *Meter) SHA256() string { return hex.EncodeToString(m.hash.Sum(nil)) }

// Ref is that of a blob which has been read to its end.
func (m *Meter) Ref(url, contentType string) Ref {
	return Ref{URL: url, Bytes: m.n, ContentType: contentType, SHA256: m.SHA256()}
}

// Open is Get with size and digest verified: reading ends with ErrDigest, and
// without the last bytes, when the blob is not the one that ref is of. So
// whoever reads cannot take another one for it.
func Open(ctx context.Context, s Store, ref Ref) (*Object, error) {
	o, err := s.Get(ctx, ref.URL)
	if err != nil {
		return nil, err
	}
	if o.Bytes != ref.Bytes {
		_ = o.Close() // it was only read
		return nil, ErrDigest
	}
	v := &verifier{Closer: o.ReadCloser, in: NewMeter(o.ReadCloser), want: ref}
	return &Object{ReadCloser: v, Bytes: o.Bytes, ContentType: o.ContentType}, nil
}

// verifier holds the end of the blob back until the digest is known.
type verifier struct {
	io.Closer
	in   *Meter
	want Ref
	buf  [32 << 10]byte
	held []byte // read and not handed out, a part of buf
	err  error  // how in ended
}

// Read implements io.Reader.
func (v *verifier) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for v.err == nil && len(v.held) < 2 { // one byte always stays
		n := copy(v.buf[:], v.held)
		var got int
		got, v.err = v.in.Read(v.buf[n:])
		v.held = v.buf[:n+got]
		if v.err == io.EOF && (v.in.Bytes() != v.want.Bytes || v.in.SHA256() != v.want.SHA256) {
			v.err = ErrDigest
		}
	}
	give := len(v.held) - 1
	switch v.err {
	case nil:
	case io.EOF:
		give = len(v.held)
		if give == 0 {
			return 0, io.EOF
		}
	default:
		return 0, v.err
	}
	n := copy(p, v.held[:give])
	v.held = v.held[n:]
	return n, nil
}
