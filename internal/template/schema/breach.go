package schema

import (
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// breaks says what is wrong, without the value that is.
func breaks(e *jsonschema.ValidationError, keyword string) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return " is " + k.Got + ", must be " + strings.Join(k.Want, " or ")
	case *kind.Required:
		return " lacks " + strings.Join(k.Missing, ", ")
	case *kind.AdditionalProperties:
		return " has " + strings.Join(k.Properties, ", ") + ", which the template does not declare"
	case *kind.Format:
		return " is no " + k.Want
	}
	return ` breaks "` + keyword + `" of the template's params`
}
