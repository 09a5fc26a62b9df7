package parse

import (
	"callfleet/internal/secret"
	"callfleet/internal/template/sandbox/tree"
	"callfleet/internal/template/sandbox/value"
)

// secret reads the filter of that name. It stands between {{ and }} behind a
// literal text and nothing else: what a param could reach, compare or change
// would be a param's to choose.
func (t *tokens) secret(of tree.Expr, p value.Place) (tree.Expr, error) {
	lit, ok := of.(*tree.Literal)
	text, isText := "", false
	if ok {
		text, isText = lit.Value.(string)
	}
	if !isText || !t.prints || len(t.list) != 3 || t.i != 3 {
		return nil, value.ErrorAt(p, `secret takes a reference written out, and stands alone: {{ "secret://env/CALLFLEET_SECRET_NAME"|secret }}`)
	}
	ref, err := secret.Parse(text)
	if err != nil {
		return nil, value.ErrorAt(lit.Place, "%v", err)
	}
	return &tree.Secret{Place: p, Of: ref, Mark: ref.Mark()}, nil
}
