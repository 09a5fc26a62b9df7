package number

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

func TestWritten(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"7": "7", "-7": "-7", "0": "0", "-0": "0", "123456789012345678901234567890": "123456789012345678901234567890",
		"1.50": "1.5", "-1.50": "-1.5", "3.0": "3.0", "0.0": "0.0", "-0.0": "-0.0", "0.00e7": "0.0", "1e2": "100.0", "1E+2": "100.0", "12.5e1": "125.0",
		"1e22": "1e+22", "1e16": "1e+16", "1e15": "1000000000000000.0", "0.0001": "0.0001", "0.00001": "1e-05", "1e-7": "1e-07", "19.90": "19.9",
		"0.1000000000000000055": "0.1", "12345678901234567890.5": "1.2345678901234567e+19", "1e-400": "0.0", "-1e-400": "-0.0", "9007199254740993.0": "9007199254740992.0",
		"1.00000000000000000001": "1.0", "0e99999999999999999999": "0.0", "0.30000000000000004": "0.30000000000000004", "1.7976931348623157e308": "1.7976931348623157e+308",
	} {
		if got, err := Written(s); got != want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"1e400", "-1E400", "1e99999999999999999999", "179769313486231590793728971405301e276"} {
		if got, err := Written(s); err == nil {
			t.Errorf("%s: got %s, want an error", s, got)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"1", "1.0", 0}, {"1", "2", -1}, {"9007199254740993", "9007199254740992.0", 1}, {"9007199254740992", "9007199254740992.0", 0},
		{"123456789012345678901", "123456789012345678902", -1}, {"-1.5", "-1", -1}, {"0", "-0.0", 0}, {"0.1", "0.10", 0},
	} {
		if got, ok := Compare(tt.a, tt.b); !ok || got != tt.want {
			t.Errorf("%s, %s: got %d, %v", tt.a, tt.b, got, ok)
		}
	}
	if _, ok := Compare("1e400", "1"); ok {
		t.Error("1e400 is compared")
	}
}

func TestArithmeticHasBounds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("9", MaxDigits)
	for _, tt := range []struct{ op, a, b, want string }{
		{"*", long, long, "the result of * is too large"}, {"+", long + "9", "1", "+ takes no whole number of more than 1000 digits"},
		{"**", "9", long, "the result of ** is too large"}, {"**", "2", "999999", "the result of ** is too large"}, {"/", long, "3", "the result of / is too large"},
		{"*", "1e308", "10", "the result of * is too large"}, {"/", "1", "0", "division by zero"}, {"%", "1.0", "-0.0", "division by zero"},
	} {
		if got, err := Arithmetic(tt.op, tt.a, tt.b); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %.20s, %v, want %s", tt.op, got, err, tt.want)
		}
	}
}

// A number prints as JSON, and is read as the same number: a whole one exactly,
// any other as the same float.
func FuzzWritten(f *testing.F) {
	for _, s := range []string{"1.50", "-0.0", "1e2", "1E-07", "0.1000000000000000055", "12345678901234567890.5", "1e400", "100000000000000000000000.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !json.Valid([]byte(s)) || s != strings.TrimSpace(s) || !strings.ContainsAny(s[:1], "-0123456789") || len(s) > 400 {
			return
		}
		got, err := Written(s)
		x, errX := strconv.ParseFloat(s, 64)
		if err != nil {
			if errX == nil || !IsFloat(s) {
				t.Errorf("%s: %v", s, err)
			}
			return
		}
		if !json.Valid([]byte(got)) {
			t.Fatalf("%s prints as %s, which is no JSON", s, got)
		}
		if !IsFloat(s) {
			if got != s && s != "-0" {
				t.Errorf("%s prints as %s", s, got)
			}
			return
		}
		if y, err := strconv.ParseFloat(got, 64); err != nil || x != y || !IsFloat(got) {
			t.Errorf("%s prints as %s, another float", s, got)
		}
	})
}
