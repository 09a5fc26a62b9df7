package sandbox

import (
	"strings"

	"callfleet/internal/secret"
	"callfleet/internal/template/sandbox/tree"
)

// Secrets are the references in the program, in the order of its text.
func (p *Program) Secrets() []secret.Reference { return p.secrets }

// fixed is the output of a document of text and secrets alone.
func fixed(body tree.Block) (string, bool) {
	var b strings.Builder
	for _, n := range body {
		switch n := n.(type) {
		case tree.Text:
			b.WriteString(string(n))
		case *tree.Print:
			s, ok := n.What.(*tree.Secret)
			if !ok {
				return "", false
			}
			b.WriteString(s.Mark)
		default:
			return "", false
		}
	}
	return b.String(), true
}
