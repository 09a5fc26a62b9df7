package handoff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/cenkalti/backoff/v4"

	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/handoff/item"
)

// localDynamo serves dynamodb:* by the table of this process.
func (h *Handoff) localDynamo() dynamo {
	t := local{h.o.Table}
	return dynamo{get: t.get, put: t.put, update: t.update, delete: t.delete}
}

// local is DynamoDB over one Table.
type local struct{ table Table }

var errNoTable = &Failure{Name: "DynamoDB.ResourceNotFoundException", Cause: "no table is configured (set CALLFLEET_TEMPLATES or CALLFLEET_DYNAMODB_ENDPOINT)"}

// open checks the parts of a request that this table cannot serve.
func (t local) open(r *request) error {
	switch {
	case t.table == nil:
		return errNoTable
	case *r.table != t.table.Name():
		return dynamoFailure("ResourceNotFoundException", "Requested resource not found")
	case r.optional("ConditionExpression") != nil:
		return dynamoFailure("ValidationException", "ConditionExpression is not served by the local table")
	case r.optional("ProjectionExpression") != nil:
		return dynamoFailure("ValidationException", "ProjectionExpression is not served by the local table")
	}
	return nil
}

// key checks that k holds exactly the key of the table.
func (t local) key(k expr.Value) (json.RawMessage, error) {
	names := t.table.KeyNames()
	for _, n := range names {
		if k.Get(n).IsAbsent() || k.Len() != len(names) {
			return nil, dynamoFailure("ValidationException", "The provided key element does not match the schema")
		}
	}
	return k.JSON(), nil
}

func (t local) get(ctx context.Context, r *request) ([]expr.Member, error) {
	if err := t.open(r); err != nil {
		return nil, err
	}
	key, err := t.key(r.key)
	if err != nil {
		return nil, err
	}
	text, _, err := t.read(ctx, key)
	if text == nil || err != nil {
		return nil, err
	}
	return []expr.Member{{Key: "Item", Value: expr.Raw(text)}}, nil
}

// read gets an item, waiting out trouble of the store until ctx ends.
func (t local) read(ctx context.Context, key json.RawMessage) (text json.RawMessage, revision string, err error) {
	err = backoff.Retry(func() (err error) {
		text, revision, err = t.table.Get(ctx, key)
		return permanent(err)
	}, t.backoff(ctx))
	return text, revision, err
}

// write does the same for a write.
func (t local) write(ctx context.Context, do func() error) error {
	return backoff.Retry(func() error { return permanent(do()) }, t.backoff(ctx))
}

func (t local) backoff(ctx context.Context) backoff.BackOff {
	return backoff.WithContext(backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0)), ctx)
}

// permanent marks what a repetition cannot mend.
func permanent(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrInvalidItem):
		return backoff.Permanent(dynamoFailure("ValidationException", err.Error()))
	case errors.Is(err, ErrChanged):
		return backoff.Permanent(err)
	}
	return err
}

func (t local) put(ctx context.Context, r *request) ([]expr.Member, error) {
	if err := t.open(r); err != nil {
		return nil, err
	}
	text := r.item.JSON()
	var key []expr.Member
	for _, n := range t.table.KeyNames() {
		v := r.item.Get(n)
		if v.IsAbsent() {
			return nil, dynamoFailure("ValidationException", "One or more parameter values were invalid: Missing the key "+n+" in the item")
		}
		key = append(key, expr.Member{Key: n, Value: v})
	}
	var old json.RawMessage
	if r.returnValues() == "ALL_OLD" {
		var err error
		if old, _, err = t.read(ctx, expr.Object(key...).JSON()); err != nil {
			return nil, err
		}
	}
	err := t.write(ctx, func() error { return t.table.Put(ctx, text, Any) })
	return returned(old), err
}

// returned are the attributes that an operation gives back.
func returned(text json.RawMessage) []expr.Member {
	if text == nil {
		return nil
	}
	return []expr.Member{{Key: "Attributes", Value: expr.Raw(text)}}
}

func (t local) delete(ctx context.Context, r *request) ([]expr.Member, error) {
	if err := t.open(r); err != nil {
		return nil, err
	}
	key, err := t.key(r.key)
	if err != nil {
		return nil, err
	}
	var old json.RawMessage
	if r.returnValues() == "ALL_OLD" {
		if old, _, err = t.read(ctx, key); err != nil {
			return nil, err
		}
	}
	err = t.write(ctx, func() error { return t.table.Delete(ctx, key, Any) })
	return returned(old), err
}

// updates bounds how often an update is worked out anew because others wrote
// the item meanwhile.
const updates = 20

func (t local) update(ctx context.Context, r *request) ([]expr.Member, error) {
	if err := t.open(r); err != nil {
		return nil, err
	}
	key, err := t.key(r.key)
	if err != nil {
		return nil, err
	}
	text := r.optional("UpdateExpression")
	if text == nil {
		text = new(string)
	}
	change, err := item.ParseUpdate(*text, r.names(), r.values())
	if err != nil {
		return nil, dynamoFailure("ValidationException", err.Error())
	}
	for range updates {
		text, revision, err := t.read(ctx, key)
		if err != nil {
			return nil, err
		}
		old := item.Item{}
		if text != nil {
			if err := json.Unmarshal(text, &old); err != nil {
				return nil, fmt.Errorf("stored item: %w", err)
			}
		}
		now, err := change.Apply(old, item.Of(r.key))
		if err != nil {
			return nil, dynamoFailure("ValidationException", err.Error())
		}
		if text, err = json.Marshal(now); err != nil {
			return nil, err
		}
		err = t.write(ctx, func() error { return t.table.Put(ctx, text, revision) })
		if err == nil {
			return chosen(r.returnValues(), old, now)
		}
		if !errors.Is(err, ErrChanged) {
			return nil, err
		}
	}
	return nil, dynamoFailure("TransactionConflictException", "Transaction is ongoing for the item")
}

// chosen are the attributes that ReturnValues asks of an update.
func chosen(which string, old, now item.Item) ([]expr.Member, error) {
	var out item.Item
	switch which {
	case "", "NONE":
		return nil, nil
	case "ALL_OLD":
		out = old
	case "ALL_NEW":
		out = now
	case "UPDATED_OLD", "UPDATED_NEW":
		from, other := old, now
		if which == "UPDATED_NEW" {
			from, other = now, old
		}
		out = item.Item{}
		for name, v := range from {
			if !sameJSON(v, other[name]) {
				out[name] = v
			}
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(out)
	return returned(text), err
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
