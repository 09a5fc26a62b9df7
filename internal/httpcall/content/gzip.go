package content

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Gzip is the encoding that Read undoes.
const Gzip = "gzip"

// Encoding is what the body of an answer is encoded in, "" for nothing, as the
// server writes it where it is no single gzip.
func Encoding(h http.Header) string {
	all := h["Content-Encoding"]
	if len(all) == 0 {
		return ""
	}
	switch coding := strings.Trim(strings.Join(all, ", "), " \t"); strings.ToLower(coding) {
	case "gzip", "x-gzip": // RFC 9110, section 8.4.1.3
		return Gzip
	case "identity":
		return ""
	default:
		return coding
	}
}

// Gzip may be longer than what it holds: noise is, and so is what a server
// flushes byte by byte, eight times.
const (
	mostGzip    = 8
	alwaysTaken = 1 << 20
)

// Hollow is the error of a body that is far longer compressed than it is: it
// would never reach the limit of a body, and go on until the attempt's time is up.
type Hollow struct{ Compressed, Plain int64 }

// Error says how the template gets around it.
func (e *Hollow) Error() string {
	return fmt.Sprintf("the body is far larger compressed than it is, %d bytes of gzip for %d: the header Accept-Encoding: identity asks for it as it is",
		e.Compressed, e.Plain)
}

// inflated is what gzip holds.
type inflated struct {
	*gzip.Reader
	from compressed
}

// compressed is gzip on its way, and counts both sides of it.
type compressed struct {
	io.Reader
	read, held int64
}

var _, _ io.Reader = (*inflated)(nil), (*compressed)(nil)

// Read implements io.Reader.
func (i *inflated) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	i.from.held += int64(n)
	return n, err
}

// Read implements io.Reader.
func (c *compressed) Read(p []byte) (int, error) {
	if c.read > alwaysTaken+mostGzip*c.held {
		return 0, &Hollow{c.read, c.held}
	}
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	return n, err
}

// maxDiscard is how much is read after the end of what was compressed.
const maxDiscard = 4 << 10

func readGzip(r io.Reader, limit int) ([]byte, error) {
	z := &inflated{from: compressed{Reader: r}}
	var err error
	z.Reader, err = gzip.NewReader(&z.from)
	if err == io.EOF { // an empty body, as an answer to HEAD has
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	body, err := ReadAll(z, limit)
	if err != nil {
		return nil, err
	}
	// The end of the stream may come before the end of the body; only there is
	// the connection free again.
	_, err = io.CopyN(io.Discard, r, maxDiscard)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return body, nil
}
