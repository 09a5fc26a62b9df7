package handoff

import (
	"encoding/json"
	"strings"
	"testing"

	"callfleet/internal/localsfn/expr"
)

func updateOf(text string) *request {
	str := func(s string) expr.Value { return expr.Object(expr.Member{Key: "S", Value: expr.String(s)}) }
	values, err := expr.Parse([]byte(`{":s":{"S":"x"},":1":{"N":"1"},":h":{"N":"0.5"},":set":{"SS":["b","c"]},":none":{}}`))
	if err != nil {
		panic(err)
	}
	return &request{key: expr.Object(expr.Member{Key: "PK", Value: str("k")}), params: params{expr.Object(
		expr.Member{Key: "UpdateExpression", Value: expr.String(text)},
		expr.Member{Key: "ExpressionAttributeNames", Value: expr.Object(expr.Member{Key: "#n", Value: expr.String("name")})},
		expr.Member{Key: "ExpressionAttributeValues", Value: values},
	)}}
}

func TestUpdateExpressions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ expression, want string }{
		{"set S=:s", `{"PK":{"S":"k"},"S":{"S":"x"},"n":{"N":"2"},"set":{"SS":["a","b"]}}`},
		{"SET n = n + :h", `{"PK":{"S":"k"},"n":{"N":"2.5"},"set":{"SS":["a","b"]}}`},
		{"SET n = :1 - n", `{"PK":{"S":"k"},"n":{"N":"-1"},"set":{"SS":["a","b"]}}`},
		{"SET m = if_not_exists(m, :1) + :1, n = if_not_exists(n, :1)", `{"PK":{"S":"k"},"m":{"N":"2"},"n":{"N":"2"},"set":{"SS":["a","b"]}}`},
		{"SET #n = n REMOVE n, set", `{"PK":{"S":"k"},"name":{"N":"2"}}`},
		{"ADD n :1, set :set, fresh :set", `{"PK":{"S":"k"},"fresh":{"SS":["b","c"]},"n":{"N":"3"},"set":{"SS":["a","b","c"]}}`},
	} {
		r := updateOf(tc.expression)
		c, err := parseUpdate(r)
		if err != nil {
			t.Errorf("%s: %v", tc.expression, err)
			continue
		}
		got, err := c.apply(item{"PK": json.RawMessage(`{"S":"k"}`), "n": json.RawMessage(`{"N":"2"}`), "set": json.RawMessage(`{"SS":["a","b"]}`)}, itemOf(r.key))
		if err != nil {
			t.Errorf("%s: %v", tc.expression, err)
			continue
		}
		if text, _ := json.Marshal(got); string(text) != tc.want {
			t.Errorf("%s\n got %s\nwant %s", tc.expression, text, tc.want)
		}
	}
}

func TestUpdateExpressionMistakes(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"GIVE a :1":              "Syntax error; token: \"GIVE\"",
		"SET a":                  "Syntax error; token: \"\"",
		"SET a = :nope":          "attribute value: :nope",
		"SET a = :none":          "exactly one of the supported datatypes",
		"SET #nope = :1":         "attribute name: #nope",
		"SET a = :1 SET b = :1":  "can only be used once",
		"SET a = :1, a = :s":     "overlap",
		"SET PK = :s":            "part of the key",
		"SET a.b = :1":           "whole attributes only",
		"SET a = size(b)":        "Invalid function name; function: size",
		"SET a = if_not_exists(": "Syntax error",
	} {
		_, err := parseUpdate(updateOf(expression))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want …%s…", expression, err, want)
		}
	}
	for _, expression := range []string{"SET a = missing", "SET a = :s + :1", "ADD s :1"} {
		c, err := parseUpdate(updateOf(expression))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.apply(item{"s": json.RawMessage(`{"S":"x"}`)}, nil); err == nil {
			t.Errorf("%s made %v", expression, got)
		}
	}
}

func FuzzParseUpdate(f *testing.F) {
	for _, s := range []string{"SET a = :1", "SET a = if_not_exists(a, :1) + :1 REMOVE b ADD c :set", "SET (", "ADD", "a.b[1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		r := updateOf(expression)
		c, err := parseUpdate(r)
		if err != nil {
			return
		}
		if now, err := c.apply(item{"n": json.RawMessage(`{"N":"2"}`)}, itemOf(r.key)); err == nil && now["PK"] == nil {
			t.Errorf("%q lost the key", expression)
		}
	})
}
