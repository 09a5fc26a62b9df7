package token

import (
	"strings"
	"testing"
)

func TestTokenRoundTrip(t *testing.T) {
	t.Parallel()
	secret := Secret{1, 2, 255}
	for _, key := range []string{"run-1", "", strings.Repeat("k", 80), "arn:aws:states:us-east-1:123456789012:execution:m:n"} {
		for _, task := range []int64{1, 127, 128, 25000} {
			text := Make(key, task, secret)
			gotKey, gotTask, gotSecret, err := Split(text)
			if err != nil || gotKey != key || gotTask != task || gotSecret != secret {
				t.Errorf("Make(%q, %d) gave %q, which is %q, %d, %v", key, task, text, gotKey, gotTask, err)
			}
			if len(text) > MaxLength {
				t.Errorf("token of %d bytes", len(text))
			}
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(Make("run-1", 3, Secret{9}))
	f.Add("")
	f.Add("AQ")
	f.Add(strings.Repeat("A", MaxLength+1))
	f.Fuzz(func(t *testing.T, text string) {
		key, task, secret, err := Split(text)
		if err != nil {
			if err != ErrInvalid {
				t.Fatal(err)
			}
			return
		}
		again, number, same, err := Split(Make(key, task, secret))
		if err != nil || again != key || number != task || same != secret {
			t.Fatalf("%q is task %d of %q, written anew it is task %d of %q, %v", text, task, key, number, again, err)
		}
	})
}
