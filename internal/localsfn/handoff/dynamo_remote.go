package handoff

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"callfleet/internal/localsfn/expr"
)

// remoteDynamo serves dynamodb:* by a real endpoint; the SDK retries.
func (h *Handoff) remoteDynamo() dynamo {
	return dynamo{get: h.remoteGet, put: h.remotePut, update: h.remoteUpdate, delete: h.remoteDelete}
}

func (h *Handoff) remoteGet(ctx context.Context, r *request) ([]expr.Member, error) {
	key, err := sdkItem(itemOf(r.key))
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
	return []expr.Member{{Key: "Item", Value: plainItem(out.Item)}}, nil
}

func (h *Handoff) remotePut(ctx context.Context, r *request) ([]expr.Member, error) {
	item, err := sdkItem(itemOf(r.item))
	if err != nil {
		return nil, err
	}
	values, err := sdkItem(r.values())
	if err != nil {
		return nil, err
	}
	out, err := h.o.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: r.table, Item: item, ConditionExpression: r.optional("ConditionExpression"), ExpressionAttributeNames: r.names(),
		ExpressionAttributeValues: values, ReturnValues: types.ReturnValue(r.returnValues()),
	})
	if err != nil {
		return nil, sdkFailure(ctx, "DynamoDB", "AmazonDynamoDBv2", err)
	}
	return attributes(out.Attributes), nil
}

func (h *Handoff) remoteUpdate(ctx context.Context, r *request) ([]expr.Member, error) {
	key, err := sdkItem(itemOf(r.key))
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
	key, err := sdkItem(itemOf(r.key))
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

func attributes(item map[string]types.AttributeValue) []expr.Member {
	if item == nil {
		return nil
	}
	return []expr.Member{{Key: "Attributes", Value: plainItem(item)}}
}

// sdkItem turns DynamoDB JSON into the SDK's form.
func sdkItem(item map[string]json.RawMessage) (map[string]types.AttributeValue, error) {
	if item == nil {
		return nil, nil
	}
	out := make(map[string]types.AttributeValue, len(item))
	for name, text := range item {
		v, err := sdkValue(text)
		if err != nil {
			return nil, dynamoFailure("ValidationException", "Supplied AttributeValue of '"+name+"' is not valid: "+err.Error())
		}
		out[name] = v
	}
	return out, nil
}

// attributeValue is one value in DynamoDB JSON: exactly one member is set.
type attributeValue struct {
	S    *string                    `json:"S,omitempty"`
	N    *string                    `json:"N,omitempty"`
	B    []byte                     `json:"B,omitempty"`
	BOOL *bool                      `json:"BOOL,omitempty"`
	NULL *bool                      `json:"NULL,omitempty"`
	SS   []string                   `json:"SS,omitempty"`
	NS   []string                   `json:"NS,omitempty"`
	BS   [][]byte                   `json:"BS,omitempty"`
	L    []json.RawMessage          `json:"L,omitempty"`
	M    map[string]json.RawMessage `json:"M,omitempty"`
}

func sdkValue(text json.RawMessage) (types.AttributeValue, error) {
	var v attributeValue
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	switch {
	case v.S != nil:
		return &types.AttributeValueMemberS{Value: *v.S}, nil
	case v.N != nil:
		return &types.AttributeValueMemberN{Value: *v.N}, nil
	case v.B != nil:
		return &types.AttributeValueMemberB{Value: v.B}, nil
	case v.BOOL != nil:
		return &types.AttributeValueMemberBOOL{Value: *v.BOOL}, nil
	case v.NULL != nil:
		return &types.AttributeValueMemberNULL{Value: *v.NULL}, nil
	case v.SS != nil:
		return &types.AttributeValueMemberSS{Value: v.SS}, nil
	case v.NS != nil:
		return &types.AttributeValueMemberNS{Value: v.NS}, nil
	case v.BS != nil:
		return &types.AttributeValueMemberBS{Value: v.BS}, nil
	case v.M != nil:
		m, err := sdkItem(v.M)
		return &types.AttributeValueMemberM{Value: m}, err
	case v.L != nil:
		l := make([]types.AttributeValue, len(v.L))
		for i, text := range v.L {
			var err error
			if l[i], err = sdkValue(text); err != nil {
				return nil, err
			}
		}
		return &types.AttributeValueMemberL{Value: l}, nil
	}
	return nil, errors.New("must contain exactly one of the supported datatypes")
}

// plainItem turns the SDK's form into DynamoDB JSON.
func plainItem(item map[string]types.AttributeValue) expr.Value {
	members := make([]expr.Member, 0, len(item))
	for _, name := range sorted(item) {
		members = append(members, expr.Member{Key: name, Value: plainValue(item[name])})
	}
	return expr.Object(members...)
}

func plainValue(v types.AttributeValue) expr.Value {
	one := func(kind string, v expr.Value) expr.Value { return expr.Object(expr.Member{Key: kind, Value: v}) }
	texts := func(list []string) expr.Value {
		out := make([]expr.Value, len(list))
		for i, s := range list {
			out[i] = expr.String(s)
		}
		return expr.Array(out...)
	}
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return one("S", expr.String(v.Value))
	case *types.AttributeValueMemberN:
		return one("N", expr.String(v.Value))
	case *types.AttributeValueMemberB:
		return one("B", expr.String(base64Of(v.Value)))
	case *types.AttributeValueMemberBOOL:
		return one("BOOL", expr.Bool(v.Value))
	case *types.AttributeValueMemberNULL:
		return one("NULL", expr.Bool(v.Value))
	case *types.AttributeValueMemberSS:
		return one("SS", texts(v.Value))
	case *types.AttributeValueMemberNS:
		return one("NS", texts(v.Value))
	case *types.AttributeValueMemberBS:
		list := make([]string, len(v.Value))
		for i, b := range v.Value {
			list[i] = base64Of(b)
		}
		return one("BS", texts(list))
	case *types.AttributeValueMemberM:
		return one("M", plainItem(v.Value))
	case *types.AttributeValueMemberL:
		list := make([]expr.Value, len(v.Value))
		for i, e := range v.Value {
			list[i] = plainValue(e)
		}
		return one("L", expr.Array(list...))
	}
	return expr.Null()
}
