package item

import (
	"encoding/json"
	"strings"
	"testing"
)

var key = Item{"PK": json.RawMessage(`{"S":"k"}`)}

func parse(text string) (*Update, error) {
	return ParseUpdate(text, map[string]string{"#n": "name"}, Item{":s": json.RawMessage(`{"S":"x"}`), ":1": json.RawMessage(`{"N":"1"}`),
		":h": json.RawMessage(`{"N":"0.5"}`), ":set": json.RawMessage(`{"SS":["b","c"]}`), ":none": json.RawMessage(`{}`)})
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
		c, err := parse(tc.expression)
		if err != nil {
			t.Errorf("%s: %v", tc.expression, err)
			continue
		}
		got, err := c.Apply(Item{"PK": json.RawMessage(`{"S":"k"}`), "n": json.RawMessage(`{"N":"2"}`), "set": json.RawMessage(`{"SS":["a","b"]}`)}, key)
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
		"SET a.b = :1":           "whole attributes only",
		"SET a = size(b)":        "Invalid function name; function: size",
		"SET a = if_not_exists(": "Syntax error",
	} {
		_, err := parse(expression)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want …%s…", expression, err, want)
		}
	}
	for _, expression := range []string{"SET a = missing", "SET a = :s + :1", "ADD s :1", "SET PK = :s"} {
		c, err := parse(expression)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Apply(Item{"s": json.RawMessage(`{"S":"x"}`)}, key); err == nil {
			t.Errorf("%s made %v", expression, got)
		}
	}
}

func FuzzParseUpdate(f *testing.F) {
	for _, s := range []string{"SET a = :1", "SET a = if_not_exists(a, :1) + :1 REMOVE b ADD c :set", "SET (", "ADD", "a.b[1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		c, err := parse(expression)
		if err != nil {
			return
		}
		if now, err := c.Apply(Item{"n": json.RawMessage(`{"N":"2"}`)}, key); err == nil && now["PK"] == nil {
			t.Errorf("%q lost the key", expression)
		}
	})
}
