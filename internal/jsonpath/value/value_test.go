package value

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
)

func mustParse(t testing.TB, text string) Value {
	t.Helper()
	v, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return v
}

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	for text, kind := range map[string]Kind{
		"null": KindNull, " true ": KindBool, "false": KindBool, "0": KindNumber, "-0.5e+10": KindNumber,
		`"é😀\u00e9\n"`: KindString, "[]": KindArray, "[ 1 , [ ] ]": KindArray, "{}": KindObject, "\t{\"a\" : {}}\r\n": KindObject,
	} {
		v := mustParse(t, text)
		if v.Kind() != kind {
			t.Errorf("Parse(%q).Kind() = %v, want %v", text, v.Kind(), kind)
		}
		if got := string(v.JSON()); got != text {
			t.Errorf("Parse(%q).JSON() = %q", text, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, offset := range map[string]int{
		"": 0, "  ": 2, "nul": 0, "nulls": 4, "01": 2, "-": 1, "1.": 2, "1e": 2, "+1": 0, "[1,]": 3, "[1 2]": 3, "[": 1,
		`{"a":1,}`: 7, `{"a" 1}`: 5, `{a:1}`: 1, `{"a":}`: 5, `"a`: 2, `"\x"`: 2, `"\u12"`: 5, "\"\n\"": 1, "'a'": 0, "\"\xff\"": 1, "NaN": 0, "1 2": 2,
		strings.Repeat("[", MaxDepth+1): MaxDepth,
	} {
		_, err := Parse([]byte(text))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("Parse(%.20q) = %v, want a *SyntaxError", text, err)
			continue
		}
		if syntax.Offset != offset {
			t.Errorf("Parse(%.20q) fails at %d, want %d", text, syntax.Offset, offset)
		}
	}
}

func TestParseNestsToTheLimit(t *testing.T) {
	t.Parallel()
	mustParse(t, strings.Repeat("[", MaxDepth)+strings.Repeat("]", MaxDepth))
}

func TestZeroValueIsAbsent(t *testing.T) {
	t.Parallel()
	var v Value
	if !v.IsAbsent() || v.Kind() != Absent || v.JSON() != nil || v.Size() != 0 || v.Len() != 0 {
		t.Errorf("the zero Value is not absent: %v", v)
	}
	if Null().IsAbsent() {
		t.Error("null is absent")
	}
	if !v.Get("a").IsAbsent() || !v.Index(0).IsAbsent() || v.Text() != "" || v.Bool() || v.Number() != "" {
		t.Error("the absent Value has content")
	}
	if !v.Compact().IsAbsent() {
		t.Error("the absent Value compacts to something")
	}
}

func TestLookInside(t *testing.T) {
	t.Parallel()
	v := mustParse(t, ` { "a" : [ 1 , "x\ty", null , true ] , "b\u0041" : { "c" : -2.50 } } `)
	list := v.Get("a")
	if list.Len() != 4 || string(list.Index(0).JSON()) != "1" || list.Index(1).Text() != "x\ty" {
		t.Errorf("elements are %v", list.Elements())
	}
	if list.Index(2).Kind() != KindNull || !list.Index(3).Bool() || !list.Index(4).IsAbsent() || !list.Index(-1).IsAbsent() {
		t.Errorf("elements are %v", list.Elements())
	}
	number := v.Get("bA").Get("c")
	if number.Number() != "-2.50" || number.Float() != -2.5 {
		t.Errorf("number is %v", number)
	}
	if _, ok := number.Int(); ok {
		t.Error("-2.50 is an integer")
	}
	if got := string(list.JSON()); got != `[ 1 , "x\ty", null , true ]` {
		t.Errorf("a part lost its text: %s", got)
	}
	keys := make([]string, 0, 2)
	for _, m := range v.Members() {
		keys = append(keys, m.Key)
	}
	if strings.Join(keys, ",") != "a,bA" {
		t.Errorf("keys are %q", keys)
	}
}

func TestRepeatedKeys(t *testing.T) {
	t.Parallel()
	v := mustParse(t, `{"a":1,"b":2,"a":3}`)
	if v.Len() != 2 || v.Get("a").Number() != "3" || v.Members()[0].Key != "a" {
		t.Errorf("members are %v", v.Members())
	}
	if got := string(v.JSON()); got != `{"a":1,"b":2,"a":3}` {
		t.Errorf("text is %s", got)
	}
}

func TestManyKeys(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 3 * indexFrom {
		b.WriteString(`,"k` + string(rune('A'+i%26)) + strings.Repeat("x", i/26) + `":` + string(Int(int64(i)).JSON()))
	}
	v := mustParse(t, "{"+b.String()[1:]+`,"kA":"last"}`)
	if v.Len() != 3*indexFrom || v.Get("kA").Text() != "last" || v.Get("kB").Number() != "1" || !v.Get("none").IsAbsent() {
		t.Errorf("members are %v", v.Members())
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v    Value
		want string
	}{
		{Null(), "null"},
		{Bool(true), "true"},
		{Bool(false), "false"},
		{String("a\"\\\b\f\n\r\t\x01é</>"), `"a\"\\\b\f\n\r\t\u0001é</>"`},
		{String("a\xffb"), "\"a\uFFFDb\""},
		{Int(math.MinInt64), "-9223372036854775808"},
		{Float(0.1), "0.1"},
		{Float(1e21), "1e+21"},
		{Float(3), "3"},
		{Float(math.NaN()), "null"},
		{Float(math.Inf(-1)), "null"},
		{Number("1.50"), "1.50"},
		{Array(), "[]"},
		{Array(Int(1), Value{}, Array()), "[1,null,[]]"},
		{Object(), "{}"},
		{Object(Member{"b", Int(1)}, Member{"a", Value{}}, Member{"b", Int(2)}), `{"b":2,"a":null}`},
		{Array(Raw([]byte("[1, 2]"))), "[[1, 2]]"},
		{Object(Member{"a", Int(1)}).With("b", Int(2)).With("a", Int(3)), `{"a":3,"b":2}`},
		{Value{}.With("a", Int(1)), `{"a":1}`},
	} {
		if got := string(tt.v.JSON()); got != tt.want {
			t.Errorf("built %s, want %s", got, tt.want)
		}
		if got := string(tt.v.AppendJSON([]byte("x"))); got != "x"+tt.want {
			t.Errorf("appended %s, want x%s", got, tt.want)
		}
		if tt.v.Size() != len(tt.want) {
			t.Errorf("size of %s is %d", tt.want, tt.v.Size())
		}
		if !json.Valid(tt.v.JSON()) {
			t.Errorf("%s is not JSON", tt.want)
		}
	}
	for _, text := range []string{"", "01", "1x", "-", "NaN", " 1"} {
		if v := Number(text); !v.IsAbsent() {
			t.Errorf("Number(%q) = %v", text, v)
		}
	}
}

func TestWithLeavesTheOriginal(t *testing.T) {
	t.Parallel()
	v := mustParse(t, `{"a":1,"b":2}`)
	_ = v.With("a", Int(9)).With("c", Int(9))
	if got := v.Compact().String(); got != `{"a":1,"b":2}` || v.Get("a").Number() != "1" {
		t.Errorf("the original became %s", got)
	}
}

func TestCompact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"[1,2]":               "[1,2]",
		"[1, 2]":              "[1,2]",
		" 1 ":                 "1",
		"1\n":                 "1",
		` " a b " `:           `" a b "`,
		`"\u0041\/"`:          `"A/"`,
		`{"a": [ ], "a":1.0}`: `{"a":1.0}`,
		`{"\u0061":"x\ny"}`:   `{"a":"x\ny"}`,
	} {
		for name, v := range map[string]Value{"parsed": mustParse(t, text), "raw": Raw([]byte(text)), "built": Array(Raw([]byte(text))).Compact().Index(0)} {
			if got := v.Compact().String(); got != want {
				t.Errorf("%s %s compacts to %s, want %s", name, text, got, want)
			}
		}
	}
	inner := mustParse(t, `[{"a":1},{"a": 2}]`)
	if got := inner.Index(0).Compact(); got != inner.Index(0) {
		t.Error("compacting what is compact makes a new value")
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"null", " null", true},
		{"1", "1.0", true},
		{"0", "-0", true},
		{"9007199254740993", "9007199254740992", false},
		{"100", "1e2", true},
		{"1", `"1"`, false},
		{`"a"`, `"\u0061"`, true},
		{"[1,2]", "[1, 2]", true},
		{"[1,2]", "[2,1]", false},
		{"[]", "{}", false},
		{`{"a":1,"b":[2]}`, `{"b":[2.0],"a":1}`, true},
		{`{"a":1}`, `{"b":1}`, false},
		{`{"a":null}`, `{}`, false},
		{"true", "false", false},
	} {
		a, b := mustParse(t, tt.a), mustParse(t, tt.b)
		if Equal(a, b) != tt.want || Equal(b, a) != tt.want {
			t.Errorf("Equal(%s, %s) = %v", tt.a, tt.b, !tt.want)
		}
		if same := string(a.AppendKey(nil)) == string(b.AppendKey(nil)); same != tt.want {
			t.Errorf("keys of %s and %s are the same: %v", tt.a, tt.b, same)
		}
	}
	if Equal(Value{}, Null()) || !Equal(Value{}, Value{}) {
		t.Error("absent is compared wrongly")
	}
}

