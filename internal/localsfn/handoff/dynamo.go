package handoff

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"sort"
	"strings"

	"callfleet/internal/localsfn/expr"
)

// itemOperation is one operation on items: request in, members of the answer
// out.
type itemOperation func(ctx context.Context, r *request) ([]expr.Member, error)

// dynamo are the four operations on items that are served.
type dynamo struct{ get, put, update, delete itemOperation }

// request are the parameters of the four operations, as far as they are served.
type request struct {
	TableName                 *string
	Key, Item                 map[string]json.RawMessage
	ConsistentRead            *bool
	ProjectionExpression      *string
	ConditionExpression       *string
	UpdateExpression          *string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues map[string]json.RawMessage
	ReturnValues              string
}

// on makes an integration of an operation; required names the member that it
// needs besides TableName.
func (o itemOperation) on(required string) integration {
	return func(ctx context.Context, _ *Call, p params) (expr.Value, error) {
		var r request
		if err := json.Unmarshal(p.JSON(), &r); err != nil {
			return expr.Value{}, dynamoFailure("SerializationException", "The parameters cannot be read: "+err.Error())
		}
		if err := r.check(required); err != nil {
			return expr.Value{}, err
		}
		members, err := o(ctx, &r)
		if err != nil {
			return expr.Value{}, err
		}
		size := 2
		for _, m := range members {
			size += len(m.Key) + 3 + m.Value.Size()
		}
		id := requestID()
		return withMetadata(members, id, append([]header{{"Server", "Server"}}, jsonHeaders(id, size)...)), nil
	}
}

// check is what DynamoDB says about a request before it looks at the table.
func (r *request) check(required string) error {
	var found []string
	add := func(value, member, rule string) {
		found = append(found, "Value "+value+" at '"+member+"' failed to satisfy constraint: Member must "+rule)
	}
	switch {
	case r.TableName == nil:
		add("null", "tableName", "not be null")
	case strings.TrimFunc(*r.TableName, inTableName) != "" || *r.TableName == "":
		add("'"+*r.TableName+"'", "tableName", "satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
	}
	if required == "key" && r.Key == nil || required == "item" && r.Item == nil {
		add("null", required, "not be null")
	}
	if len(found) == 0 {
		return nil
	}
	text := itoa(len(found)) + " validation errors detected: "
	if len(found) == 1 {
		text = "1 validation error detected: "
	}
	return dynamoFailure("ValidationException", text+strings.Join(found, "; "))
}

func inTableName(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '-'
}

// dynamoFailure words an error of DynamoDB.
func dynamoFailure(code, message string) *Failure {
	return serviceFailure("DynamoDB", "AmazonDynamoDBv2", code, message, 400)
}

// sorted are the keys of a map in order.
func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
