package sandbox

import (
	"strings"

	"callfleet/internal/secret"
	"callfleet/internal/template/sandbox/value"
)

// secretMark is {{ "secret://…"|secret }}. It prints a mark, for which the
// secret is put in when the request is sent: the template never has it.
type secretMark struct {
	value.Place
	of   secret.Reference
	mark string
}

func (s *secretMark) eval(*Run, *scope) (any, error) { return s.mark, nil }

// secret parses the filter of that name. It stands between {{ and }} behind a
// literal text and nothing else: what a param could reach, compare or change
// would be a param's to choose.
func (t *tokens) secret(of expr, p value.Place) (expr, error) {
	lit, ok := of.(*literal)
	text, isText := "", false
	if ok {
		text, isText = lit.value.(string)
	}
	if !isText || !t.prints || len(t.list) != 3 || t.i != 3 {
		return nil, value.ErrorAt(p, `secret takes a reference written out, and stands alone: {{ "secret://env/CALLFLEET_SECRET_NAME"|secret }}`)
	}
	ref, err := secret.Parse(text)
	if err != nil {
		return nil, value.ErrorAt(lit.Place, "%v", err)
	}
	return &secretMark{p, ref, ref.Mark()}, nil
}

// Secrets are the references in the program, in the order of its text.
func (p *Program) Secrets() []secret.Reference { return p.secrets }

// fixed is the output of a document of text and secrets alone.
func (d document) fixed() (string, bool) {
	var b strings.Builder
	for _, n := range d.body {
		switch n := n.(type) {
		case text:
			b.WriteString(string(n))
		case *print:
			s, ok := n.what.(*secretMark)
			if !ok {
				return "", false
			}
			b.WriteString(s.mark)
		default:
			return "", false
		}
	}
	return b.String(), true
}
