package value

import "encoding/json"

// JSON returns the text of the value, as it was read where it was read. The
// slice must not be changed. It is nil for the absent Value.
func (v Value) JSON() json.RawMessage {
	if v.n == nil {
		return nil
	}
	if v.n.text != nil {
		return v.n.text[:len(v.n.text):len(v.n.text)]
	}
	k := v.n.kids.Load()
	if text := k.encoded.Load(); text != nil {
		return *text
	}
	text := v.AppendJSON(nil)
	text = text[:len(text):len(text)]
	k.encoded.Store(&text)
	return text
}

// Size returns the length of the value's JSON text in bytes.
func (v Value) Size() int { return len(v.JSON()) }

// String returns the JSON text.
func (v Value) String() string { return string(v.JSON()) }

// AppendJSON appends the text of the value to dst.
func (v Value) AppendJSON(dst []byte) []byte {
	if v.n == nil {
		return dst
	}
	if v.n.text != nil {
		return append(dst, v.n.text...)
	}
	k := v.n.kids.Load()
	if text := k.encoded.Load(); text != nil {
		return append(dst, *text...)
	}
	return appendKids(dst, v.n.kind, k, Value.AppendJSON)
}

// Compact returns the value as an encoder writes it: no spaces, no needless
// escapes, no repeated keys; numbers stay as written. AWS passes a whole input
// on as it came, but writes anew what it has picked out of one.
func (v Value) Compact() Value {
	if v.isCompact() {
		return v
	}
	text := v.appendCompact(nil)
	return Value{&node{text: text, kind: v.n.kind, form: formCompact}}
}

func (v Value) isCompact() bool {
	if v.n == nil {
		return true
	}
	if v.n.text != nil {
		f := v.n.form
		if f == formUnknown {
			f = skip(v.n.text, 0).form
			if len(tight(v.n.text)) != len(v.n.text) {
				f = formLoose
			}
		}
		return f == formCompact
	}
	for _, e := range v.Elements() {
		if !e.isCompact() {
			return false
		}
	}
	for _, m := range v.Members() {
		if !m.Value.isCompact() {
			return false
		}
	}
	return true
}

func (v Value) appendCompact(dst []byte) []byte {
	switch {
	case v.isCompact():
		return v.AppendJSON(dst)
	case v.n.kind == KindString:
		return AppendQuoted(dst, v.Text())
	case v.n.kind < KindArray:
		return append(dst, tight(v.n.text)...)
	default:
		return appendKids(dst, v.n.kind, v.look(), Value.appendCompact)
	}
}

func appendKids(dst []byte, kind Kind, k *kids, appendValue func(Value, []byte) []byte) []byte {
	if kind == KindArray {
		dst = append(dst, '[')
		for i, e := range k.elements {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(e, dst)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i, m := range k.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendQuoted(dst, m.Key), ':')
		dst = appendValue(m.Value, dst)
	}
	return append(dst, '}')
}
