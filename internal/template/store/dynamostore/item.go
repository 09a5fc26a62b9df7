package dynamostore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"callfleet/internal/template/store"
)

// attributes are an item, or what is in an M.
type attributes = map[string]types.AttributeValue

// What DynamoDB takes, in bytes.
const (
	maxName   = 2048
	maxMethod = 1024
	maxItem   = 400 << 10
	// nearlyFull is where DynamoDB may count more than maxItem and we don't: lists,
	// maps and numbers take some bytes besides.
	nearlyFull = maxItem - maxItem/16
)

func key(k store.Key) attributes { return attributes{"PK": text(k.Name), "SK": text(k.Method)} }

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// possible reports whether a table can have the key. DynamoDB refuses to look
// for others.
func possible(k store.Key) bool {
	return k.Name != "" && k.Method != "" && len(k.Name) <= maxName && len(k.Method) <= maxMethod
}

// keyOf is the key of a stored item; ok is false in a table with other keys.
func keyOf(a attributes) (k store.Key, ok bool) {
	name, okName := a["PK"].(*types.AttributeValueMemberS)
	method, okMethod := a["SK"].(*types.AttributeValueMemberS)
	if !okName || !okMethod {
		return store.Key{}, false
	}
	return store.Key{Name: name.Value, Method: method.Value}, true
}

// sameText reports whether two attributes are the same S.
func sameText(a, b types.AttributeValue) bool {
	x, okX := a.(*types.AttributeValueMemberS)
	y, okY := b.(*types.AttributeValueMemberS)
	return okX && okY && x.Value == y.Value
}

func checkSize(k store.Key, a attributes) error {
	if !possible(k) {
		return fmt.Errorf("a key of DynamoDB has at most %d bytes of name and %d of method", maxName, maxMethod)
	}
	if n := size(&types.AttributeValueMemberM{Value: a}); n > maxItem {
		return fmt.Errorf("it has %d bytes, and an item of DynamoDB at most %d: make the template smaller", n, maxItem)
	}
	return nil
}

// size is what DynamoDB counts an attribute as, or a little less: by its
// documentation ("Item sizes and formats") a number's size is approximate.
func size(v types.AttributeValue) int {
	n := 0
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		n = len(v.Value)
	case *types.AttributeValueMemberB:
		n = len(v.Value)
	case *types.AttributeValueMemberSS:
		for _, s := range v.Value {
			n += len(s)
		}
	case *types.AttributeValueMemberBS:
		for _, b := range v.Value {
			n += len(b)
		}
	case *types.AttributeValueMemberL:
		for _, item := range v.Value {
			n += size(item)
		}
	case *types.AttributeValueMemberM:
		for name, member := range v.Value {
			n += len(name) + size(member)
		}
	default: // N, NS, BOOL, NULL
		n = 1
	}
	return n
}

// decode reads DynamoDB JSON.
func decode(data json.RawMessage) (attributes, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, err
	}
	a := make(attributes, len(members))
	for name, member := range members {
		v, err := decodeAttribute(member)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		a[name] = v
	}
	return a, nil
}

// decodeAttribute reads {"S": "text"} and the like. Numbers stay the texts that
// they are. store.Check has seen that there is one member, of a kind that exists.
func decodeAttribute(data json.RawMessage) (types.AttributeValue, error) {
	var typed map[string]json.RawMessage
	if err := json.Unmarshal(data, &typed); err != nil {
		return nil, err
	}
	for kind, content := range typed {
		switch kind {
		case "S":
			v := &types.AttributeValueMemberS{}
			return v, json.Unmarshal(content, &v.Value)
		case "N":
			v := &types.AttributeValueMemberN{}
			return v, json.Unmarshal(content, &v.Value)
		case "B":
			v := &types.AttributeValueMemberB{}
			return v, json.Unmarshal(content, &v.Value)
		case "BOOL":
			v := &types.AttributeValueMemberBOOL{}
			return v, json.Unmarshal(content, &v.Value)
		case "NULL":
			v := &types.AttributeValueMemberNULL{}
			return v, json.Unmarshal(content, &v.Value)
		case "SS":
			set, err := decodeSet[string](content)
			return &types.AttributeValueMemberSS{Value: set}, err
		case "NS":
			set, err := decodeSet[string](content)
			return &types.AttributeValueMemberNS{Value: set}, err
		case "BS":
			set, err := decodeSet[[]byte](content)
			return &types.AttributeValueMemberBS{Value: set}, err
		case "L":
			list, err := decodeList(content)
			return &types.AttributeValueMemberL{Value: list}, err
		case "M":
			members, err := decode(content)
			return &types.AttributeValueMemberM{Value: members}, err
		}
	}
	return nil, errors.New("is no attribute")
}

// decodeSet refuses null, which encoding/json takes for anything.
func decodeSet[T any](data json.RawMessage) ([]T, error) {
	var list []*T
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	set := make([]T, len(list))
	for i, v := range list {
		if v == nil {
			return nil, errors.New("a set can't hold null")
		}
		set[i] = *v
	}
	return set, nil
}

func decodeList(data json.RawMessage) ([]types.AttributeValue, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		return nil, err
	}
	list := make([]types.AttributeValue, len(items))
	for i, item := range items {
		v, err := decodeAttribute(item)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		list[i] = v
	}
	return list, nil
}

// encode writes DynamoDB JSON, its members in the order of their names.
func encode(a attributes) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(plainMembers(a)) // texts, lists and maps always have JSON
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func plainMembers(a attributes) map[string]any {
	members := make(map[string]any, len(a))
	for name, v := range a {
		members[name] = plain(v)
	}
	return members
}

// plain is what encoding/json makes {"S": "text"} of.
func plain(v types.AttributeValue) map[string]any {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return map[string]any{"S": v.Value}
	case *types.AttributeValueMemberN:
		return map[string]any{"N": v.Value}
	case *types.AttributeValueMemberB:
		return map[string]any{"B": v.Value}
	case *types.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": v.Value}
	case *types.AttributeValueMemberNULL:
		return map[string]any{"NULL": v.Value}
	case *types.AttributeValueMemberSS:
		return map[string]any{"SS": v.Value}
	case *types.AttributeValueMemberNS:
		return map[string]any{"NS": v.Value}
	case *types.AttributeValueMemberBS:
		return map[string]any{"BS": v.Value}
	case *types.AttributeValueMemberL:
		list := make([]any, len(v.Value))
		for i, item := range v.Value {
			list[i] = plain(item)
		}
		return map[string]any{"L": list}
	case *types.AttributeValueMemberM:
		return map[string]any{"M": plainMembers(v.Value)}
	}
	return nil
}
