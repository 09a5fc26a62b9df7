// Package store is the seam between API templates and where they are kept:
// items in DynamoDB's JSON, by name and HTTP method, with conditional writes.
// natsstore, filestore and dynamostore implement it, storetest holds every
// backend to the same promises.
//
// The versions of a template are items too, under keys that Key.At makes: they
// are got, put and deleted like any other, and listed by Versions, not by List.
// Package version says what they mean.
package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
)

// Key names one template: PK and SK of its item.
type Key struct{ Name, Method string }

// String is "name method".
func (k Key) String() string { return k.Name + " " + k.Method }

// Compare orders keys by name, then by method, byte by byte.
func Compare(a, b Key) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Method, b.Method))
}

// Item is one stored template.
type Item struct {
	Key
	// Attributes is the whole item as DynamoDB JSON, PK and SK among it:
	// {"PK":{"S":"get-user"},"SK":{"S":"GET"},"url":{"S":"https://…"},…}.
	Attributes json.RawMessage
	// Revision changes with every write that changes the item; opaque to
	// callers.
	Revision string
}

// Condition guards a write.
type Condition struct{ kind, revision string }

// Always writes whatever is there.
func Always() Condition { return Condition{} }

// IfAbsent writes only a key that does not exist.
func IfAbsent() Condition { return Condition{kind: "absent"} }

// IfRevision writes only over the revision that was read.
func IfRevision(r string) Condition { return Condition{kind: "revision", revision: r} }

// Absent reports whether the key must not exist.
func (c Condition) Absent() bool { return c.kind == "absent" }

// Revision is the revision that must be current; ok is false when any is.
func (c Condition) Revision() (r string, ok bool) { return c.revision, c.kind == "revision" }

// Store keeps templates. Its methods are safe for concurrent use; reads are
// consistent with the writes that returned before them.
type Store interface {
	// Get returns the item, or ErrNotFound; its Attributes mean the same as
	// what was put, though the text may differ in white space.
	Get(ctx context.Context, k Key) (Item, error)
	// Put writes the whole item and returns its new revision; ErrConflict when
	// the condition does not hold; ErrInvalid when Attributes are no DynamoDB
	// JSON or name another key.
	Put(ctx context.Context, it Item, c Condition) (revision string, err error)
	// Delete removes the item; ErrConflict when the condition does not hold.
	// An item that is not there is no error under Always and IfAbsent.
	Delete(ctx context.Context, k Key, c Condition) error
	// List returns up to limit items in key order (name, then method), from
	// the first after the given key (the zero Key: from the start). Versions
	// are not among them.
	List(ctx context.Context, after Key, limit int) ([]Item, error)
	// Versions returns all versions of a template, whether or not that is
	// there itself, in the order of CompareVersions; of the templates of that
	// name when the key has no method.
	Versions(ctx context.Context, k Key) ([]Item, error)
}

// What callers branch on.
var (
	ErrNotFound = errors.New("template not found")
	ErrConflict = errors.New("template was changed by another writer")
	ErrInvalid  = errors.New("template item is not valid")
)
