package call

// The layout of a traceparent: version, trace id, parent id, flags.
const traceparentLength = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")

// ID is the trace id, 32 hexadecimal digits, or "" when there is no trace or
// none that can be read. It may be called on nil.
func (t *Trace) ID() string {
	if t == nil || len(t.Parent) < traceparentLength || t.Parent[2] != '-' || t.Parent[35] != '-' {
		return ""
	}
	id := t.Parent[3:35]
	zero := true
	for i := range len(id) {
		if c := id[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return ""
		}
		zero = zero && id[i] == '0'
	}
	if zero {
		return ""
	}
	return id
}
