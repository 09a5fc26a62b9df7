// Package natsstore keeps API templates in a key-value bucket of JetStream.
package natsstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/template/store"
)

// Options say where the templates are. A zero field is its default.
type Options struct {
	Bucket   string // "templates"
	Replicas int    // 1
}

// Store is a bucket. The connection stays the caller's.
type Store struct {
	kv     jetstream.KeyValue
	js     jetstream.JetStream
	bucket string
}

var _ store.Store = (*Store)(nil)

// New opens the bucket, and makes it when it is not there.
func New(ctx context.Context, nc *nats.Conn, o Options) (*Store, error) {
	if o.Bucket == "" {
		o.Bucket = "templates"
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open template bucket %s: %w", o.Bucket, err)
	}
	kv, err := js.KeyValue(ctx, o.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = create(ctx, js, o)
	}
	if err != nil {
		return nil, fmt.Errorf("open template bucket %s: %w", o.Bucket, err)
	}
	return &Store{kv: kv, js: js, bucket: o.Bucket}, nil
}

func create(ctx context.Context, js jetstream.JetStream, o Options) (jetstream.KeyValue, error) {
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: o.Bucket, Description: "API templates of callfleet", Replicas: o.Replicas,
	})
	if errors.Is(err, jetstream.ErrBucketExists) { // somebody else was faster
		return js.KeyValue(ctx, o.Bucket)
	}
	if err != nil || o.Replicas == 1 {
		return kv, err
	}
	// Any replica may answer a direct read, also one that has not seen the last
	// write; the promise is that reads see the writes before them.
	stream, err := js.Stream(ctx, "KV_"+o.Bucket)
	if err != nil {
		return nil, err
	}
	c := stream.CachedInfo().Config
	c.AllowDirect = false
	if _, err := js.UpdateStream(ctx, c); err != nil {
		return nil, err
	}
	return js.KeyValue(ctx, o.Bucket)
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, k store.Key) (store.Item, error) {
	if k.Name == "" || k.Method == "" {
		return store.Item{}, fmt.Errorf("get template %q: %w", k, store.ErrNotFound)
	}
	e, err := s.kv.Get(ctx, encode(k))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrKeyDeleted):
		return store.Item{}, fmt.Errorf("get template %q: %w", k, store.ErrNotFound)
	case err != nil:
		return store.Item{}, fmt.Errorf("get template %q: %w", k, err)
	}
	return store.Item{Key: k, Attributes: json.RawMessage(e.Value()), Revision: revision(e.Revision())}, nil
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, it store.Item, c store.Condition) (string, error) {
	if err := store.Check(it); err != nil {
		return "", fmt.Errorf("put template: %w", err)
	}
	rev, err := s.put(ctx, encode(it.Key), it.Attributes, c)
	if err != nil {
		return "", fmt.Errorf("put template %q: %w", it.Key, translate(err))
	}
	return revision(rev), nil
}

func (s *Store) put(ctx context.Context, key string, value []byte, c store.Condition) (uint64, error) {
	if c.Absent() {
		return s.kv.Create(ctx, key, value)
	}
	if r, ok := c.Revision(); ok {
		last, err := parseRevision(r)
		if err != nil {
			return 0, err
		}
		return s.kv.Update(ctx, key, value, last)
	}
	return s.kv.Put(ctx, key, value)
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, k store.Key, c store.Condition) error {
	var options []jetstream.KVDeleteOpt
	if r, ok := c.Revision(); ok {
		last, err := parseRevision(r)
		if err != nil {
			return fmt.Errorf("delete template %q: %w", k, err)
		}
		options = append(options, jetstream.LastRevision(last))
	} else {
		// Without looking first, each delete of nothing would leave a marker.
		_, err := s.Get(ctx, k)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("delete template %q: %w", k, err)
		case c.Absent():
			return fmt.Errorf("delete template %q: %w", k, store.ErrConflict)
		}
	}
	if err := s.kv.Delete(ctx, encode(k), options...); err != nil {
		return fmt.Errorf("delete template %q: %w", k, translate(err))
	}
	if _, version := k.Cut(); version > 0 {
		if err := s.forget(ctx, k); err != nil {
			return fmt.Errorf("delete template %q: %w", k, err)
		}
	}
	return nil
}

