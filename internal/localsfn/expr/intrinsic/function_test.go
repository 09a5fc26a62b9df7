package intrinsic

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"callfleet/internal/jsonpath/value"
)

func TestLibrary(t *testing.T) {
	t.Parallel()
	for name, counts := range map[string][]int{
		"States.Array": {0, 1, 9}, "States.ArrayPartition": {2}, "States.ArrayContains": {2}, "States.ArrayRange": {3}, "States.ArrayGetItem": {2}, "States.ArrayLength": {1}, "States.ArrayUnique": {1},
		"States.Base64Encode": {1}, "States.Base64Decode": {1}, "States.Format": {1, 2, 9}, "States.Hash": {2}, "States.JsonMerge": {3}, "States.JsonToString": {1}, "States.MathAdd": {2}, "States.MathRandom": {2, 3},
		"States.StringSplit": {2}, "States.StringToJson": {1}, "States.UUID": {0},
	} {
		f, ok := Lookup(name)
		if !ok || f.Name() != name {
			t.Errorf("%s is missing", name)
			continue
		}
		for n := range 10 {
			want := slices.Contains(counts, n) || counts[len(counts)-1] == 9 && n >= counts[0]
			if f.Accepts(n) != want {
				t.Errorf("%s accepts %d arguments: %v", name, n, !want)
			}
			if _, err := f.Apply(make([]value.Value, n), nil); !want && err == nil {
				t.Errorf("%s succeeds with %d arguments", name, n)
			}
		}
	}
	if len(library) != 18 {
		t.Errorf("there are %d functions", len(library))
	}
	if f, ok := Lookup("States.Nope"); ok {
		t.Errorf("there is a %s", f.Name())
	}
}

// Whatever the arguments are, a function returns.
func TestApplyToAnything(t *testing.T) {
	t.Parallel()
	samples := []value.Value{
		{}, value.Null(), value.Bool(false), value.Int(-1), value.Float(1e300), value.Number("1e999"), value.Number("-9223372036854775808"), value.String(""), value.String("{}"), value.String("MD5"),
		value.Array(), value.Array(value.Int(1), value.String("x")), value.Object(), value.Raw([]byte("[1")), value.Raw([]byte(`"`)),
	}
	for _, f := range library {
		for n := range 4 {
			if !f.Accepts(n) {
				continue
			}
			args := make([]value.Value, n)
			var try func(i int)
			try = func(i int) {
				if i == n {
					if v, err := f.Apply(slices.Clone(args), seeded(1)); err == nil && v.IsAbsent() {
						t.Errorf("%s%v returns nothing", f.Name(), args)
					}
					return
				}
				for _, s := range samples {
					args[i] = s
					try(i + 1)
				}
			}
			try(0)
		}
	}
}

func TestSplitFormat(t *testing.T) {
	t.Parallel()
	for literal, want := range map[string]string{
		"": "", "a": "a", "{}": "|", "a{}b{}": "a|b|", `\{}\{\}`: "{}{}", `\\{}`: `\|`, "{ }": "{ }", "{{}}": "{|}", `\'`: "'", `x\`: `x\`,
	} {
		if got := strings.Join(SplitFormat(literal), "|"); got != want {
			t.Errorf("SplitFormat(%q) = %q, want %q", literal, got, want)
		}
	}
}

func TestResultsAreBounded(t *testing.T) {
	t.Parallel()
	big := value.String(strings.Repeat("x", MaxBytes/2))
	object := value.Object(value.Member{Key: "a", Value: big})
	for name, args := range map[string][]value.Value{
		"States.Array":        {big, big},
		"States.Format":       {value.String("{}{}{}"), big, big, big},
		"States.JsonMerge":    {object, object, value.Bool(false)},
		"States.JsonToString": {value.String(strings.Repeat(`"`, MaxBytes/2))},
	} {
		f, _ := Lookup(name)
		if _, err := f.Apply(args, nil); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
	}
}
