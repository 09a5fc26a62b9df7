// Package pin tells whether the params of a templated URL can choose its host.
package pin

import (
	"errors"
	"strings"
)

// Check says what is wrong with a templated URL that secrets are sent to:
// whoever gives the params must not choose who gets the secrets. The host is
// written out, or ends in a domain that is.
func Check(url string) error {
	wrong := errors.New("must have its host written out, or at least end in a domain such as .api.example, in a template with auth or secrets: " +
		"otherwise whoever gives the params chooses who gets the secrets")
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || strings.Contains(scheme, "{") {
		return wrong
	}
	authority, code := authorityOf(rest)
	if code == "" {
		if strings.Contains(authority, "{") {
			return wrong
		}
		return nil
	}
	domain := authority[strings.LastIndex(authority, "}")+1:]
	if strings.Contains(authority, "{%") || strings.Contains(authority, "{#") || strings.Contains(code, "safe") ||
		!strings.HasPrefix(domain, ".") || strings.Count(strings.Trim(domain, "."), ".") < 1 || strings.Contains(domain, "@") {
		return wrong
	}
	return nil
}

// authorityOf is the templated text up to the first of / ? # outside of code,
// and the code in it.
func authorityOf(rest string) (authority, code string) {
	for i := 0; i < len(rest); i++ {
		switch {
		case strings.HasPrefix(rest[i:], "{{"), strings.HasPrefix(rest[i:], "{%"), strings.HasPrefix(rest[i:], "{#"):
			end := strings.IndexByte(rest[i:], '}')
			if end < 0 {
				return rest, code
			}
			for i+end+1 < len(rest) && rest[i+end+1] == '}' {
				end++
			}
			code += rest[i : i+end+1]
			i += end
		case strings.IndexByte("/?#", rest[i]) >= 0:
			return rest[:i], code
		}
	}
	return rest, code
}
