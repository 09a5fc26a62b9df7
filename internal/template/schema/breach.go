package schema

import (
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// collect lists the innermost breaches that are certain: not those within an
// opaque member, nor of a choice that such a member may yet decide.
func collect(e *jsonschema.ValidationError, opaque []string, list *[]string) {
	switch {
	case within(e, opaque):
	case len(e.Causes) == 0:
		*list = append(*list, breach(e))
	case isChoice(e) && decides(e, opaque):
	default:
		for _, cause := range e.Causes {
			collect(cause, opaque, list)
		}
	}
}

func within(e *jsonschema.ValidationError, opaque []string) bool {
	return len(e.InstanceLocation) > 0 && slices.Contains(opaque, e.InstanceLocation[0])
}

func isChoice(e *jsonschema.ValidationError) bool {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		return true
	}
	return false
}

// decides reports whether any of the breaches is within an opaque member.
func decides(e *jsonschema.ValidationError, opaque []string) bool {
	return within(e, opaque) || slices.ContainsFunc(e.Causes, func(cause *jsonschema.ValidationError) bool { return decides(cause, opaque) })
}

func breach(e *jsonschema.ValidationError) string {
	at := "params"
	if len(e.InstanceLocation) > 0 {
		at = strings.Join(e.InstanceLocation, ".")
	}
	keyword := strings.Join(e.ErrorKind.KeywordPath(), ".")
	if keyword == "" {
		keyword = "schema"
	}
	return at + breaks(e, keyword)
}

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
