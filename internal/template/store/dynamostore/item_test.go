package dynamostore

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"callfleet/internal/template/store"
)

// Every kind of attribute comes out as it went in.
const allKinds = `{"PK":{"S":"a"},"SK":{"S":"GET"},"s":{"S":"<ü&\u0000\n😀>"},"e":{"S":""},"n":{"N":"-0.10e-5"},
	"big":{"N":"12345678901234567890123456789012345678"},"b":{"B":"AAH/"},"ss":{"SS":["y","x"]},"ns":{"NS":["1.50","-2"]},"bs":{"BS":["AA==","AQ=="]},
	"t":{"BOOL":true},"f":{"BOOL":false},"z":{"NULL":true},"l":{"L":[]},"m":{"M":{}},
	"deep":{"L":[{"M":{"a":{"L":[{"S":"x"},{"NS":["3"]},{"M":{"":{"NULL":true}}}]}}}]}}`

func TestEveryKind(t *testing.T) {
	t.Parallel()
	a, err := decode(json.RawMessage(allKinds))
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(encode(a), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(allKinds), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %s", encode(a))
	}
	if strings.Contains(string(encode(a)), `\u003c`) {
		t.Error("it is escaped for HTML")
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":{"B":"not base64!"}}`:       "a: illegal base64",
		`{"a":{"SS":["x",null]}}`:         "a: a set can't hold null",
		`{"a":{"NS":[1]}}`:                "a: json: cannot unmarshal number",
		`{"a":{"L":[{"M":{"b":{}}}]}}`:    "a: 0: b: is no attribute",
		`{"a":{"L":[{"S":"x"},{"Q":1}]}}`: "a: 1: is no attribute",
	} {
		if _, err := decode(json.RawMessage(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// A revision is the same for two spellings of an item, and another for another.
func TestRevisionOf(t *testing.T) {
	t.Parallel()
	revision := func(text string) string {
		a, err := decode(json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		return revisionOf(a)
	}
	for _, pair := range [][2]string{
		{`{"a":{"N":"1.50"},"b":{"NS":["1","2e1"]}}`, `{"b":{"NS":["20","1.0"]},"a":{"N":"1.5"}}`},
		{`{"a":{"SS":["x","y"]},"b":{"BS":["AA==","AQ=="]}}`, `{"a":{"SS":["y","x"]},"b":{"BS":["AQ==","AA=="]}}`},
		{allKinds, allKinds},
	} {
		if revision(pair[0]) != revision(pair[1]) {
			t.Errorf("%s and %s differ", pair[0], pair[1])
		}
	}
	seen := map[string]string{}
	for _, text := range []string{
		`{}`, `{"a":{"S":""}}`, `{"a":{"S":"1"}}`, `{"a":{"N":"1"}}`, `{"a":{"N":"10"}}`, `{"a":{"N":"-1"}}`, `{"a":{"B":"MQ=="}}`, `{"a":{"SS":["1"]}}`,
		`{"a":{"SS":["1","2"]}}`, `{"a":{"SS":["1\"\"2"]}}`, `{"a":{"NS":["1","2"]}}`, `{"a":{"NS":["12"]}}`, `{"a":{"BS":["MQ=="]}}`, `{"a":{"BOOL":true}}`, `{"a":{"BOOL":false}}`,
		`{"a":{"NULL":true}}`, `{"a":{"L":[]}}`, `{"a":{"L":[{"S":"1"}]}}`, `{"a":{"L":[{"S":"1"},{"S":"2"}]}}`, `{"a":{"L":[{"S":"2"},{"S":"1"}]}}`,
		`{"a":{"L":[{"L":[{"S":"1"}]},{"S":"2"}]}}`, `{"a":{"L":[{"L":[{"S":"1"},{"S":"2"}]}]}}`, `{"a":{"M":{}}}`, `{"a":{"M":{"b":{"S":"1"}}}}`, `{"b":{"S":"1"}}`,
	} {
		if other, ok := seen[revision(text)]; ok {
			t.Errorf("%s and %s are the same", text, other)
		}
		seen[revision(text)] = text
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	a, err := decode(json.RawMessage(`{"ab":{"S":"ü"},"c":{"B":"AAAA"},"d":{"SS":["x","yz"]},"e":{"BS":["AA=="]},"f":{"L":[{"S":"xyz"},{"M":{"g":{"NULL":true}}}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := size(&types.AttributeValueMemberM{Value: a}); got != 2+2+1+3+1+3+1+1+1+3+1+1 {
		t.Errorf("got %d", got)
	}
}

// However many attributes an item has, its condition is one that DynamoDB takes.
func TestConditionHasALimit(t *testing.T) {
	t.Parallel()
	a := attributes{"PK": text("a"), "SK": text("GET"), revisionAttribute: text("r")}
	for i := range 1000 {
		a["x"+string(rune('a'+i%26))+strings.Repeat("y", i/26)] = text("v")
	}
	g := unchanged(a)
	if n := len(*g.expression); n > 4096 || strings.Count(*g.expression, "=")+strings.Count(*g.expression, "AND") > 300 {
		t.Errorf("an expression of %d bytes", n)
	}
	if g.values[":r"] == nil {
		t.Error("our attribute is not compared")
	}
	for name := range maps.Keys(g.names) {
		if !strings.Contains(*g.expression, name+" ") {
			t.Errorf("%s is not used", name)
		}
	}
	if g := unchanged(attributes{"PK": text("a"), "SK": text("GET")}); g.values != nil || *g.expression != "attribute_exists(PK) AND attribute_not_exists(#r)" {
		t.Errorf("got %v", g)
	}
}

func TestPossible(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, method int
		want         bool
	}{{1, 1, true}, {0, 1, false}, {1, 0, false}, {2048, 1024, true}, {2049, 1, false}, {1, 1025, false}} {
		if got := possible(store.Key{Name: strings.Repeat("x", row.name), Method: strings.Repeat("x", row.method)}); got != row.want {
			t.Errorf("%d and %d bytes: got %v", row.name, row.method, got)
		}
	}
}
