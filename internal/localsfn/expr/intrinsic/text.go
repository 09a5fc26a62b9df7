package intrinsic

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"callfleet/internal/jsonpath/value"
)

func base64Encode(args []value.Value) (value.Value, error) {
	s, err := text(args, 0)
	if err != nil {
		return value.Value{}, err
	}
	return value.String(base64.StdEncoding.EncodeToString([]byte(s))), nil
}

// base64Decode takes text with or without padding, as Java's decoder does.
func base64Decode(args []value.Value) (value.Value, error) {
	s, err := text(args, 0)
	if err != nil {
		return value.Value{}, err
	}
	if strings.ContainsAny(s, "\r\n") {
		return value.Value{}, errors.New("argument 1 is not valid Base64")
	}
	decoded, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		decoded, err = base64.RawStdEncoding.DecodeString(s)
	}
	if err != nil {
		return value.Value{}, errors.New("argument 1 is not valid Base64")
	}
	return value.String(string(decoded)), nil
}

func hash(args []value.Value) (value.Value, error) {
	s, err := text(args, 0)
	if err != nil {
		return value.Value{}, err
	}
	algorithm, err := text(args, 1)
	if err != nil {
		return value.Value{}, err
	}
	data := []byte(s)
	var sum []byte
	switch algorithm {
	case "MD5":
		digest := md5.Sum(data)
		sum = digest[:]
	case "SHA-1":
		digest := sha1.Sum(data)
		sum = digest[:]
	case "SHA-256":
		digest := sha256.Sum256(data)
		sum = digest[:]
	case "SHA-384":
		digest := sha512.Sum384(data)
		sum = digest[:]
	case "SHA-512":
		digest := sha512.Sum512(data)
		sum = digest[:]
	default:
		return value.Value{}, fmt.Errorf("argument 2 must be one of MD5, SHA-1, SHA-256, SHA-384, SHA-512 but is '%s'", algorithm)
	}
	return value.String(hex.EncodeToString(sum)), nil
}

// stringSplit splits at any of the characters of the second argument and drops
// empty parts.
func stringSplit(args []value.Value) (value.Value, error) {
	s, err := argument(args, 0, value.KindString)
	if err != nil {
		return value.Value{}, err
	}
	separators, err := argument(args, 1, value.KindString)
	if err != nil {
		return value.Value{}, err
	}
	set := make(map[rune]struct{})
	for _, r := range separators.Text() {
		set[r] = struct{}{}
	}
	fields := strings.FieldsFunc(s.Text(), func(r rune) bool {
		_, ok := set[r]
		return ok
	})
	parts := make([]value.Value, len(fields))
	for i, field := range fields {
		parts[i] = value.String(field)
	}
	return value.Array(parts...), nil
}

// SplitFormat splits the literal first argument of States.Format, as written
// between its quotes, into the texts around its placeholders.
func SplitFormat(literal string) []string {
	var pieces []string
	var b strings.Builder
	for i := 0; i < len(literal); i++ {
		switch {
		case literal[i] == '\\' && i+1 < len(literal):
			i++
			b.WriteByte(literal[i])
		case strings.HasPrefix(literal[i:], "{}"):
			i++
			pieces = append(pieces, b.String())
			b.Reset()
		default:
			b.WriteByte(literal[i])
		}
	}
	return append(pieces, b.String())
}

// Format puts the arguments between the pieces.
func Format(pieces []string, args []value.Value) (value.Value, error) {
	if len(args) != len(pieces)-1 {
		return value.Value{}, fmt.Errorf("the number of placeholders is %d but the number of arguments is %d", len(pieces)-1, len(args))
	}
	var b strings.Builder
	for i, piece := range pieces {
		if i > 0 {
			b.WriteString(args[i-1].JavaText())
		}
		b.WriteString(piece)
		if b.Len() > MaxBytes {
			return value.Value{}, ErrTooLarge
		}
	}
	return value.String(b.String()), nil
}

// format is for a first argument that is not a literal.
func format(args []value.Value) (value.Value, error) {
	template, err := argument(args, 0, value.KindString)
	if err != nil {
		return value.Value{}, err
	}
	return Format(strings.Split(template.Text(), "{}"), args[1:])
}
