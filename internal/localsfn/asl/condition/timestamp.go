package condition

import (
	"strings"
	"time"
)

// ParseTimestamp reads a timestamp of the language: RFC 3339 with capital "T"
// and "Z", of which the seconds may be missing.
func ParseTimestamp(s string) (time.Time, bool) {
	if strings.ContainsAny(s, "tz ,") {
		return time.Time{}, false
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
