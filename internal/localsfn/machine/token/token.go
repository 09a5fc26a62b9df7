// Package token writes and reads task tokens. A token names the execution and
// the task it is for and carries a secret, which only the execution can check.
package token

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// ErrInvalid is a token that was never given out.
var ErrInvalid = errors.New("invalid token")

// Secret is the random part of a token.
type Secret = [16]byte

const (
	version = 1
	// head is the version byte and the secret.
	head = 1 + len(Secret{})
	// MaxLength is AWS's limit for a token's length.
	MaxLength = 1024
)

// Make writes a token: base64url of version (1 byte), secret (16 bytes), task
// number (uvarint) and execution key.
func Make(key string, task int64, secret Secret) string {
	raw := make([]byte, 0, head+binary.MaxVarintLen64+len(key))
	raw = append(raw, version)
	raw = append(raw, secret[:]...)
	raw = binary.AppendUvarint(raw, uint64(task))
	raw = append(raw, key...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Split takes a token apart; the error is ErrInvalid.
func Split(token string) (key string, task int64, secret Secret, err error) {
	if len(token) > MaxLength {
		return "", 0, secret, ErrInvalid
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) <= head || raw[0] != version {
		return "", 0, secret, ErrInvalid
	}
	copy(secret[:], raw[1:])
	n, size := binary.Uvarint(raw[head:])
	if size <= 0 || n == 0 || n > 1<<32 {
		return "", 0, secret, ErrInvalid
	}
	return string(raw[head+size:]), int64(n), secret, nil
}
