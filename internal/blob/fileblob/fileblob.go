// Package fileblob keeps blobs as files of a directory: for one machine, and
// for trying things out.
package fileblob

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"callfleet/internal/blob"
)

// Options are the settings of a Store.
type Options struct {
	// Expiry is how long a blob is kept. Default 7 days.
	Expiry time.Duration
}

// Store is a directory. A blob is a file; its content type is in another one
// beside it.
type Store struct {
	root   *os.Root
	prefix string // of its URLs
	expiry time.Duration
}

var _ blob.Store = (*Store)(nil)

const (
	typeSuffix = ".type" // no key has a dot
	tempPrefix = ".put-"
)

// New opens the directory, makes it when it is missing, and removes what has
// expired.
func New(dir string, o Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open blob directory: %w", err)
	}
	s := &Store{root: root, prefix: "file://" + strings.TrimSuffix(filepath.ToSlash(dir), "/") + "/", expiry: cmp.Or(o.Expiry, 7*24*time.Hour)}
	if err := s.sweep(); err != nil {
		return nil, errors.Join(fmt.Errorf("open blob directory: %w", err), root.Close())
	}
	return s, nil
}

// Close gives the directory back.
func (s *Store) Close() error { return s.root.Close() }

// sweep removes what has expired, and what a crash has left of a Put.
func (s *Store) sweep() error {
	return fs.WalkDir(s.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreMissing(err)
		}
		info, err := d.Info()
		if err == nil && s.expired(info) {
			err = s.root.Remove(name)
		}
		return ignoreMissing(err)
	})
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (s *Store) expired(info fs.FileInfo) bool { return time.Since(info.ModTime()) > s.expiry }

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, key, contentType string, r io.Reader) (blob.Ref, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Ref{}, fmt.Errorf("put blob: %w", err)
	}
	m := blob.NewMeter(blob.Within(ctx, r))
	if err := s.put(ctx, key, contentType, m); err != nil {
		return blob.Ref{}, fmt.Errorf("put blob %s: %w", key, err)
	}
	return m.Ref(s.prefix+key, contentType), nil
}

func (s *Store) put(ctx context.Context, key, contentType string, r io.Reader) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	dir := path.Dir(key)
	if err := s.root.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp := path.Join(dir, tempPrefix+rand.Text())
	err := s.write(temp, r)
	if err == nil {
		err = s.write(temp+typeSuffix, strings.NewReader(contentType))
	}
	// The type first: a blob without one is not there yet.
	if err == nil {
		err = s.root.Rename(temp+typeSuffix, key+typeSuffix)
	}
	if err == nil {
		err = s.root.Rename(temp, key)
	}
	if err != nil {
		_ = s.root.Remove(temp) // what is left is swept when it has expired
		_ = s.root.Remove(temp + typeSuffix)
	}
	return err
}

func (s *Store) write(name string, r io.Reader) error {
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, url string) (*blob.Object, error) {
	key, err := blob.KeyOf(url, s.prefix)
	if err != nil {
		return nil, fmt.Errorf("get blob: %w", err)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("get blob %s: %w", key, context.Cause(ctx))
	}
	o, err := s.get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		err = blob.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("get blob %s: %w", key, err)
	}
	return o, nil
}

func (s *Store) get(ctx context.Context, key string) (*blob.Object, error) {
	contentType, err := s.root.ReadFile(key + typeSuffix)
	if err != nil {
		return nil, err
	}
	f, err := s.root.Open(key)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (s.expired(info) || !info.Mode().IsRegular()) {
		err = blob.ErrNotFound
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	body := struct {
		io.Reader
		io.Closer
	}{blob.Within(ctx, f), f}
	return &blob.Object{ReadCloser: body, Bytes: info.Size(), ContentType: string(contentType)}, nil
}

// URL implements blob.Store.
func (s *Store) URL(key string) string { return s.prefix + key }

// Delete implements blob.Store.
func (s *Store) Delete(_ context.Context, url string) error {
	key, err := blob.KeyOf(url, s.prefix)
	if err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	err = errors.Join(ignoreMissing(s.root.Remove(key)), ignoreMissing(s.root.Remove(key+typeSuffix)))
	if err != nil {
		return fmt.Errorf("delete blob %s: %w", key, err)
	}
	return nil
}
