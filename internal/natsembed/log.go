package natsembed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// logBridge hands the server's warnings and errors to slog and keeps the first
// fatal one: the server only logs it and goes on half alive.
type logBridge struct {
	logger *slog.Logger

	mu      sync.Mutex
	err     error // guarded by mu: the first fatal message
	started bool  // guarded by mu
	checks  int   // guarded by mu: warnings before it had started
}

func newLogBridge(logger *slog.Logger) *logBridge {
	if logger == nil {
		logger = slog.Default()
	}
	return &logBridge{logger: logger.With("component", "broker")}
}

func (b *logBridge) fatal() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// Fatalf keeps the message: Start returns it.
func (b *logBridge) Fatalf(format string, v ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = errors.New(strings.ToLower(fmt.Sprintf(format, v...)))
	}
}

// Errorf logs an error of the server.
func (b *logBridge) Errorf(format string, v ...any) {
	b.logger.Error("embedded broker", "detail", fmt.Sprintf(format, v...))
}

// Warnf logs a warning of the server. Those of the start say, file by file,
// that the store was left by a kill and is being checked, which is what the
// start is for.
func (b *logBridge) Warnf(format string, v ...any) {
	b.mu.Lock()
	level := slog.LevelWarn
	if !b.started {
		level = slog.LevelDebug
		b.checks++
	}
	b.mu.Unlock()
	b.logger.Log(context.Background(), level, "embedded broker", "detail", fmt.Sprintf(format, v...))
}

// start ends the start.
func (b *logBridge) start() {
	b.mu.Lock()
	b.started = true
	checks := b.checks
	b.mu.Unlock()
	if checks > 0 {
		b.logger.Info("store was not closed, checked it", "warnings", checks)
	}
}

// Noticef drops what the server does on every start.
func (b *logBridge) Noticef(string, ...any) {}

// Debugf drops debug output, which is off.
func (b *logBridge) Debugf(string, ...any) {}

// Tracef drops traces, which are off.
func (b *logBridge) Tracef(string, ...any) {}
