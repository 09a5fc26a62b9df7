package value

import "bytes"

// What is in this file reads text that is known to be valid. It must end and
// stay in bounds on any input all the same: Raw takes a caller's word for it.

// kindOf returns the kind of the value that starts with c.
func kindOf(c byte) Kind {
	switch c {
	case '{':
		return KindObject
	case '[':
		return KindArray
	case '"':
		return KindString
	case 't', 'f':
		return KindBool
	case 'n':
		return KindNull
	default:
		return KindNumber
	}
}

// span is where a key or value lies in a text.
type span struct {
	from, to int
	depth    int // of nested arrays and objects
	form     form
}

// eagerDepth is the nesting from which a value is indexed whole: level by level,
// its inside would be scanned as often as it is deep.
const eagerDepth = 16

// index reads one level of an array or object.
func index(n *node) *kids {
	text := tight(n.text)
	if len(text) < 2 {
		return &kids{}
	}
	var room [16]span
	if n.kind == KindArray {
		spans := scanItems(text, room[:0], false)
		nodes := make([]node, len(spans))
		elements := make([]Value, len(spans))
		for i, s := range spans {
			elements[i] = child(&nodes[i], text, s)
		}
		return &kids{elements: elements}
	}
	spans := scanItems(text, room[:0], true)
	nodes := make([]node, len(spans)/2)
	members := make([]Member, len(spans)/2)
	for i := range members {
		key, val := spans[2*i], spans[2*i+1]
		members[i].Key, _ = unquote(text[key.from:key.to])
		members[i].Value = child(&nodes[i], text, val)
	}
	k := &kids{}
	k.setMembers(members)
	return k
}

func child(n *node, text []byte, s span) Value {
	if s.depth > eagerDepth {
		v, _ := indexAll(text, s.from)
		return v
	}
	n.text = text[s.from:s.to:s.to]
	n.kind = KindNull
	if s.to > s.from {
		n.kind = kindOf(text[s.from])
	}
	n.form = s.form
	return Value{n}
}

// scanItems collects the values of the array, or the keys and values of the
// object, that text holds. An object yields an even number of spans.
func scanItems(text []byte, spans []span, pairs bool) []span {
	end := len(text) - 1
	for i := 1; i < end; {
		c := text[i]
		if isSpace(c) || c == ',' || c == ':' {
			i++
			continue
		}
		if c == ']' || c == '}' {
			break
		}
		s := skip(text, i)
		spans = append(spans, s)
		i = s.to
	}
	if pairs && len(spans)%2 != 0 {
		spans = spans[:len(spans)-1]
	}
	return spans
}

// indexAll reads the value at i with everything in it, and returns the position
// after it. It recurses as deep as the text nests.
func indexAll(text []byte, i int) (Value, int) {
	kind := kindOf(text[i])
	if kind < KindArray {
		s := skip(text, i)
		return child(&node{}, text, s), s.to
	}
	n, k := &node{kind: kind, form: formCompact}, &kids{}
	from := i
	var keys []string
	for i++; i < len(text) && text[i] != ']' && text[i] != '}'; {
		switch c := text[i]; {
		case isSpace(c):
			n.form = formLoose
			i++
			continue
		case c == ',' || c == ':':
			i++
			continue
		case kind == KindObject && len(keys) == len(k.elements):
			s := skip(text, i)
			key, _ := unquote(text[s.from:s.to])
			keys = append(keys, key)
			n.form = max(n.form, s.form)
			i = s.to
			continue
		}
		var v Value
		v, i = indexAll(text, i)
		k.elements = append(k.elements, v)
		n.form = max(n.form, v.n.form)
	}
	i = min(i+1, len(text))
	n.text = text[from:i:i]
	if kind == KindObject {
		members := make([]Member, len(k.elements))
		for j, v := range k.elements {
			members[j] = Member{keys[j], v}
		}
		k.elements = nil
		k.setMembers(members)
	}
	n.kids.Store(k)
	return Value{n}, i
}

// skip returns where the value at i lies: it ends after i unless i is the end of
// the text. It keeps no stack: in valid text brackets match.
func skip(text []byte, i int) span {
	s := span{from: i, form: formCompact}
	for depth := 0; i < len(text); {
		switch c := text[i]; c {
		case '"':
			var escaped bool
			i, escaped = skipString(text, i)
			if escaped {
				s.form = formLoose
			}
		case '{', '[':
			depth++
			s.depth = max(s.depth, depth)
			i++
		case '}', ']':
			depth--
			i++
		case ' ', '\n', '\t', '\r':
			s.form = formLoose
			i++
			continue
		case ',', ':':
			i++
			continue
		default:
			i = skipWord(text, i)
		}
		if depth <= 0 {
			break
		}
	}
	s.to = i
	return s
}

// skipString returns the position after the string at i and whether it holds an
// escape that an encoder would not have written.
func skipString(text []byte, i int) (int, bool) {
	i++
	// Most strings have no escapes; those are skipped at the speed of memory.
	q := bytes.IndexByte(text[i:], '"')
	if q < 0 {
		return len(text), false
	}
	b := bytes.IndexByte(text[i:i+q], '\\')
	if b < 0 {
		return i + q + 1, false
	}
	loose := false
	for i += b; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1, loose
		case '\\':
			i++
			if i < len(text) && (text[i] == 'u' || text[i] == '/') {
				loose = true
			}
		}
	}
	return len(text), loose
}

// skipWord returns the end of a number or literal at i.
func skipWord(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case ',', ':', ']', '}', '[', '{', '"', ' ', '\n', '\t', '\r':
			return i
		}
	}
	return i
}
