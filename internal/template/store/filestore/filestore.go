// Package filestore keeps API templates as files of plain JSON in a directory,
// one to a template, for people to read and write. Their versions are in its
// directory .history, a file each.
package filestore

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"callfleet/internal/template/itemjson"
	"callfleet/internal/template/store"
)

// Store is a directory. The key of a template is what its file says; the name
// of the file is <name>.<METHOD>.json, with odd characters as %XX, and that of
// version 3 is .history/<name>.<METHOD>.3.json. IfAbsent holds among all writers
// where the file system has hard links; IfRevision among those of one process.
type Store struct {
	root *os.Root // nothing outside of it can be reached, whatever a name is
	mu   sync.Mutex
}

var _ store.Store = (*Store)(nil)

// New opens the directory, and makes it when it is not there.
func New(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open template directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open template directory: %w", err)
	}
	return &Store{root: root}, nil
}

// Close gives the directory back.
func (s *Store) Close() error { return s.root.Close() }

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, k store.Key) (store.Item, error) {
	if err := ctx.Err(); err != nil {
		return store.Item{}, fmt.Errorf("get template %q: %w", k, err)
	}
	it, err := s.read(fileName(k))
	if errors.Is(err, fs.ErrNotExist) || err == nil && it.Key != k { // a file system that ignores case
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Item{}, fmt.Errorf("get template %q: %w", k, err)
	}
	return it, nil
}

// read reads one file as an item.
func (s *Store) read(file string) (store.Item, error) {
	data, err := s.root.ReadFile(file)
	if err != nil {
		return store.Item{}, err
	}
	attributes, err := itemjson.FromPlain(data)
	if err != nil {
		return store.Item{}, fmt.Errorf("%w: file %s: %w", store.ErrInvalid, file, err)
	}
	var key struct{ PK, SK struct{ S string } }
	if err := json.Unmarshal(attributes, &key); err != nil {
		return store.Item{}, fmt.Errorf("%w: file %s: name and method must be texts", store.ErrInvalid, file)
	}
	it := store.Item{Key: store.Key{Name: key.PK.S, Method: key.SK.S}, Attributes: attributes, Revision: revision(data)}
	if err := store.Check(it); err != nil {
		return store.Item{}, fmt.Errorf("file %s: %w", file, err)
	}
	return it, nil
}

func revision(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:16])
}

