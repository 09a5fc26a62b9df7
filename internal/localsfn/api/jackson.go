package api

import (
	"fmt"
	"strings"
	"unicode"
)

// jackson says what is wrong with a JSON text as AWS does, in the words of its
// JSON library, where they are known.
func jackson(text string, err error) string {
	rest := strings.TrimLeft(text, " \t\r\n")
	if rest == "" {
		return "No content to map due to end-of-input"
	}
	word := rest
	if i := strings.IndexFunc(rest, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '$' }); i >= 0 {
		word = rest[:i]
	}
	if word == "" || !unicode.IsLetter([]rune(word)[0]) || word == "true" || word == "false" || word == "null" {
		return err.Error()
	}
	if len(text) > 500 {
		return "Unrecognized token '" + word[:min(len(word), 100)] + "': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
	}
	at := len(text) - len(rest) + len(word) + 1
	return fmt.Sprintf("Unrecognized token '%s': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: (String)\"%s\"; line: 1, column: %d]",
		word, text, at)
}
