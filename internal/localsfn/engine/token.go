package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/machine"
	"callfleet/internal/localsfn/store"
)

// Succeed settles the task of a token with its output.
func (e *Engine) Succeed(ctx context.Context, token string, output expr.Value) error {
	return e.answerToken(ctx, token, func(task int64) machine.Input {
		return machine.TaskSucceeded{Task: task, Output: output}
	})
}

// Fail settles the task of a token with an error; both texts may be nil.
func (e *Engine) Fail(ctx context.Context, token string, name, cause *string) error {
	return e.answerToken(ctx, token, func(task int64) machine.Input {
		return machine.TaskFailed{Task: task, Error: name, Cause: cause}
	})
}

// Heartbeat starts the heartbeat clock of a token's task anew.
func (e *Engine) Heartbeat(ctx context.Context, token string) error {
	return e.answerToken(ctx, token, func(task int64) machine.Input { return machine.Heartbeat{Task: task} })
}

// submitting is how long an answer waits for its own question: a worker may be
// faster than the broker's receipt, and the history shows TaskSubmitted first.
const submitting = 2 * time.Second

// answerToken lets something happen to the task of a token. The error is
// machine.ErrInvalidToken or machine.ErrTaskGone when the token is no good.
func (e *Engine) answerToken(ctx context.Context, token string, input func(task int64) machine.Input) error {
	key, _, err := machine.ParseToken(token)
	if err != nil {
		return err
	}
	k, ok := parseKey(key)
	if !ok {
		return machine.ErrInvalidToken
	}
	l := e.peek(k)
	if l == nil {
		if known, ok := e.store.Find(k); ok && known.Status.Closed() {
			return fmt.Errorf("execution %s has ended: %w", k, machine.ErrTaskGone)
		}
		l = e.get(k)
	}
	patience := time.Now().Add(submitting)
	for {
		var wait *handing
		err := e.apply(l, func(l *live) (machine.Input, error) {
			task, err := l.x.TaskByToken(token)
			if err != nil {
				return nil, err
			}
			if wait = l.acting[task]; wait != nil && time.Now().Before(patience) {
				return nil, nil
			}
			wait = nil
			return input(task), nil
		})
		if errors.Is(err, ErrNotFound) {
			return fmt.Errorf("execution %s is not in the log: %w", k, machine.ErrInvalidToken)
		}
		if wait == nil || err != nil {
			return err
		}
		select {
		case <-wait.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.ctx.Done():
			return ErrClosed
		case <-time.After(time.Until(patience)):
		}
	}
}

// parseKey undoes store.Key.String.
func parseKey(s string) (store.Key, bool) {
	m, n, ok := strings.Cut(s, ":")
	return store.Key{Machine: m, Name: n}, ok && m != "" && n != ""
}