// Put implements store.Store. Writing what is there already leaves the
// revision as it is.
func (s *Store) Put(ctx context.Context, it store.Item, c store.Condition) (string, error) {
	if err := store.Check(it); err != nil {
		return "", fmt.Errorf("put template: %w", err)
	}
	content, err := readable(it.Attributes)
	if err != nil {
		return "", fmt.Errorf("put template %q: %w: %w", it.Key, store.ErrInvalid, err)
	}
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("put template %q: %w", it.Key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.holds(it.Key, c); err != nil {
		return "", fmt.Errorf("put template %q: %w", it.Key, err)
	}
	if err := s.replace(fileName(it.Key), content, c); err != nil {
		return "", fmt.Errorf("put template %q: %w", it.Key, err)
	}
	return revision(content), nil
}

// readable is the plain form where it says all that the item does, else the
// item itself.
func readable(attributes json.RawMessage) ([]byte, error) {
	plain, err := itemjson.ToPlain(attributes)
	if err == nil {
		back, err := itemjson.FromPlain(plain)
		if err == nil && sameJSON(back, attributes) {
			return plain, nil
		}
	}
	var b bytes.Buffer
	if err := json.Indent(&b, attributes, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// holds checks a condition; it is called with mu held.
func (s *Store) holds(k store.Key, c store.Condition) error {
	it, err := s.read(fileName(k))
	absent := errors.Is(err, fs.ErrNotExist)
	_, conditional := c.Revision()
	switch {
	case err == nil && it.Key != k:
		return fmt.Errorf("its file holds template %q: the file system does not tell their names apart", it.Key)
	case absent || err == nil:
	case !c.Absent() && !conditional && errors.Is(err, store.ErrInvalid):
		return nil // what is broken may be written over
	default:
		return err
	}
	if c.Absent() && !absent {
		return store.ErrConflict
	}
	if r, ok := c.Revision(); ok && (absent || r != it.Revision) {
		return store.ErrConflict
	}
	return nil
}

// replace writes a file in full or not at all, also when the power fails.
func (s *Store) replace(file string, content []byte, c store.Condition) error {
	dir := path.Dir(file)
	if err := s.root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temporary := ".tmp-" + rand.Text()
	f, err := s.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = s.place(temporary, file, c)
	}
	if err != nil {
		return errors.Join(err, s.removeIfThere(temporary))
	}
	return s.syncDirectory(dir)
}

// place gives a file its name. A link is made only where there is no file, which
// a look at the directory cannot promise when another process writes to it.
func (s *Store) place(temporary, file string, c store.Condition) error {
	if c.Absent() {
		switch err := s.root.Link(temporary, file); {
		case err == nil:
			return s.removeIfThere(temporary)
		case errors.Is(err, fs.ErrExist):
			return store.ErrConflict
		}
	}
	return s.root.Rename(temporary, file)
}

func (s *Store) removeIfThere(file string) error {
	if err := s.root.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDirectory makes a change of names last. Not all systems can.
func (s *Store) syncDirectory(dir string) error {
	d, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, k store.Key, c store.Condition) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete template %q: %w", k, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.holds(k, c); err != nil {
		return fmt.Errorf("delete template %q: %w", k, err)
	}
	file := fileName(k)
	err := s.removeIfThere(file)
	if _, statErr := s.root.Stat(path.Dir(file)); err == nil && statErr == nil {
		err = s.syncDirectory(path.Dir(file))
	}
	if err != nil {
		return fmt.Errorf("delete template %q: %w", k, err)
	}
	return nil
}

// List implements store.Store. It reads every file: a file that is no template
// is an error that names it.
func (s *Store) List(ctx context.Context, after store.Key, limit int) ([]store.Item, error) {
	items, err := s.readAll(ctx, ".", "")
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	items = slices.DeleteFunc(items, func(it store.Item) bool { return store.Compare(it.Key, after) <= 0 })
	slices.SortFunc(items, func(a, b store.Item) int { return store.Compare(a.Key, b.Key) })
	return items[:min(limit, len(items))], nil
}

// Versions implements store.Store. Without a method it reads the versions of
// all templates.
func (s *Store) Versions(ctx context.Context, k store.Key) ([]store.Item, error) {
	prefix := ""
	if k.Method != "" {
		prefix = baseName(k) + "."
	}
	items, err := s.readAll(ctx, historyDir, prefix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list versions of template %q: %w", k, err)
	}
	items = slices.DeleteFunc(items, func(it store.Item) bool { return !it.Of(k) })
	slices.SortFunc(items, func(a, b store.Item) int { return store.CompareVersions(a.Key, b.Key) })
	return items, nil
}

// readAll reads the items of a directory whose files' names begin so.
func (s *Store) readAll(ctx context.Context, dir, prefix string) ([]store.Item, error) {
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if err != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	var items []store.Item
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !strings.HasPrefix(e.Name(), prefix) || !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		file := path.Join(dir, e.Name())
		it, err := s.read(file)
		if errors.Is(err, fs.ErrNotExist) { // deleted since
			continue
		}
		if err != nil {
			return nil, err
		}
		if file != fileName(it.Key) {
			return nil, fmt.Errorf("%w: file %s holds template %q and must be named %s", store.ErrInvalid, file, it.Key, fileName(it.Key))
		}
		items = append(items, it)
	}
	return items, ctx.Err()
}

const maxFileName = 200 // bytes, of the 255 that file systems take

// historyDir has the versions of the templates.
const historyDir = ".history"

// fileName is the file of a key.
func fileName(k store.Key) string {
	base, version := k.Cut()
	if version > 0 {
		return path.Join(historyDir, baseName(base)+"."+strconv.Itoa(version)+".json")
	}
	return baseName(k) + ".json"
}

// baseName is what the files of a template begin with. It holds no separator
// and does not begin with a dot. A long one ends in a hash.
func baseName(k store.Key) string {
	name := escape(k.Name) + "." + escape(k.Method)
	if len(name) > maxFileName {
		sum := sha256.Sum256([]byte(k.Name + "\x00" + k.Method))
		name = name[:maxFileName-34] + "~" + hex.EncodeToString(sum[:16])
	}
	return name
}

func escape(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' && i > 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}
