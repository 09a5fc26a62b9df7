package diff

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestUnified(t *testing.T) {
	t.Parallel()
	numbered := func(changed ...int) string {
		var b strings.Builder
		for i := 1; i <= 20; i++ {
			word := "line"
			for _, c := range changed {
				if c == i {
					word = "other"
				}
			}
			fmt.Fprintf(&b, "%s %d\n", word, i)
		}
		return b.String()
	}
	for name, c := range map[string]struct{ a, b, want string }{
		"same":          {"x\n", "x\n", ""},
		"empty":         {"", "x\ny\n", "@@ -0,0 +1,2 @@\n+x\n+y\n"},
		"to empty":      {"x\n", "", "@@ -1 +0,0 @@\n-x\n"},
		"one line":      {"a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		"insert at end": {"a\n", "a\nb\n", "@@ -1 +1,2 @@\n a\n+b\n"},
		"no line end":   {"a", "b", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"},
		"moved":         {"a\nb\nc\n", "b\nc\na\n", "@@ -1,3 +1,3 @@\n-a\n b\n c\n+a\n"},
		"two hunks": {numbered(), numbered(5, 15), "@@ -2,7 +2,7 @@\n line 2\n line 3\n line 4\n-line 5\n+other 5\n line 6\n line 7\n line 8\n" +
			"@@ -12,7 +12,7 @@\n line 12\n line 13\n line 14\n-line 15\n+other 15\n line 16\n line 17\n line 18\n"},
		"joined hunk": {numbered(), numbered(5, 12), "@@ -2,14 +2,14 @@\n line 2\n line 3\n line 4\n-line 5\n+other 5\n line 6\n line 7\n line 8\n line 9\n line 10\n line 11\n" +
			"-line 12\n+other 12\n line 13\n line 14\n line 15\n"},
	} {
		want := c.want
		if want != "" {
			want = "--- A\n+++ B\n" + want
		}
		if got := Unified(Text{"A", c.a}, Text{"B", c.b}); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// Edits make b of a, and are no more than there must be.
func TestCompareIsRightAndShort(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	text := func() []string {
		list := make([]string, random.IntN(12))
		for i := range list {
			list[i] = string(rune('a' + random.IntN(4)))
		}
		return list
	}
	for range 3000 {
		a, b := text(), text()
		var gotA, gotB []string
		changes := 0
		for _, e := range compare(a, b) {
			if e.a != len(gotA) || e.b != len(gotB) {
				t.Fatalf("%q to %q: %+v comes after %d and %d lines", a, b, e, len(gotA), len(gotB))
			}
			if e.kind != '+' {
				gotA = append(gotA, e.line)
			}
			if e.kind != '-' {
				gotB = append(gotB, e.line)
			}
			if e.kind != ' ' {
				changes++
			}
		}
		if fmt.Sprint(gotA, gotB) != fmt.Sprint(a, b) {
			t.Fatalf("%q to %q: edits are of %q and %q", a, b, gotA, gotB)
		}
		if want := len(a) + len(b) - 2*common(a, b); changes != want {
			t.Fatalf("%q to %q in %d changes, %d do", a, b, changes, want)
		}
	}
}

// common is the length of the longest common subsequence.
func common(a, b []string) int {
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	row := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := row[j+1]
			if row[j+1] = max(above, row[j]); x == y {
				row[j+1] = diagonal + 1
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

func TestUnifiedOfTextsThatShareNothing(t *testing.T) {
	t.Parallel()
	side := func(word string) string {
		var b strings.Builder
		for i := range 2 * maxChanges {
			fmt.Fprintln(&b, word, i)
		}
		return b.String()
	}
	got := Unified(Text{"A", side("a")}, Text{"B", side("b")})
	if strings.Count(got, "\n-") != 2*maxChanges || strings.Count(got, "\n+b") != 2*maxChanges {
		t.Errorf("%d removed, %d added", strings.Count(got, "\n-"), strings.Count(got, "\n+b"))
	}
}
