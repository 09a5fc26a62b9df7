package escape

import "strings"

// WithoutTags takes out what (?s)<!--.*?-->|<.*?> matches, in one pass: the
// expression itself looks for the end of each comment anew.
func WithoutTags(s string) string {
	var b strings.Builder
	comments := true // some may end in s
	for {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			break
		}
		end := -1
		if comments && strings.HasPrefix(s[i:], "<!--") {
			if end = strings.Index(s[i+4:], "-->"); end >= 0 {
				end += i + 4 + 3
			} else {
				comments = false
			}
		}
		if end < 0 {
			if end = strings.IndexByte(s[i:], '>'); end < 0 {
				break
			}
			end += i + 1
		}
		b.WriteString(s[:i])
		s = s[end:]
	}
	b.WriteString(s)
	return b.String()
}
