package machine

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// The answers of TaskByToken.
var (
	// ErrInvalidToken is a token that was never given out.
	ErrInvalidToken = errors.New("invalid token")
	// ErrTaskGone is a token whose task is settled: answered, timed out or
	// ended with its execution.
	ErrTaskGone = errors.New("task is no longer waiting")
)

const (
	tokenVersion = 1
	// tokenHead is a version byte, the secret and at least one byte of task.
	tokenHead = 1 + 16
	// maxToken is AWS's limit for a token's length.
	maxToken = 1024
)

// A token is base64url of: version (1 byte), secret (16 bytes), task number
// (uvarint), execution key.
func makeToken(key string, task int64, secret [16]byte) string {
	raw := make([]byte, 0, tokenHead+binary.MaxVarintLen64+len(key))
	raw = append(raw, tokenVersion)
	raw = append(raw, secret[:]...)
	raw = binary.AppendUvarint(raw, uint64(task))
	raw = append(raw, key...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

func splitToken(token string) (key string, task int64, secret [16]byte, err error) {
	if len(token) > maxToken {
		return "", 0, secret, ErrInvalidToken
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) <= tokenHead || raw[0] != tokenVersion {
		return "", 0, secret, ErrInvalidToken
	}
	copy(secret[:], raw[1:])
	n, size := binary.Uvarint(raw[tokenHead:])
	if size <= 0 || n == 0 || n > maxEvents*2 {
		return "", 0, secret, ErrInvalidToken
	}
	return string(raw[tokenHead+size:]), int64(n), secret, nil
}

// ParseToken says which execution and task a token claims to be for. The
// secret in it is checked by TaskByToken.
func ParseToken(token string) (executionKey string, task int64, err error) {
	executionKey, task, _, err = splitToken(token)
	return executionKey, task, err
}

// TaskByToken checks a token in full and returns the task it is for.
func (x *Execution) TaskByToken(token string) (task int64, err error) {
	key, number, secret, err := splitToken(token)
	if err != nil || x.start == nil || key != x.start.Key || number > x.lastID {
		return 0, ErrInvalidToken
	}
	f := x.open[number]
	if f == nil {
		return 0, ErrTaskGone
	}
	if subtle.ConstantTimeCompare(secret[:], f.task.Secret[:]) != 1 || secret == [16]byte{} {
		return 0, ErrInvalidToken
	}
	return number, nil
}
