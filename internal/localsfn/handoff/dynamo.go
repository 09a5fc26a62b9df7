package handoff

import (
	"context"
	"strings"

	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/handoff/item"
)

// itemOperation is one operation on items: request in, members of the answer
// out.
type itemOperation func(ctx context.Context, r *request) ([]expr.Member, error)

// dynamo are the four operations on items that are served.
type dynamo struct{ get, put, update, delete itemOperation }

// request are the parameters of the four operations, as far as they are served.
type request struct {
	params
	table     *string
	key, item expr.Value // absent if missing
}

// readItemRequest takes apart what every operation needs; required is the
// member that this one needs besides TableName.
func readItemRequest(p params, required string) (*request, error) {
	r := &request{params: p, key: p.Get("Key"), item: p.Get("Item")}
	if t := p.Get("TableName"); t.Kind() == expr.KindString {
		name := t.Text()
		r.table = &name
	} else if t.Kind() != expr.Absent && t.Kind() != expr.KindNull {
		return nil, dynamoFailure("SerializationException", "TableName must be a string")
	}
	for _, v := range []*expr.Value{&r.key, &r.item} {
		switch v.Kind() {
		case expr.KindNull:
			*v = expr.Value{}
		case expr.Absent, expr.KindObject:
		default:
			return nil, dynamoFailure("SerializationException", "Key and Item must be JSON objects")
		}
	}
	return r, r.check(required)
}

// optional is a member that is a string, or nil.
func (r *request) optional(name string) *string {
	v := r.Get(name)
	if v.Kind() != expr.KindString {
		return nil
	}
	s := v.Text()
	return &s
}

// returnValues is ReturnValues, "" if it is not there.
func (r *request) returnValues() string { return r.Get("ReturnValues").Text() }

// names are the ExpressionAttributeNames.
func (r *request) names() map[string]string {
	members := r.Get("ExpressionAttributeNames").Members()
	if len(members) == 0 {
		return nil
	}
	all := make(map[string]string, len(members))
	for _, m := range members {
		all[m.Key] = m.Value.Text()
	}
	return all
}

// values are the ExpressionAttributeValues.
func (r *request) values() item.Item { return item.Of(r.Get("ExpressionAttributeValues")) }

// on makes an integration of an operation; required names the member that it
// needs besides TableName.
func (o itemOperation) on(required string) integration {
	return func(ctx context.Context, _ *Call, p params) (expr.Value, error) {
		r, err := readItemRequest(p, required)
		if err != nil {
			return expr.Value{}, err
		}
		members, err := o(ctx, r)
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
	case r.table == nil:
		add("null", "tableName", "not be null")
	case strings.TrimFunc(*r.table, inTableName) != "" || *r.table == "":
		add("'"+*r.table+"'", "tableName", "satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
	}
	if required == "key" && r.key.IsAbsent() || required == "item" && r.item.IsAbsent() {
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