func TestJavaText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"Arg1": 1, "Arg2": [], "s":"x y", "n":null}`: "{Arg1=1, Arg2=[], s=x y, n=null}",
		`["a",true,1.1]`: "[a, true, 1.1]",
		`"plain"`:        "plain", "-0": "0", "1.50": "1.5", "1e2": "100.0", "1e10": "1.0E10", "0.0001": "1.0E-4", "12345678.5": "1.23456785E7",
	} {
		if got := mustParse(t, text).JavaText(); got != want {
			t.Errorf("JavaText(%s) = %s, want %s", text, got, want)
		}
	}
}

// Raw takes the caller's word; whatever the text is, nothing may go wrong.
func TestRawOfNonsense(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " ", `"`, `{"a"`, `{"a":`, "[1,", "{]", "]", "[[[", `["\`, `"\u12`, "{1:2}", "tr", "-", "abc", "{{{}", `{"a":1 "b"}`} {
		v := Raw([]byte(text))
		touch(v)
		touch(v.Compact())
		_ = v.JavaText()
		_ = Equal(v, Raw([]byte(text+" ")))
		_ = v.AppendKey(nil)
	}
}

func touch(v Value) {
	v.Bool()
	v.Text()
	v.Float()
	v.Int()
	for _, e := range v.Elements() {
		touch(e)
	}
	for _, m := range v.Members() {
		touch(m.Value)
	}
}

// A deep value is indexed whole, and has to come out as it does level by level.
func TestDeepValue(t *testing.T) {
	t.Parallel()
	const depth = 3 * eagerDepth
	open, closing := strings.Repeat(`{"k":[ 1,{},"\/",`, depth), strings.Repeat(`],"l":{"m": null},"k2":2}`, depth)
	v := mustParse(t, "["+open+"[true]"+closing+",5]")
	checkAgainstDecoder(t, v, v.String())
	if want := "[" + strings.ReplaceAll(strings.ReplaceAll(open, " ", ""), `\/`, "/") + "[true]" + strings.ReplaceAll(closing, " ", "") + ",5]"; v.Compact().String() != want {
		t.Errorf("compact is %s, want %s", v.Compact(), want)
	}
	inner := v.Index(0)
	for range depth - 1 {
		inner = inner.Get("k").Index(3)
	}
	if got := inner.String(); got != `{"k":[ 1,{},"\/",[true]],"l":{"m": null},"k2":2}` {
		t.Errorf("the innermost is %s", got)
	}
	for _, text := range []string{open, "[" + open + "]]]", strings.Repeat("[{", 50), strings.Repeat(`{"a":{`, 50), strings.Repeat(`[{"a"`, 50), strings.Repeat("[", 50) + "x"} {
		touch(Raw([]byte(text)))
		touch(Raw([]byte("[" + text + "]")).Compact())
	}
}

func TestConcurrentFirstLook(t *testing.T) {
	t.Parallel()
	v := Raw([]byte(`{"a":[1,2,3],"b":{"c":"d"}}`))
	built := Array(v, v)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if v.Get("b").Get("c").Text() != "d" || v.Get("a").Len() != 3 {
				t.Error("a concurrent look sees something else")
			}
			if len(built.JSON()) != 2*v.Size()+3 {
				t.Error("a concurrent encoding sees something else")
			}
		})
	}
	wg.Wait()
}
