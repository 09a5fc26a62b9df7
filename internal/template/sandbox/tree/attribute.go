package tree

import (
	"slices"
	"strings"

	"callfleet/internal/template/sandbox/value"
)

// inPython reports whether Python's value has an attribute of a name that is no
// member here. Jinja2 finds it: it is defined, and has no default.
func inPython(of any, name string) bool {
	if strings.HasPrefix(name, "__") {
		return true
	}
	switch of := of.(type) {
	case string, value.Encoded:
		return slices.Contains(ofText, name)
	case bool:
		return slices.Contains(ofWhole, name)
	case value.Number:
		return slices.Contains(ofWhole, name) && !of.IsFloat() || slices.Contains(ofFloat, name) && of.IsFloat()
	case *value.List:
		return slices.Contains(ofList, name)
	case *value.Object:
		return slices.Contains(OfObject, name)
	}
	return false
}

// OfObject are the names that Jinja2 takes for methods of an object, as a.name
// even where the object has such a member.
var OfObject = strings.Fields("clear copy fromkeys get items keys pop popitem setdefault update values")

var (
	ofText = strings.Fields(`capitalize casefold center count encode endswith expandtabs find format format_map index isalnum isalpha
		isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip maketrans
		partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip
		swapcase title translate upper zfill`)
	ofList  = strings.Fields("append clear copy count extend index insert pop remove reverse sort")
	ofWhole = strings.Fields("as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag is_integer numerator real to_bytes")
	ofFloat = strings.Fields("as_integer_ratio conjugate fromhex hex imag is_integer real")
)
