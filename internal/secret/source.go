package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Source keeps secrets of one kind.
type Source interface {
	// Fetch returns the text of a secret. An error that is or wraps ErrMissing
	// or ErrDenied is lasting, any other may pass. It shows no secret. Fetch may
	// block as long as ctx lasts, and is safe for concurrent use.
	Fetch(ctx context.Context, name string) (string, error)
}

// Lasting errors of a Source.
var (
	ErrMissing = errors.New("there is none of this name")
	ErrDenied  = errors.New("access is denied")
)

// SourceFunc is a Source in one function.
type SourceFunc func(ctx context.Context, name string) (string, error)

// Fetch calls f.
func (f SourceFunc) Fetch(ctx context.Context, name string) (string, error) { return f(ctx, name) }

// Environment is the source of variables, read by getenv.
func Environment(getenv func(string) string) Source {
	return SourceFunc(func(_ context.Context, name string) (string, error) {
		if text := getenv(name); text != "" {
			return text, nil
		}
		return "", fmt.Errorf("%w: the variable is not set", ErrMissing)
	})
}

// maxFile bounds a file in bytes, with a chain of certificates in mind.
const maxFile = 64 << 10

// Directory is the source of the files below a directory. It is opened for
// each read, so it may be replaced as a whole; links lead nowhere else.
func Directory(dir string) Source {
	return SourceFunc(func(_ context.Context, name string) (string, error) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return "", errors.New("the directory of secrets cannot be opened")
		}
		defer root.Close()
		return readFile(root, name)
	})
}

func readFile(root *os.Root, name string) (string, error) {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: the file does not exist", ErrMissing)
	}
	if err != nil {
		return "", fmt.Errorf("%w: the file cannot be opened, or lies outside the directory of secrets", ErrDenied)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", fmt.Errorf("%w: it is no file", ErrDenied)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return "", errors.New("the file cannot be read")
	case len(data) > maxFile:
		return "", fmt.Errorf("%w: the file has more than %d bytes", ErrDenied, maxFile)
	}
	// Editors end a file with a newline, which is no part of the secret.
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("%w: the file is empty", ErrMissing)
	}
	return text, nil
}
