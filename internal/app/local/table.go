package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"callfleet/internal/localsfn/handoff"
	"callfleet/internal/template/store"
)

// TableName is what the shipped state machines call the template table.
const TableName = "API_Template_Table"

// table shows the template store to the Step Functions server as the DynamoDB
// table that it is on AWS.
type table struct{ store store.Store }

var _ handoff.Table = table{}

func (t table) Name() string       { return TableName }
func (t table) KeyNames() []string { return []string{"PK", "SK"} }

func (t table) Get(ctx context.Context, key json.RawMessage) (json.RawMessage, string, error) {
	k, err := keyOf(key)
	if err != nil {
		return nil, "", err
	}
	item, err := t.store.Get(ctx, k)
	if errors.Is(err, store.ErrNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	return item.Attributes, item.Revision, nil
}

func (t table) Put(ctx context.Context, item json.RawMessage, revision string) error {
	k, err := keyOf(item)
	if err != nil {
		return err
	}
	_, err = t.store.Put(ctx, store.Item{Key: k, Attributes: item}, condition(revision))
	return translate(err)
}

func (t table) Delete(ctx context.Context, key json.RawMessage, revision string) error {
	k, err := keyOf(key)
	if err != nil {
		return err
	}
	return translate(t.store.Delete(ctx, k, condition(revision)))
}

func condition(revision string) store.Condition {
	switch revision {
	case handoff.Any:
		return store.Always()
	case "":
		return store.IfAbsent()
	}
	return store.IfRevision(revision)
}

func translate(err error) error {
	switch {
	case errors.Is(err, store.ErrConflict):
		return handoff.ErrChanged
	case errors.Is(err, store.ErrInvalid):
		return fmt.Errorf("%w: %w", handoff.ErrInvalidItem, err)
	}
	return err
}

// keyOf reads PK and SK of an item or a key.
func keyOf(item json.RawMessage) (store.Key, error) {
	var k struct {
		PK, SK struct{ S *string }
	}
	if err := json.Unmarshal(item, &k); err != nil {
		return store.Key{}, fmt.Errorf("%w: %w", handoff.ErrInvalidItem, err)
	}
	if k.PK.S == nil || k.SK.S == nil {
		return store.Key{}, fmt.Errorf("%w: PK and SK must be strings", handoff.ErrInvalidItem)
	}
	return store.Key{Name: *k.PK.S, Method: *k.SK.S}, nil
}