// forget removes the marker that a deletion leaves: versions come and go for as
// long as a template is changed, each with a key of its own.
func (s *Store) forget(ctx context.Context, k store.Key) error {
	stream, err := s.js.Stream(ctx, "KV_"+s.bucket)
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject("$KV."+s.bucket+"."+encode(k)))
}

// List implements store.Store. A bucket has no order of its own, so that each
// page reads all keys, and the items of the page.
func (s *Store) List(ctx context.Context, after store.Key, limit int) ([]store.Item, error) {
	keys, err := s.keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	var items []store.Item
	for _, k := range keys {
		if len(items) == limit {
			break
		}
		if store.Compare(k, after) <= 0 {
			continue
		}
		it, err := s.Get(ctx, k)
		if errors.Is(err, store.ErrNotFound) { // deleted since
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list templates: %w", err)
		}
		items = append(items, it)
	}
	return items, nil
}

func (s *Store) keys(ctx context.Context) ([]store.Key, error) {
	lister, err := s.kv.ListKeysFiltered(ctx, "*.*") // versions have one token more
	if err != nil {
		return nil, err
	}
	defer func() { _ = lister.Stop() }() // an error here is that it has ended by itself
	var keys []store.Key
	for text := range lister.Keys() {
		if k, ok := decode(text); ok { // others are not ours
			keys = append(keys, k)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(keys, store.Compare)
	return keys, nil
}

// Versions implements store.Store.
func (s *Store) Versions(ctx context.Context, k store.Key) ([]store.Item, error) {
	if k.Name == "" {
		return nil, nil
	}
	items, err := s.versions(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("list versions of template %q: %w", k, err)
	}
	slices.SortFunc(items, func(a, b store.Item) int { return store.CompareVersions(a.Key, b.Key) })
	return items, nil
}

func (s *Store) versions(ctx context.Context, k store.Key) ([]store.Item, error) {
	var pattern strings.Builder
	encodeToken(&pattern, k.Name)
	pattern.WriteByte('.')
	if k.Method == "" {
		pattern.WriteByte('*')
	} else {
		encodeToken(&pattern, k.Method)
	}
	watch, err := s.kv.Watch(ctx, pattern.String()+".*", jetstream.IgnoreDeletes())
	if err != nil {
		return nil, err
	}
	defer func() { _ = watch.Stop() }() // an error here is that it has ended by itself
	var items []store.Item
	for {
		select {
		case e, ok := <-watch.Updates():
			if !ok {
				return nil, errors.Join(errors.New("the broker ended the answer"), ctx.Err())
			}
			if e == nil { // that is all there is
				return items, ctx.Err()
			}
			if found, ok := decode(e.Key()); ok && found.Of(k) {
				items = append(items, store.Item{Key: found, Attributes: json.RawMessage(e.Value()), Revision: revision(e.Revision())})
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// translate makes the store's errors of JetStream's.
func translate(err error) error {
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return store.ErrConflict
	}
	return err
}

func revision(n uint64) string { return strconv.FormatUint(n, 10) }

// parseRevision takes only what revision makes: 0 would stand for no item.
func parseRevision(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, store.ErrConflict
	}
	return n, nil
}

// encode makes a key of a bucket: two tokens, in which all but letters,
// digits, - and _ is written as =XX. A version is a third.
func encode(k store.Key) string {
	k, version := k.Cut()
	var b strings.Builder
	encodeToken(&b, k.Name)
	b.WriteByte('.')
	encodeToken(&b, k.Method)
	if version > 0 {
		b.WriteByte('.')
		b.WriteString(strconv.Itoa(version))
	}
	return b.String()
}

func encodeToken(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'=', hex[c>>4], hex[c&15]})
		}
	}
}

// decode undoes encode; ok is false for what it does not make.
func decode(text string) (k store.Key, ok bool) {
	name, method, _ := strings.Cut(text, ".")
	method, number, _ := strings.Cut(method, ".")
	n, okN := decodeToken(name)
	m, okM := decodeToken(method)
	version, _ := strconv.Atoi(number)
	k = store.Key{Name: n, Method: m}.At(version)
	return k, okN && okM && encode(k) == text
}

func decodeToken(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '=' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b = append(b, byte(c))
		i += 2
	}
	return string(b), true
}
