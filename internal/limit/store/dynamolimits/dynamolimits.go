// Package dynamolimits keeps flow keys in a DynamoDB table of their own: PK the
// flow key, value its record, revision a number.
package dynamolimits

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"callfleet/internal/limit/store"
)

// pollEvery is how often a watch reads the table: half a capacity unit for each
// 4 KB of it.
const pollEvery = time.Second

// Options say where the flow keys are.
type Options struct {
	Table string
}

// Store is a table. Create a Store with New.
type Store struct {
	client *dynamodb.Client
	table  string
	region string
}

var _ store.Store = (*Store)(nil)

// New makes a store; it asks nothing of the table, for which there is Check.
func New(cfg aws.Config, o Options) (*Store, error) {
	if o.Table == "" {
		return nil, errors.New("open flow table: it has no name")
	}
	if cfg.Region == "" {
		return nil, fmt.Errorf("open flow table %s: no AWS region: set AWS_REGION or the profile's", o.Table)
	}
	client := dynamodb.NewFromConfig(cfg, func(c *dynamodb.Options) {
		c.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts = 3 // who asked asks again, with what is true then
			s.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
				return rand.N(25 * time.Millisecond << min(attempt, 4)), nil
			})
			s.RateLimiter = ratelimit.None
		})
	})
	return &Store{client: client, table: o.Table, region: cfg.Region}, nil
}

type attributes = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n uint64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatUint(n, 10)}
}

// entryOf reads an item; others are not ours.
func entryOf(item attributes) (store.Entry, bool) {
	key, k := item["PK"].(*types.AttributeValueMemberS)
	value, v := item["value"].(*types.AttributeValueMemberS)
	revision, r := item["revision"].(*types.AttributeValueMemberN)
	if !k || !v || !r {
		return store.Entry{}, false
	}
	n, err := strconv.ParseUint(revision.Value, 10, 64)
	return store.Entry{Key: key.Value, Value: []byte(value.Value), Revision: n}, err == nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Entry, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table, Key: attributes{"PK": text(key)}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return store.Entry{}, fmt.Errorf("get flow %s: %w", key, s.explain(err))
	}
	e, ok := entryOf(out.Item)
	if !ok {
		return store.Entry{}, fmt.Errorf("get flow %s: %w", key, store.ErrNotFound)
	}
	return e, nil
}

// Put implements store.Store. The first revision of a key is the time, so that
// they grow over a removal.
func (s *Store) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	next := revision + 1
	in := &dynamodb.PutItemInput{TableName: &s.table}
	if revision == 0 {
		next = uint64(time.Now().UnixNano())
		in.ConditionExpression = aws.String("attribute_not_exists(PK)")
	} else {
		in.ConditionExpression = aws.String("revision = :revision")
		in.ExpressionAttributeValues = attributes{":revision": number(revision)}
	}
	in.Item = attributes{"PK": text(key), "value": text(string(value)), "revision": number(next)}
	if _, err := s.client.PutItem(ctx, in); err != nil {
		return 0, fmt.Errorf("put flow %s: %w", key, s.explain(err))
	}
	return next, nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string, revision uint64) error {
	_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &s.table, Key: attributes{"PK": text(key)},
		ConditionExpression: aws.String("revision = :revision"), ExpressionAttributeValues: attributes{":revision": number(revision)},
	})
	if err != nil {
		return fmt.Errorf("delete flow %s: %w", key, s.explain(err))
	}
	return nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context) ([]store.Entry, error) {
	return s.scan(ctx, true)
}

func (s *Store) scan(ctx context.Context, consistent bool) ([]store.Entry, error) {
	var all []store.Entry
	pages := dynamodb.NewScanPaginator(s.client, &dynamodb.ScanInput{TableName: &s.table, ConsistentRead: &consistent})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list flows: %w", s.explain(err))
		}
		for _, item := range page.Items {
			if e, ok := entryOf(item); ok {
				all = append(all, e)
			}
		}
	}
	return all, nil
}

// Watch implements store.Store: it reads the table again and again. A removal is
// told when a whole read has not found the key.
func (s *Store) Watch(ctx context.Context, f func(store.Entry)) error {
	ticks := time.NewTicker(pollEvery)
	defer ticks.Stop()
	known := map[string]uint64{}
	for {
		all, err := s.scan(ctx, false)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		there := make(map[string]bool, len(all))
		for _, e := range all {
			there[e.Key] = true
			if e.Revision > known[e.Key] { // an older copy may answer after a newer one
				known[e.Key] = e.Revision
				f(e)
			}
		}
		for key, revision := range known {
			if !there[key] {
				delete(known, key)
				f(store.Entry{Key: key, Revision: revision + 1})
			}
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// explain gives the errors of DynamoDB the store's names, and says what to do.
func (s *Store) explain(err error) error {
	var failed *types.ConditionalCheckFailedException
	var missing *types.ResourceNotFoundException
	switch {
	case errors.As(err, &failed):
		return store.ErrConflict
	case errors.As(err, &missing):
		return fmt.Errorf("there is no table %s in %s: make it with \"producer setup\" or deploy/cdk: %w", s.table, s.region, ErrNoTable)
	}
	return fmt.Errorf("table %s in %s: %w", s.table, s.region, err)
}

// ErrNoTable says that the table does not exist.
var ErrNoTable = errors.New("table not found")

// Create makes the table if it is missing, on demand, and waits until it can be
// used; made is false when it was there.
func (s *Store) Create(ctx context.Context) (made bool, err error) {
	_, err = s.client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &s.table, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("PK"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("PK"), AttributeType: types.ScalarAttributeTypeS}},
	})
	var there *types.ResourceInUseException
	if err != nil && !errors.As(err, &there) {
		return false, fmt.Errorf("create flow table: %w", s.explain(err))
	}
	made = err == nil
	ready := dynamodb.NewTableExistsWaiter(s.client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 250*time.Millisecond, 2*time.Second
	})
	if err := ready.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &s.table}, 5*time.Minute); err != nil {
		return made, fmt.Errorf("create flow table: wait until it is active: %w", s.explain(err))
	}
	return made, nil
}
