package call

import (
	"strconv"
	"strings"
)

// MaxVersion is the highest number of a template's version.
const MaxVersion = 999_999_999

// PinMethod is how a request asks for one version of its template, on the wire
// and in the input of an execution: the method, then @ and the number, as in
// GET@3. It is the sort key of that version in the template store, so that a
// state machine which fetches the item of templateName and method fetches the
// version, and needs to know nothing of versions. 0 is no version: the current.
func PinMethod(method string, version int) string {
	if version <= 0 {
		return method
	}
	return method + "@" + strconv.Itoa(version)
}

// CutVersion undoes PinMethod. The version of a text that ends in none is 0.
func CutVersion(pinned string) (method string, version int) {
	at := strings.LastIndexByte(pinned, '@')
	if at <= 0 {
		return pinned, 0
	}
	n, err := strconv.Atoi(pinned[at+1:])
	if err != nil || n < 1 || n > MaxVersion || strconv.Itoa(n) != pinned[at+1:] {
		return pinned, 0
	}
	return pinned[:at], n
}
