package jsonpath

import (
	"errors"
	"strings"
	"testing"

	"callfleet/internal/jsonpath/value"
)

const library = `{
	"store": {
		"book": [
			{"category": "reference", "author": "Rees", "title": "Sayings", "price": 8.95},
			{"category": "fiction", "author": "Waugh", "title": "Sword", "price": 12.99},
			{"category": "fiction", "author": "Melville", "title": "Moby", "isbn": "0-553", "price": 8.99},
			{"category": "fiction", "author": "Tolkien", "title": "Rings", "isbn": "0-395", "price": 22.99}
		],
		"bicycle": {"color": "red", "price": 19.95}
	},
	"expensive": 10,
	"wanted": ["Rees", "Tolkien"],
	"a b": {"c.d": [1, 2, 3, 4, 5], "it's": true, "q\"q": "dq", "x]y": "br", "": "empty"},
	"no": null,
	"input-value": 0,
	"@type": "thing",
	"nested": [[1, 2], [3, [4]]]
}`

func parse(t testing.TB, text string) value.Value {
	t.Helper()
	v, err := value.Parse([]byte(text))
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	return v
}

func compile(t testing.TB, text string) *Path {
	t.Helper()
	p, err := Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEval(t *testing.T) {
	t.Parallel()
	root := parse(t, library)
	for path, want := range map[string]string{
		// Names.
		"$.expensive": "10", "$.input-value": "0", "$.@type": `"thing"`, "$.no": "null", "$.store.bicycle.color": `"red"`,
		"$['store']['bicycle']['color']": `"red"`, `$["store"].bicycle["color"]`: `"red"`, "$.['expensive']": "10", "$[ 'expensive' ]": "10",
		"$['a b']['c.d'][0]": "1", `$['a b']['it\'s']`: "true", `$["a b"]["it's"]`: "true", `$['a b']['q"q']`: `"dq"`, "$['a b']['x]y']": `"br"`, "$['a b']['']": `"empty"`,
		"$.store.bicycle['color','price']": `{"color":"red","price":19.95}`, "$.store.bicycle['color','none']": `{"color":"red"}`,
		"$.store['book','bicycle'].color": `["red"]`,
		// Indexes and slices.
		"$['a b']['c.d'][-1]": "5", "$['a b']['c.d'][0,2,9,-1]": "[1,3,5]", "$['a b']['c.d'][1:3]": "[2,3]", "$['a b']['c.d'][:2]": "[1,2]", "$['a b']['c.d'][3:]": "[4,5]",
		"$['a b']['c.d'][-2:]": "[4,5]", "$['a b']['c.d'][:-3]": "[1,2]", "$['a b']['c.d'][:]": "[1,2,3,4,5]", "$['a b']['c.d'][0:5:2]": "[1,3,5]", "$['a b']['c.d'][-99:99]": "[1,2,3,4,5]", "$['a b']['c.d'][3:1]": "[]",
		"$.nested[1][1][0]": "4", "$.nested[0]": "[1,2]",
		// Wildcards and descent.
		"$.store.book[*].author": `["Rees","Waugh","Melville","Tolkien"]`, "$.store.bicycle.*": `["red",19.95]`, "$.store.*.color": `["red"]`,
		"$..author": `["Rees","Waugh","Melville","Tolkien"]`, "$..price": "[8.95,12.99,8.99,22.99,19.95]", "$..book[2].title": `["Moby"]`, "$..book[-1:].title": `["Rings"]`,
		"$.nested..*": "[[1,2],[3,[4]],1,2,3,[4],4]", "$..['isbn']": `["0-553","0-395"]`, "$.nested..[0]": "[[1,2],1,3,4]",
		// Nothing to select: a list all the same.
		"$.none[*]": "[]", "$.none.deeper[0:1].x": "[]", "$.expensive[*]": "[]", "$..none": "[]", "$.expensive[?(@.a)]": "[]",
		// Functions.
		"$.store.book.length()": "4", "$.store.bicycle.length()": "2", "$.expensive.length()": "null", "$..price.max()": "22.99", "$..price.min()": "8.95",
		"$['a b']['c.d'].sum()": "15.0", "$['a b']['c.d'].avg()": "3.0", "$['a b']['c.d'].stddev()": "1.4142135623730951", "$['a b']['c.d'].first()": "1", "$['a b']['c.d'].last()": "5", "$.store.keys()": `["book","bicycle"]`,
	} {
		p := compile(t, path)
		got, err := p.Eval(root)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if got.String() != want {
			t.Errorf("%s = %s, want %s", path, got, want)
		}
		if found, ok := p.Find(root); !ok || !value.Equal(found, got) {
			t.Errorf("Find(%s) = %s, %v", path, found, ok)
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	root := parse(t, library)
	for filter, want := range map[string]string{
		"@.isbn":                                      "Moby,Rings",
		"!@.isbn":                                     "Sayings,Sword",
		"!(@.isbn || @.price > 10)":                   "Sayings",
		"@.price < 10":                                "Sayings,Moby",
		"@.price<=8.99":                               "Sayings,Moby",
		"@.price >= 12.99":                            "Sword,Rings",
		"10 > @['price']":                             "Sayings,Moby",
		"@.price > $.expensive":                       "Sword,Rings",
		"@.category == 'fiction' && @.isbn":           "Moby,Rings",
		`@.author == "Rees" || @.price == 22.99`:      "Sayings,Rings",
		"@.author != 'Rees'":                          "Sword,Moby,Rings",
		"@.isbn != 'x'":                               "Sayings,Sword,Moby,Rings",
		"@.isbn == @.none":                            "",
		"@.author == 1":                               "",
		"@.author < 1":                                "",
		"@.author in ['Rees', \"Waugh\"]":             "Sayings,Sword",
		"@.author in $.wanted":                        "Sayings,Rings",
		"@.author nin $.wanted":                       "Sword,Moby",
		"$.wanted contains @.author":                  "Sayings,Rings",
		"@.title contains 'ing'":                      "Sayings,Rings",
		"@.title =~ /s.*/i":                           "Sayings,Sword",
		"@.title =~ /S/":                              "",
		"@.title =~ /mo\\/?by|rings/i":                "Moby,Rings",
		"@.title size 5":                              "Sword,Rings",
		"@.isbn empty false":                          "Moby,Rings",
		"@.price":                                     "Sayings,Sword,Moby,Rings",
		"(@.price > 10) && (@.category == 'fiction')": "Sword,Rings",
		"$.store.book[?(@.price > 22)]":               "Sayings,Sword,Moby,Rings",
		"true == false":                               "",
	} {
		got, err := compile(t, "$.store.book[?("+filter+")].title").Eval(root)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		titles := make([]string, 0, got.Len())
		for _, e := range got.Elements() {
			titles = append(titles, e.Text())
		}
		if strings.Join(titles, ",") != want {
			t.Errorf("[?(%s)] selects %q, want %s", filter, titles, want)
		}
	}
}

func TestFilterPlaces(t *testing.T) {
	t.Parallel()
	root := parse(t, library)
	for path, want := range map[string]string{
		"$.store.bicycle[?(@.color == 'red')].price": "[19.95]",
		"$['a b']['c.d'][?(@ > 3)]":                  "[4,5]",
		"$..[?(@.isbn)].title":                       `["Moby","Rings"]`,
		"$.nested[?(@.length() == 2)]":               "[[1,2],[3,[4]]]",
		"$.nested[?(@[0] subsetof [1,2])]":           "[]",
		"$.nested[?(@ subsetof [1,2,3])]":            "[[1,2]]",
		"$.nested[?(@ anyof [3])]":                   "[[3,[4]]]",
		"$.nested[?(@ noneof [3])]":                  "[[1,2]]",
		"$.nested[?(@ == [1, 2])]":                   "[[1,2]]",
	} {
		got, err := compile(t, path).Eval(root)
		if err != nil || got.String() != want {
			t.Errorf("%s = %s, %v, want %s", path, got, err, want)
		}
	}
}

// The messages are those of the library that AWS uses.
func TestNotFound(t *testing.T) {
	t.Parallel()
	root := parse(t, library)
	const provider = "This is not a json object according to the JsonProvider: 'com.jayway.jsonpath.spi.json.JacksonJsonProvider'."
	for path, want := range map[string]string{
		"$.none":            "No results for path: $['none']",
		"$.store.none":      "No results for path: $['store']['none']",
		"$.none.deeper":     "Missing property in path $['none']",
		"$.store.x.y.z":     "Missing property in path $['store']['x']",
		"$.wanted[2]":       "No results for path: $['wanted'][2]",
		"$.wanted[7].x":     "No results for path: $['wanted'][7]['x']",
		"$.wanted[-3]":      "No results for path: $['wanted'][-3]",
		"$.no[0]":           "The path $['no'] is null",
		"$.expensive[0]":    "Filter: [0] can only be applied to arrays. Current context is: 10",
		"$.wanted.x":        "Expected to find an object with property ['x'] in path $['wanted'] but found 'java.util.ArrayList'. " + provider,
		"$.no.x":            "Expected to find an object with property ['x'] in path $['no'] but found 'null'. " + provider,
		"$.expensive.x.y":   "Expected to find an object with property ['x'] in path $['expensive'] but found 'java.lang.Integer'. " + provider,
		"$.none.length()":   "No results for path: $['none']",
		"$.wanted.min()":    "Aggregation function attempted to calculate value using empty array",
		"$.wanted['a','b']": "Expected to find an object with property ['a','b'] in path $['wanted'] but found 'java.util.ArrayList'. " + provider,
	} {
		p := compile(t, path)
		_, err := p.Eval(root)
		var missing *NotFound
		if !errors.As(err, &missing) || missing.Reason != want {
			t.Errorf("%s: %v, want %s", path, err, want)
			continue
		}
		if missing.OutOfRange != (path == "$.wanted[2]") {
			t.Errorf("%s: OutOfRange = %v", path, missing.OutOfRange)
		}
		if _, ok := p.Find(root); ok {
			t.Errorf("Find(%s) finds something", path)
		}
	}
}

func TestDefinite(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"$": true, "$.a[0]['b']": true, "$.a['b','c']": true, "$.a['b','c'].d": false, "$.a[*]": false, "$.*": false, "$..a": false, "$[0,1]": false, "$[0:1]": false, "$[?(@.a)]": false,
	} {
		if got := compile(t, path).Definite(); got != want {
			t.Errorf("Definite(%s) = %v", path, got)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"", "a", ".a", "$a", "$$", "$.", "$..", "$.a.", "$.a..", "$[", "$[]", "$['a", "$['a'", "$['a',]", "$[a]", "$[1,]", "$[--1]", "$[99999999999]", "$[0:1:0]", "$[0:1:-1]",
		"$.a b", "$.a]", "$.a)", "$.a.foo()", "$.a.length(", "$.a.length().b", "$[?]", "$[?()]", "$[?(@.a]", "$[?(@.a ==)]", "$[?(@.a == 'x)]", "$[?(@.a =~ /(/)]", "$[?(@.a =~ /x)]", "$[?(@.a = 1)]", "$[?(@.a && )]", "$[?(a)]",
		"$.\xff", "$['\xff']", strings.Repeat("$.a", 1) + strings.Repeat(".a", maxSegments+1), "$[?(" + strings.Repeat("(", 99) + "@" + strings.Repeat(")", 99) + ")]", "$[?(" + strings.Repeat("!", 99) + "@)]", strings.Repeat("$[?(", 40),
	} {
		_, err := Compile(path)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("Compile(%.40q) = %v, want a *SyntaxError", path, err)
		} else if syntax.Offset > len(path) {
			t.Errorf("Compile(%.40q) fails at %d", path, syntax.Offset)
		}
	}
}

// AWS hands on a whole input as it came and writes a part of it anew.
func TestPartsAreCompact(t *testing.T) {
	t.Parallel()
	root := parse(t, `{"a": [1, 2], "b": [ {"c" : 1} ]}`)
	for path, want := range map[string]string{"$": root.String(), "$.a": "[1,2]", "$.b[*]": `[{"c":1}]`, "$..a": "[[1,2]]"} {
		if got, _ := compile(t, path).Eval(root); got.String() != want {
			t.Errorf("%s = %s, want %s", path, got, want)
		}
	}
}

func TestEvalIsBounded(t *testing.T) {
	t.Parallel()
	deep := parse(t, strings.Repeat(`[[],`, 300)+"1"+strings.Repeat("]", 300))
	wide := parse(t, `{"a":[`+strings.Repeat("1,", 40_000)+`2],"b":"`+strings.Repeat("x", 100_000)+`","c":[`+strings.Repeat("{},", 20)+`{}]}`)
	for _, tt := range []struct {
		path string
		root value.Value
	}{
		{"$..*..*..*..*", deep},
		{"$.a[?(@ in $.a)]", wide},
		{"$.a[?($.a anyof $..*)]", wide},
		{"$.c[?(@)]" + strings.Repeat("..*", 3), wide},
		{"$['b','b','b','b','b','b','b','b','b','b','b','b','b'].length()", wide},
		{"$[" + "'b'" + strings.Repeat(",'b'", 20) + "]..*", wide},
	} {
		v, err := compile(t, tt.path).Eval(tt.root)
		if err != nil && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", tt.path, err)
		}
		if v.Size() > MaxBytes+2 {
			t.Errorf("%s selects %d bytes", tt.path, v.Size())
		}
	}
	for _, path := range []string{"$..*..*..*..*", "$.a[?(@ in $.a)]"} {
		root := wide
		if path[1] == '.' && path[2] == '.' {
			root = deep
		}
		if _, err := compile(t, path).Eval(root); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", path, err)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{"$", "$.a[0]['b'][-1].c", "$..a[*]", "$[0:2:1]", "$[?(@.a == 1 && !(@.b =~ /x/i) || $.c in [1,'2'])]", "$.a['b','c'].length()", `$["x\"y"]`} {
		f.Add(seed, library)
	}
	f.Fuzz(func(t *testing.T, path, doc string) {
		p, err := Compile(path)
		if err != nil {
			return
		}
		root, err := value.Parse([]byte(doc))
		if err != nil {
			_, _ = p.Eval(value.Raw([]byte(doc)))
			return
		}
		got, err := p.Eval(root)
		found, ok := p.Find(root)
		if ok != (err == nil) || ok && !value.Equal(got, found) {
			t.Fatalf("%s: Eval gives %s, %v; Find gives %s, %v", path, got, err, found, ok)
		}
		if r, err := CompileReference(path); err == nil {
			if out, err := r.Set(root, value.Int(7)); err == nil {
				if v, ok := p.Find(out); !ok || v.Number() != "7" {
					t.Fatalf("%s: set 7 in %q, found %s, %v", path, doc, v, ok)
				}
			}
		}
	})
}
