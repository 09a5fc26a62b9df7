package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Check reports whether the table is there, can be used, and has the keys PK and
// SK of type S. The error says what to do.
func (s *Store) Check(ctx context.Context) error {
	d, err := s.describe(ctx)
	switch {
	case err != nil:
		err = s.explain(ctx, err)
	case d.TableStatus != types.TableStatusActive && d.TableStatus != types.TableStatusUpdating:
		err = fmt.Errorf("%s is %s: wait until it is ACTIVE", s.name(), d.TableStatus)
	default:
		err = s.checkKeys(d)
	}
	if err != nil {
		return fmt.Errorf("check template table: %w", err)
	}
	return nil
}

// Create makes the table if it is missing, on demand, and waits until it can be
// used; made is false when it was there. A table with other keys is an error.
func (s *Store) Create(ctx context.Context) (made bool, err error) {
	_, err = s.client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:   &s.table,
		BillingMode: types.BillingModePayPerRequest,
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("PK"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("SK"), KeyType: types.KeyTypeRange},
		},
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("PK"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("SK"), AttributeType: types.ScalarAttributeTypeS},
		},
	})
	var there *types.ResourceInUseException
	if err != nil && !errors.As(err, &there) {
		return false, fmt.Errorf("create template table: %w", s.explain(ctx, err))
	}
	made = err == nil
	ready := dynamodb.NewTableExistsWaiter(s.client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 250*time.Millisecond, 2*time.Second
	})
	if err := ready.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &s.table}, 5*time.Minute); err != nil {
		return made, fmt.Errorf("create template table: wait until it is active: %w", s.explain(ctx, err))
	}
	return made, s.Check(ctx)
}

func (s *Store) describe(ctx context.Context) (*types.TableDescription, error) {
	out, err := s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.table})
	if err != nil {
		return nil, err
	}
	return out.Table, nil
}

// errKeys is a table that can't hold templates.
var errKeys = errors.New("name another table, or make one with \"producer setup\" or deploy/cdk")

func (s *Store) checkKeys(d *types.TableDescription) error {
	kinds := map[string]types.ScalarAttributeType{}
	for _, a := range d.AttributeDefinitions {
		kinds[aws.ToString(a.AttributeName)] = a.AttributeType
	}
	got := ""
	for _, k := range d.KeySchema {
		name := aws.ToString(k.AttributeName)
		got += fmt.Sprintf("%s %s (%s) ", k.KeyType, name, kinds[name])
	}
	if want := "HASH PK (S) RANGE SK (S) "; got != want {
		return fmt.Errorf("%s has the keys %sinstead of %s: %w", s.name(), got, want[:len(want)-1], errKeys)
	}
	return nil
}

// name is the table in messages.
func (s *Store) name() string { return "table " + s.table + " in " + s.region }
