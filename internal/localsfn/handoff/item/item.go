// Package item works on DynamoDB items in DynamoDB's JSON: their forms in the
// SDK and in text, and what an UpdateExpression makes of them.
package item

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"sort"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"callfleet/internal/localsfn/expr"
)

// Item is DynamoDB JSON taken apart: the values by attribute name.
type Item map[string]json.RawMessage

// Of takes a JSON object apart; nil if it is absent.
func Of(v expr.Value) Item {
	if v.Kind() != expr.KindObject {
		return nil
	}
	members := v.Members()
	all := make(Item, len(members))
	for _, m := range members {
		all[m.Key] = m.Value.JSON()
	}
	return all
}

// SDK turns an item into the SDK's form.
func (it Item) SDK() (map[string]types.AttributeValue, error) {
	if it == nil {
		return nil, nil
	}
	out := make(map[string]types.AttributeValue, len(it))
	for name, text := range it {
		v, err := sdkValue(text)
		if err != nil {
			return nil, &Error{"Supplied AttributeValue of '" + name + "' is not valid: " + err.Error()}
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
		m, err := Item(v.M).SDK()
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

// FromSDK turns the SDK's form into DynamoDB JSON.
func FromSDK(item map[string]types.AttributeValue) expr.Value {
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
		return one("M", FromSDK(v.Value))
	case *types.AttributeValueMemberL:
		list := make([]expr.Value, len(v.Value))
		for i, e := range v.Value {
			list[i] = plainValue(e)
		}
		return one("L", expr.Array(list...))
	}
	return expr.Null()
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
