// Package letter changes texts letter by letter as Python does, which knows more
// of Unicode than Go.
package letter

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Upper differs from Go's in the letters that become two or three (Unicode,
// SpecialCasing).
func Upper(s string) string {
	s = strings.ToUpper(s)
	if isASCII(s) {
		return s
	}
	return manyLetters().Replace(s)
}

var manyLetters = sync.OnceValue(func() *strings.Replacer {
	return strings.NewReplacer(strings.Fields("ß SS ŉ \u02bcN ǰ J\u030c ΐ Ι\u0308\u0301 ΰ Υ\u0308\u0301 և ԵՒ ẖ H\u0331 ẗ T\u0308 ẘ W\u030a ẙ Y\u030a ẚ A\u02be " +
		"ὐ Υ\u0313 ὒ Υ\u0313\u0300 ὔ Υ\u0313\u0301 ὖ Υ\u0313\u0342 ᾈ ἈΙ ᾉ ἉΙ ᾊ ἊΙ ᾋ ἋΙ ᾌ ἌΙ ᾍ ἍΙ ᾎ ἎΙ ᾏ ἏΙ ᾘ ἨΙ ᾙ ἩΙ ᾚ ἪΙ ᾛ ἫΙ " +
		"ᾜ ἬΙ ᾝ ἭΙ ᾞ ἮΙ ᾟ ἯΙ ᾨ ὨΙ ᾩ ὩΙ ᾪ ὪΙ ᾫ ὫΙ ᾬ ὬΙ ᾭ ὭΙ ᾮ ὮΙ ᾯ ὯΙ ᾲ ᾺΙ ᾼ ΑΙ ᾴ ΆΙ ᾶ Α\u0342 ᾷ Α\u0342Ι ῂ ῊΙ ῌ ΗΙ ῄ ΉΙ " +
		"ῆ Η\u0342 ῇ Η\u0342Ι ῒ Ι\u0308\u0300 ΐ Ι\u0308\u0301 ῖ Ι\u0342 ῗ Ι\u0308\u0342 ῢ Υ\u0308\u0300 ΰ Υ\u0308\u0301 " +
		"ῤ Ρ\u0313 ῦ Υ\u0342 ῧ Υ\u0308\u0342 ῲ ῺΙ ῼ ΩΙ ῴ ΏΙ ῶ Ω\u0342 ῷ Ω\u0342Ι ﬀ FF ﬁ FI ﬂ FL ﬃ FFI ﬄ FFL ﬅ ST ﬆ ST ﬓ ՄՆ ﬔ ՄԵ " +
		"ﬕ ՄԻ ﬖ ՎՆ ﬗ ՄԽ")...)
})

// Lower differs from Go's in the dotted capital I, and in the sigma at the end
// of a word.
func Lower(s string) string {
	if isASCII(s) || !strings.ContainsAny(s, "İΣ") {
		return strings.ToLower(s)
	}
	runes := []rune(s)
	var b strings.Builder
	for i, r := range runes {
		switch {
		case r == 'İ':
			b.WriteString("i\u0307")
		case r == 'Σ' && besideLetter(runes, i, -1) && !besideLetter(runes, i, 1):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// besideLetter looks in one direction for a letter that has two cases, across
// marks and apostrophes (Unicode §3.13, Final_Sigma).
func besideLetter(runes []rune, i, direction int) bool {
	for i += direction; 0 <= i && i < len(runes); i += direction {
		r := runes[i]
		if !unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) && !strings.ContainsRune("'.:··’‘․﹒．：﹕՟״︓", r) {
			return isCased(r)
		}
	}
	return false
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// TrimSpace takes away what Python takes for white space, which is more than
// Go does.
func TrimSpace(s string) string { return strings.TrimFunc(s, isSpace) }

func isSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

// Title is the filter title of Jinja2: words begin behind space and -({[<, and
// their first letter is large, the others are small.
func Title(s string) string {
	var b strings.Builder
	for s != "" {
		word, rest := span(s, func(r rune) bool { return !beginsWord(r) })
		if word != "" {
			_, n := utf8.DecodeRuneInString(word)
			b.WriteString(Upper(word[:n]) + Lower(word[n:]))
		}
		between, rest := span(rest, beginsWord)
		b.WriteString(between)
		s = rest
	}
	return b.String()
}

func beginsWord(r rune) bool { return isSpace(r) || strings.ContainsRune("-({[<", r) }

// TitleCase is the method title of Python's texts: the first of letters that
// stand together is large, the others are small.
func TitleCase(s string) string {
	var b strings.Builder
	for s != "" {
		between, text := span(s, func(r rune) bool { return !isCased(r) })
		b.WriteString(between)
		_, s = span(text, isCased)
		word := Capitalize(text) // a sigma looks beyond the word: "ΑΣ'Α"
		b.WriteString(word[:len(word)-len(Lower(s))])
	}
	return b.String()
}

// span cuts s where the letters that are wanted end.
func span(s string, wanted func(rune) bool) (before, after string) {
	i := strings.IndexFunc(s, func(r rune) bool { return !wanted(r) })
	if i < 0 {
		i = len(s)
	}
	return s[:i], s[i:]
}

// Capitalize makes the first letter large and the others small.
func Capitalize(s string) string {
	if s == "" {
		return ""
	}
	_, n := utf8.DecodeRuneInString(s)
	return titled(s[:n]) + Lower(s)[len(Lower(s[:n])):]
}

// titled is one letter as the first of a word: ǅ of ǆ, and Ss of ß.
func titled(letter string) string {
	r, _ := utf8.DecodeRuneInString(letter)
	large := []rune(Upper(letter))
	if t := unicode.ToTitle(r); t != r || len(large) == 1 || unicode.IsTitle(r) {
		return string(t)
	}
	for i, r := range large[1:] {
		switch {
		case r == 'Ι':
			large[1+i] = '\u0345' // written below
		case isCased(large[0]):
			large[1+i] = unicode.ToLower(r)
		}
	}
	return string(large)
}

func isCased(r rune) bool {
	return unicode.In(r, unicode.Upper, unicode.Lower, unicode.Title, unicode.Other_Lowercase, unicode.Other_Uppercase)
}
