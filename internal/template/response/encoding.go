package response

import (
	"errors"
	"strings"
)

// errEncoding says why, and the way out.
var errEncoding = errors.New("asks for an encoding that is not undone here, so that select would find nothing and no secret be taken out: " +
	"leave it out, which asks for gzip, or write gzip or identity")

// CheckHeader refuses a header of a request, an Accept-Encoding, by which the
// answer may come in an encoding that the HTTP client does not undo.
func CheckHeader(name, value string) error {
	if !strings.EqualFold(name, "Accept-Encoding") {
		return nil
	}
	for coding := range strings.SplitSeq(value, ",") {
		coding, _, _ = strings.Cut(coding, ";") // a weight
		switch strings.ToLower(strings.Trim(coding, " \t")) {
		case "", "gzip", "x-gzip", "identity":
		default:
			return errEncoding
		}
	}
	return nil
}
