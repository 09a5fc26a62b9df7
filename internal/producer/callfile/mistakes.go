package callfile

import (
	"fmt"
	"strings"
)

// maxMistakes are listed; the rest is counted.
const maxMistakes = 100

// Mistake is one line that cannot be called.
type Mistake struct {
	Line   int64
	Reason string
}

// Mistakes refuse a file of which nothing was published. They are an ErrInput.
type Mistakes struct {
	File  string
	First []Mistake // at most 100
	Count int64
}

// Add takes one more.
func (m *Mistakes) Add(line int64, reason error) {
	if m.Count++; len(m.First) < maxMistakes {
		m.First = append(m.First, Mistake{line, reason.Error()})
	}
}

// Error lists them, one a line.
func (m *Mistakes) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s has %d bad lines, nothing was published:", m.File, m.Count)
	for _, x := range m.First {
		fmt.Fprintf(&b, "\n  line %d: %s", x.Line, x.Reason)
	}
	if more := m.Count - int64(len(m.First)); more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return b.String()
}

// Unwrap is ErrInput.
func (m *Mistakes) Unwrap() error { return ErrInput }
