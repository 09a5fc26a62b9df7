// Package diff compares texts line by line.
package diff

import (
	"fmt"
	"strings"
)

// Text is one side of a comparison.
type Text struct {
	Name string
	Text string
}

// context is how many equal lines are shown around a change.
const context = 3

// Unified is the unified diff that makes b of a, "" when they are the same.
func Unified(a, b Text) string {
	if a.Text == b.Text {
		return ""
	}
	edits := compare(lines(a.Text), lines(b.Text))
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", a.Name, b.Name)
	for start := 0; start < len(edits); {
		if edits[start].kind == ' ' {
			start++
			continue
		}
		end := endOfHunk(edits, start)
		writeHunk(&out, edits, max(0, start-context), min(len(edits), end+context))
		start = end
	}
	return out.String()
}

// edit is one line of a diff: of both sides (' '), of a ('-') or of b ('+').
type edit struct {
	kind byte
	line string
	a, b int // how many lines of each side come before
}

// endOfHunk is where the changes end that begin at start and have no more than
// twice the context between them.
func endOfHunk(edits []edit, start int) int {
	end := start
	for i := start; i < len(edits) && i <= end+2*context; i++ {
		if edits[i].kind != ' ' {
			end = i + 1
		}
	}
	return end
}

func writeHunk(out *strings.Builder, edits []edit, from, to int) {
	var a, b int
	for _, e := range edits[from:to] {
		if e.kind != '+' {
			a++
		}
		if e.kind != '-' {
			b++
		}
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(edits[from].a, a), span(edits[from].b, b))
	for _, e := range edits[from:to] {
		out.WriteByte(e.kind)
		out.WriteString(strings.TrimSuffix(e.line, "\n"))
		out.WriteByte('\n')
		if !strings.HasSuffix(e.line, "\n") {
			out.WriteString("\\ No newline at end of file\n")
		}
	}
}

// span is the place and the number of a hunk's lines. One without lines is
// placed after the line before it.
func span(before, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", before)
	case 1:
		return fmt.Sprint(before + 1)
	}
	return fmt.Sprintf("%d,%d", before+1, n)
}

func lines(s string) []string {
	list := strings.SplitAfter(s, "\n")
	if list[len(list)-1] == "" {
		list = list[:len(list)-1]
	}
	return list
}

// maxChanges bounds the search for the shortest diff, whose memory grows with
// its square. Texts that differ in more are shown as replaced.
const maxChanges = 1000

// compare finds the shortest list of edits (Myers, "An O(ND) Difference
// Algorithm and Its Variations", 1986).
func compare(a, b []string) []edit {
	var head, tail int
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var edits []edit
	add := func(kind byte, line string) {
		e := edit{kind: kind, line: line}
		if n := len(edits); n > 0 {
			last := edits[n-1]
			e.a, e.b = last.a, last.b
			if last.kind != '+' {
				e.a++
			}
			if last.kind != '-' {
				e.b++
			}
		}
		edits = append(edits, e)
	}
	for _, line := range a[:head] {
		add(' ', line)
	}
	middleA, middleB := a[head:len(a)-tail], b[head:len(b)-tail]
	i, j := 0, 0
	for _, p := range append(matches(middleA, middleB), pair{len(middleA), len(middleB)}) {
		for ; i < p.a; i++ {
			add('-', middleA[i])
		}
		for ; j < p.b; j++ {
			add('+', middleB[j])
		}
		if i < len(middleA) && j < len(middleB) {
			add(' ', middleA[i])
			i, j = i+1, j+1
		}
	}
	for _, line := range a[len(a)-tail:] {
		add(' ', line)
	}
	return edits
}

// pair is a line of each side that are the same.
type pair struct{ a, b int }

// matches are the lines that both sides keep, in order.
func matches(a, b []string) []pair {
	furthest := map[int]int{1: 0} // by diagonal a-b, how far a is read
	var trace []map[int]int
	for d := 0; d <= min(len(a)+len(b), maxChanges); d++ {
		reached := make(map[int]int, d+1)
		for k := -d; k <= d; k += 2 {
			x := step(furthest, k, d)
			y := x - k
			for x < len(a) && y < len(b) && a[x] == b[y] {
				x, y = x+1, y+1
			}
			furthest[k] = x
			reached[k] = x
			if x >= len(a) && y >= len(b) {
				return walkBack(append(trace, reached), len(a), len(b))
			}
		}
		trace = append(trace, reached)
	}
	return nil
}

// step is where change d begins on diagonal k: with a line of b, or of a.
func step(furthest map[int]int, k, d int) int {
	if k == -d || k != d && furthest[k-1] < furthest[k+1] {
		return furthest[k+1]
	}
	return furthest[k-1] + 1
}

// walkBack collects the matches on the way that the trace has found.
func walkBack(trace []map[int]int, x, y int) []pair {
	var list []pair
	for d := len(trace) - 1; d >= 0; d-- {
		k, begin := x-y, 0
		if d > 0 {
			begin = step(trace[d-1], k, d)
		}
		for x > begin && y > 0 && x-1 >= 0 {
			x, y = x-1, y-1
			list = append(list, pair{x, y})
		}
		if d == 0 {
			break
		}
		if k == -d || k != d && trace[d-1][k-1] < trace[d-1][k+1] {
			y-- // a line of b
		} else {
			x-- // a line of a
		}
	}
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list
}
