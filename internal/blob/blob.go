// Package blob is the seam to where bodies are kept that are too large for a
// message or an execution: the message carries a Ref in place of the body.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Ref stands for a blob in a message. It is data from outside wherever it
// comes from a message: a Store refuses what is not its own.
type Ref struct {
	URL         string `json:"url"` // the scheme names the backend
	Bytes       int64  `json:"bytes"`
	ContentType string `json:"contentType,omitempty"`
	SHA256      string `json:"sha256"` // of the bytes, in lower-case hex
}

// Object is a blob being read. The caller closes it.
type Object struct {
	io.ReadCloser
	Bytes       int64
	ContentType string
}

// Store keeps blobs until they expire or are deleted. Its methods block until
// the store has answered, try again what may pass until ctx ends, and are safe
// for concurrent use.
type Store interface {
	// Put keeps what r holds under a key (see CheckKey), in place of what was
	// there. Memory does not grow with the size. Nothing is kept, and nothing is
	// replaced, when r or ctx ends with an error, which the error then wraps.
	Put(ctx context.Context, key, contentType string, r io.Reader) (Ref, error)
	// Get opens the blob of a URL that Put has returned. ErrForeign is a URL
	// that is not of this store, ErrNotFound one that has expired. Reading ends
	// with ctx. Use Open to have the digest verified.
	Get(ctx context.Context, url string) (*Object, error)
	// Delete removes a blob; one that is not there is no error.
	Delete(ctx context.Context, url string) error
	// URL is that of a key, whether there is a blob or not: Put returns it, and
	// Get takes it.
	URL(key string) string
}

// What callers branch on.
var (
	// ErrNotFound says that there is no such blob, or not any more.
	ErrNotFound = errors.New("there is no such blob, or it has expired")
	// ErrForeign says that a URL is not of the store, or not of a form that its
	// Put would return.
	ErrForeign = errors.New("the reference is not of this fleet's blob store")
	// ErrNone says that there is no blob store at all.
	ErrNone = errors.New("there is no blob store: set CALLFLEET_BLOBS, such as s3://bucket")
	// ErrDigest says that a blob is not the one that the Ref is of.
	ErrDigest = errors.New("the blob is not what the reference says: its digest or size differs")
)

const (
	maxSegments = 4
	maxSegment  = 128
)

// CheckKey finds what makes a key unusable in some store: it is one to four
// segments of A-Z a-z 0-9 - _, at most 128 characters each, with / between.
// There is no dot, so that no path leads out.
func CheckKey(key string) error {
	segments := strings.Split(key, "/")
	if len(segments) > maxSegments {
		return fmt.Errorf("key %.200q: has more than %d segments", key, maxSegments)
	}
	for _, s := range segments {
		if s == "" || len(s) > maxSegment {
			return fmt.Errorf("key %.200q: a segment has 1 to %d characters", key, maxSegment)
		}
		for _, c := range []byte(s) {
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return fmt.Errorf("key %.200q: may hold A-Z a-z 0-9 - _ and / only", key)
			}
		}
	}
	return nil
}

// KeyOf is the key in a URL of the store whose URLs begin with prefix, which
// ends in a slash. The URL is taken as it is written: what would have to be
// decoded is no URL of a store. The error is ErrForeign.
func KeyOf(url, prefix string) (string, error) {
	key, ok := strings.CutPrefix(url, prefix)
	if !ok || CheckKey(key) != nil {
		return "", ErrForeign
	}
	return key, nil
}
