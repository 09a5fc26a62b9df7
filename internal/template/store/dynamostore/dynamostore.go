// Package dynamostore keeps API templates in a DynamoDB table, PK the template's
// name and SK its method, where state machines read them with dynamodb:getItem.
//
// Items are kept as they are put, with one attribute of ours (see
// revisionAttribute); items that others have put are read and changed as well.
// DynamoDB itself has one spelling for a number: what was put as 1.50 may be
// read as 1.5.
package dynamostore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"callfleet/internal/template/store"
)

// Options say where the templates are. A zero field is its default.
type Options struct {
	Table string // "API_Template_Table"
}

// Store is a table. Create a Store with New.
type Store struct {
	client *dynamodb.Client
	table  string
	region string
}

var _ store.Store = (*Store)(nil)

// validTable is what DynamoDB takes for a table's name.
var validTable = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`)

// New makes a store; it asks nothing of the table, for which there is Check.
func New(cfg aws.Config, o Options) (*Store, error) {
	if o.Table == "" {
		o.Table = "API_Template_Table"
	}
	if !validTable.MatchString(o.Table) {
		return nil, fmt.Errorf("open template table %q: a table's name is 3 to 255 letters, digits, dots, dashes and underscores", o.Table)
	}
	if cfg.Region == "" {
		return nil, fmt.Errorf("open template table %s: no AWS region: set AWS_REGION or the profile's", o.Table)
	}
	client := dynamodb.NewFromConfig(cfg, func(c *dynamodb.Options) {
		c.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts = maxAttempts
			s.Backoff = retry.BackoffDelayerFunc(backoff)
			// A budget shared by all calls would fail those that have nothing to
			// do with the trouble.
			s.RateLimiter = ratelimit.None
		})
	})
	return &Store{client: client, table: o.Table, region: cfg.Region}, nil
}

// A burst of throttling or of failing servers is waited out for some seconds;
// AWS_MAX_ATTEMPTS is stronger.
const (
	maxAttempts  = 8
	firstBackoff = 25 * time.Millisecond // an item takes some 5 ms; the SDK begins with two seconds
	maxBackoff   = 5 * time.Second
)

// backoff is how long to wait after an attempt, which are counted from 1.
func backoff(attempt int, _ error) (time.Duration, error) {
	return mathrand.N(min(firstBackoff<<min(attempt, 10), maxBackoff)), nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, k store.Key) (store.Item, error) {
	if !possible(k) {
		return store.Item{}, fmt.Errorf("get template %q: %w", k, store.ErrNotFound)
	}
	attributes, err := s.read(ctx, k)
	if err != nil {
		return store.Item{}, fmt.Errorf("get template %q: %w", k, s.explain(ctx, err))
	}
	return item(k, attributes), nil
}

// read is the item as it is in the table.
func (s *Store) read(ctx context.Context, k store.Key) (attributes, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: key(k), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	if out.Item == nil {
		return nil, store.ErrNotFound
	}
	return out.Item, nil
}

// item is what callers see of a stored item.
func item(k store.Key, stored attributes) store.Item {
	shown := maps.Clone(stored)
	delete(shown, revisionAttribute)
	return store.Item{Key: k, Attributes: encode(shown), Revision: revisionOf(stored)}
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, it store.Item, c store.Condition) (string, error) {
	if err := store.Check(it); err != nil {
		return "", fmt.Errorf("put template: %w", err)
	}
	put, err := decode(it.Attributes)
	if err == nil {
		put[revisionAttribute] = text(rand.Text())
		err = checkSize(it.Key, put)
	}
	if err != nil {
		return "", fmt.Errorf("put template: %w: %q: %w", store.ErrInvalid, it.Key, err)
	}
	if err := s.put(ctx, it.Key, put, c); err != nil {
		return "", fmt.Errorf("put template %q: %w", it.Key, s.explainPut(ctx, put, err))
	}
	return revisionOf(put), nil
}

func (s *Store) put(ctx context.Context, k store.Key, put attributes, c store.Condition) error {
	guard, err := s.guard(ctx, k, c)
	if err != nil {
		return err
	}
	_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.table, Item: put,
		ConditionExpression: guard.expression, ExpressionAttributeNames: guard.names, ExpressionAttributeValues: guard.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) && sameText(failed.Item[revisionAttribute], put[revisionAttribute]) {
		return nil // it was written, the answer lost, and the next attempt refused
	}
	return err
}

// Delete implements store.Store. An item under IfRevision that is gone when its
// turn comes counts as deleted: the answer to the attempt that did it may have
// been lost.
func (s *Store) Delete(ctx context.Context, k store.Key, c store.Condition) error {
	if err := s.delete(ctx, k, c); err != nil {
		return fmt.Errorf("delete template %q: %w", k, s.explain(ctx, err))
	}
	return nil
}

func (s *Store) delete(ctx context.Context, k store.Key, c store.Condition) error {
	_, guarded := c.Revision()
	if !possible(k) {
		if guarded {
			return store.ErrConflict
		}
		return nil
	}
	if c.Absent() { // nothing to delete, or a conflict
		_, err := s.read(ctx, k)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case err == nil:
			return store.ErrConflict
		}
		return err
	}
	guard, err := s.guard(ctx, k, c)
	if err != nil {
		return err
	}
	_, err = s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &s.table, Key: key(k),
		ConditionExpression: guard.expression, ExpressionAttributeNames: guard.names, ExpressionAttributeValues: guard.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) && failed.Item == nil {
		return nil
	}
	return err
}

// List implements store.Store. A table has no order of its own, so that each
// page reads the whole table: half a capacity unit for each 2 KB, in requests
// of 1 MB one after the other. 10,000 templates of 2 KB are 20 requests, some
// 5,000 units, and as many again for each version that is kept of them. It holds
// at most twice the page, and one answer, in memory.
func (s *Store) List(ctx context.Context, after store.Key, limit int) ([]store.Item, error) {
	var items []store.Item
	pages := dynamodb.NewScanPaginator(s.client, &dynamodb.ScanInput{TableName: &s.table, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list templates: %w", s.explain(ctx, err))
		}
		for _, stored := range page.Items {
			if k, ok := keyOf(stored); ok && !isVersion(k) && store.Compare(k, after) > 0 {
				items = append(items, item(k, stored))
			}
		}
		if len(items) > 2*limit || !pages.HasMorePages() {
			slices.SortFunc(items, func(a, b store.Item) int { return store.Compare(a.Key, b.Key) })
			items = slices.Delete(items, min(limit, len(items)), len(items))
		}
	}
	return items, nil
}

func isVersion(k store.Key) bool {
	_, n := k.Cut()
	return n > 0
}

// Versions implements store.Store. It reads what the table has under the name,
// half a capacity unit for each 2 KB, in requests of 1 MB.
func (s *Store) Versions(ctx context.Context, k store.Key) ([]store.Item, error) {
	if k.Name == "" || len(k.Name) > maxName {
		return nil, nil
	}
	in := &dynamodb.QueryInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("PK = :name"),
		ExpressionAttributeValues: attributes{":name": text(k.Name)},
	}
	if k.Method != "" {
		in.KeyConditionExpression = aws.String("PK = :name AND begins_with(SK, :method)")
		in.ExpressionAttributeValues[":method"] = text(k.Method + "@")
	}
	var items []store.Item
	for pages := dynamodb.NewQueryPaginator(s.client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list versions of template %q: %w", k, s.explain(ctx, err))
		}
		for _, stored := range page.Items {
			if found, ok := keyOf(stored); ok && found.Of(k) {
				items = append(items, item(found, stored))
			}
		}
	}
	slices.SortFunc(items, func(a, b store.Item) int { return store.CompareVersions(a.Key, b.Key) })
	return items, nil
}
