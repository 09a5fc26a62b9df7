package machine

import (
	"crypto/subtle"
	"errors"

	"callfleet/internal/localsfn/machine/token"
)

// The answers of TaskByToken.
var (
	// ErrInvalidToken is a token that was never given out.
	ErrInvalidToken = token.ErrInvalid
	// ErrTaskGone is a token whose task is settled: answered, timed out or
	// ended with its execution.
	ErrTaskGone = errors.New("task is no longer waiting")
)

// ParseToken says which execution and task a token claims to be for. The
// secret in it is checked by TaskByToken.
func ParseToken(text string) (executionKey string, task int64, err error) {
	executionKey, task, _, err = token.Split(text)
	return executionKey, task, err
}

// TaskByToken checks a token in full and returns the task it is for.
func (x *Execution) TaskByToken(text string) (task int64, err error) {
	key, number, secret, err := token.Split(text)
	if err != nil || x.start == nil || key != x.start.Key || number > x.lastID {
		return 0, ErrInvalidToken
	}
	f := x.open[number]
	if f == nil {
		return 0, ErrTaskGone
	}
	if subtle.ConstantTimeCompare(secret[:], f.task.Secret[:]) != 1 || secret == (token.Secret{}) {
		return 0, ErrInvalidToken
	}
	return number, nil
}
