package dynamostore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"callfleet/internal/template/store"
)

// revisionAttribute is a random text, a new one with each write of ours, that
// Get and List do not show. Together with the content it makes the revision.
//
// Neither would do alone. A condition of DynamoDB can say what attributes are,
// but not that there are no others: of two writers that each add another
// attribute to the same item, the second would undo the first. And a text of
// ours does not change when the item is edited by others, in the console say.
//
// A write under IfRevision therefore reads the item, compares its revision, and
// writes on the condition that every attribute that it has read is as it was, ours
// among them. One race is left, in the moment between that read and that write: an
// attribute that somebody who is not Callfleet adds to an item, touching no other.
const revisionAttribute = "callfleetRevision"

// revisionOf is a hash of the whole stored item.
func revisionOf(stored attributes) string {
	var b strings.Builder
	canonical(&b, &types.AttributeValueMemberM{Value: stored})
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:16])
}

// canonical writes an attribute such that what is the same to DynamoDB is the
// same text, however it is spelt: members and sets sorted, numbers as digits and
// exponent.
func canonical(b *strings.Builder, v types.AttributeValue) {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		quote(b, "S", v.Value)
	case *types.AttributeValueMemberN:
		quote(b, "N", store.CanonicalNumber(v.Value))
	case *types.AttributeValueMemberB:
		quote(b, "B", string(v.Value))
	case *types.AttributeValueMemberBOOL:
		quote(b, "BOOL", strconv.FormatBool(v.Value))
	case *types.AttributeValueMemberNULL:
		quote(b, "NULL", strconv.FormatBool(v.Value))
	case *types.AttributeValueMemberSS:
		quote(b, "SS", sorted(v.Value, func(s string) string { return s })...)
	case *types.AttributeValueMemberNS:
		quote(b, "NS", sorted(v.Value, store.CanonicalNumber)...)
	case *types.AttributeValueMemberBS:
		quote(b, "BS", sorted(v.Value, func(b []byte) string { return string(b) })...)
	case *types.AttributeValueMemberL:
		b.WriteString("L[")
		for _, item := range v.Value {
			canonical(b, item)
		}
		b.WriteByte(']')
	case *types.AttributeValueMemberM:
		b.WriteString("M{")
		for _, name := range slices.Sorted(maps.Keys(v.Value)) {
			quote(b, "", name)
			canonical(b, v.Value[name])
		}
		b.WriteByte('}')
	}
}

func quote(b *strings.Builder, kind string, values ...string) {
	b.WriteString(kind)
	for _, v := range values {
		b.WriteString(strconv.Quote(v))
	}
}

func sorted[T any](values []T, text func(T) string) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = text(v)
	}
	slices.Sort(texts)
	return texts
}

// guard is a store.Condition as DynamoDB checks it; zero for any item or none.
type guard struct {
	expression *string
	names      map[string]string
	values     attributes
}

// maxCompared keeps the expression under DynamoDB's 4 KB and 300 operators.
const maxCompared = 100

// guard reads the item for IfRevision, and returns store.ErrConflict when the
// condition does not hold already.
func (s *Store) guard(ctx context.Context, k store.Key, c store.Condition) (guard, error) {
	if c.Absent() {
		return guard{expression: aws.String("attribute_not_exists(PK)")}, nil
	}
	revision, ok := c.Revision()
	if !ok {
		return guard{}, nil
	}
	stored, err := s.read(ctx, k)
	if errors.Is(err, store.ErrNotFound) || err == nil && revisionOf(stored) != revision {
		return guard{}, store.ErrConflict
	}
	if err != nil {
		return guard{}, err
	}
	return unchanged(stored), nil
}

// unchanged holds for an item as it was read.
func unchanged(stored attributes) guard {
	g := guard{names: map[string]string{"#r": revisionAttribute}, values: attributes{}}
	terms := []string{"attribute_exists(PK)"}
	if r, ok := stored[revisionAttribute]; ok {
		terms, g.values[":r"] = append(terms, "#r = :r"), r
	} else {
		terms = append(terms, "attribute_not_exists(#r)")
	}
	for i, name := range slices.Sorted(maps.Keys(stored)) {
		if i == maxCompared {
			break
		}
		if name == revisionAttribute || name == "PK" || name == "SK" {
			continue
		}
		n, v := fmt.Sprintf("#%d", i), fmt.Sprintf(":%d", i)
		terms = append(terms, n+" = "+v)
		g.names[n], g.values[v] = name, stored[name]
	}
	if len(g.values) == 0 {
		g.values = nil // DynamoDB refuses an empty one
	}
	g.expression = aws.String(strings.Join(terms, " AND "))
	return g
}
