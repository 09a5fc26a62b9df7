package handoff

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/handoff/item"
)

// remoteDynamo serves dynamodb:* by a real endpoint; the SDK retries.
func (h *Handoff) remoteDynamo() dynamo {
	return dynamo{get: h.remoteGet, put: h.remotePut, update: h.remoteUpdate, delete: h.remoteDelete}
}

func (h *Handoff) remoteGet(ctx context.Context, r *request) ([]expr.Member, error) {
	key, err := sdkItem(item.Of(r.key))
	if err != nil {
		return nil, err
	}
	out, err := h.o.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: r.table, Key: key, ConsistentRead: r.consistent(), ProjectionExpression: r.optional("ProjectionExpression"), ExpressionAttributeNames: r.names(),
	})
	if err != nil {
		return nil, sdkFailure(ctx, "DynamoDB", "AmazonDynamoDBv2", err)
	}
	if out.Item == nil {
		return nil, nil
	}
	return []expr.Member{{Key: "Item", Value: item.FromSDK(out.Item)}}, nil
}

func (h *Handoff) remotePut(ctx context.Context, r *request) ([]expr.Member, error) {
	it, err := sdkItem(item.Of(r.item))
	if err != nil {
		return nil, err
	}
	values, err := sdkItem(r.values())
	if err != nil {
		return nil, err
	}
	out, err := h.o.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: r.table, Item: it, ConditionExpression: r.optional("ConditionExpression"), ExpressionAttributeNames: r.names(),
		ExpressionAttributeValues: values, ReturnValues: types.ReturnValue(r.returnValues()),
	})
	if err != nil {
		return nil, sdkFailure(ctx, "DynamoDB", "AmazonDynamoDBv2", err)
	}
	return attributes(out.Attributes), nil
}

func (h *Handoff) remoteUpdate(ctx context.Context, r *request) ([]expr.Member, error) {
	key, err := sdkItem(item.Of(r.key))
	if err != nil {
		return nil, err
	}
	values, err := sdkItem(r.values())
	if err != nil {
		return nil, err
	}
	out, err := h.o.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: r.table, Key: key, UpdateExpression: r.optional("UpdateExpression"), ConditionExpression: r.optional("ConditionExpression"),
		ExpressionAttributeNames: r.names(), ExpressionAttributeValues: values, ReturnValues: types.ReturnValue(r.returnValues()),
	})
	if err != nil {
		return nil, sdkFailure(ctx, "DynamoDB", "AmazonDynamoDBv2", err)
	}
	return attributes(out.Attributes), nil
}

func (h *Handoff) remoteDelete(ctx context.Context, r *request) ([]expr.Member, error) {
	key, err := sdkItem(item.Of(r.key))
	if err != nil {
		return nil, err
	}
	values, err := sdkItem(r.values())
	if err != nil {
		return nil, err
	}
	out, err := h.o.DynamoDB.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: r.table, Key: key, ConditionExpression: r.optional("ConditionExpression"), ExpressionAttributeNames: r.names(),
		ExpressionAttributeValues: values, ReturnValues: types.ReturnValue(r.returnValues()),
	})
	if err != nil {
		return nil, sdkFailure(ctx, "DynamoDB", "AmazonDynamoDBv2", err)
	}
	return attributes(out.Attributes), nil
}

// consistent is ConsistentRead, or nil.
func (r *request) consistent() *bool {
	v := r.Get("ConsistentRead")
	if v.Kind() != expr.KindBool {
		return nil
	}
	b := v.Bool()
	return &b
}

func attributes(it map[string]types.AttributeValue) []expr.Member {
	if it == nil {
		return nil
	}
	return []expr.Member{{Key: "Attributes", Value: item.FromSDK(it)}}
}

// sdkItem turns an item into the SDK's form.
func sdkItem(it item.Item) (map[string]types.AttributeValue, error) {
	m, err := it.SDK()
	if err != nil {
		return nil, dynamoFailure("ValidationException", err.Error())
	}
	return m, nil
}
