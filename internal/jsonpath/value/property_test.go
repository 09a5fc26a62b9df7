package value

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// text draws a JSON text with spaces and escapes wherever they may be.
func text(t *rapid.T, depth int) string {
	space := rapid.StringMatching(`[ \n\t\r]{0,2}`)
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	var b strings.Builder
	b.WriteString(space.Draw(t, "space"))
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		b.WriteString(rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "word"))
	case 1:
		b.WriteString(rapid.StringMatching(`-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number"))
	case 2, 3:
		b.WriteString(quotedText(t))
	case 4:
		b.WriteByte('[')
		for i := range rapid.IntRange(0, 4).Draw(t, "length") {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(text(t, depth-1))
		}
		b.WriteString(space.Draw(t, "space") + "]")
	case 5:
		b.WriteByte('{')
		for i := range rapid.IntRange(0, 14).Draw(t, "length") {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(space.Draw(t, "space") + quotedText(t) + space.Draw(t, "space") + ":" + text(t, depth-1))
		}
		b.WriteString(space.Draw(t, "space") + "}")
	}
	b.WriteString(space.Draw(t, "space"))
	return b.String()
}

func quotedText(t *rapid.T) string {
	var b strings.Builder
	b.WriteByte('"')
	for range rapid.IntRange(0, 5).Draw(t, "length") {
		b.WriteString(rapid.SampledFrom([]string{"a", "b", " ", "é", "😀", `\n`, `\"`, `\\`, `\/`, `\u0041`, `\ud83d\ude00`, `\u0000`, ",", "}", "["}).Draw(t, "char"))
	}
	b.WriteByte('"')
	return b.String()
}

func TestParseKeepsText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		source := text(t, 3)
		if deep := rapid.SampledFrom([]int{0, 0, eagerDepth}).Draw(t, "deep"); deep > 0 {
			source = strings.Repeat(`{"a":[`, deep) + source + strings.Repeat("]}", deep)
		}
		v, err := Parse([]byte(source))
		if err != nil {
			t.Fatalf("Parse(%q): %v", source, err)
		}
		touch(v)
		if got := string(v.JSON()); got != source {
			t.Fatalf("Parse(%q).JSON() = %q", source, got)
		}
		checkAgainstDecoder(t, v, source)
		compact := v.Compact()
		if !Equal(v, compact) || !json.Valid(compact.JSON()) {
			t.Fatalf("%q compacts to %q", source, compact)
		}
		if again := Raw(compact.JSON()).Compact(); again.String() != compact.String() {
			t.Fatalf("%q compacts further, to %q", compact, again)
		}
		if string(v.AppendKey(nil)) != string(compact.AppendKey(nil)) {
			t.Fatalf("%q and its compact form have different keys", source)
		}
	})
}

// checkAgainstDecoder compares what is in v with what encoding/json reads.
func checkAgainstDecoder(t interface{ Fatalf(string, ...any) }, v Value, source string) {
	decoder := json.NewDecoder(strings.NewReader(source))
	decoder.UseNumber()
	var want any
	if err := decoder.Decode(&want); err != nil {
		t.Fatalf("decode %q: %v", source, err)
	}
	if !same(v, want) {
		t.Fatalf("%q reads as %v", source, want)
	}
}

func same(v Value, want any) bool {
	switch want := want.(type) {
	case nil:
		return v.Kind() == KindNull
	case bool:
		return v.Kind() == KindBool && v.Bool() == want
	case json.Number:
		return v.Number() == want
	case string:
		return v.Kind() == KindString && v.Text() == want
	case []any:
		if v.Kind() != KindArray || v.Len() != len(want) {
			return false
		}
		for i, e := range want {
			if !same(v.Index(i), e) {
				return false
			}
		}
		return true
	case map[string]any:
		if v.Kind() != KindObject || v.Len() != len(want) {
			return false
		}
		for key, e := range want {
			if !same(v.Get(key), e) {
				return false
			}
		}
		return true
	default:
		return false
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e3,"x\u00e9\n",null,true]}`, " [ ] ", "-0", `"\ud83d"`, `{"a":1,"a":2}`, "[[[[", "1e999", "\"\x00\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		raw := Raw(source)
		touch(raw)
		touch(raw.Compact())
		v, err := Parse(source)
		if valid := json.Valid(source) && utf8.Valid(source); valid != (err == nil) && strings.Count(string(source), "[")+strings.Count(string(source), "{") < MaxDepth {
			t.Fatalf("Parse(%q) = %v, valid: %v", source, err, valid)
		}
		if err != nil {
			return
		}
		if string(v.JSON()) != string(source) {
			t.Fatalf("Parse(%q).JSON() = %q", source, v.JSON())
		}
		checkAgainstDecoder(t, v, string(source))
		if !Equal(v, v.Compact()) {
			t.Fatalf("%q compacts to %q", source, v.Compact())
		}
	})
}
