package evidence

import (
	"context"
	"log/slog"
	"testing"
)

// Logger is a log of every level that nobody reads and that is kept.
func Logger(t testing.TB) *slog.Logger { return LoggerAs(t.Name()) }

// LoggerAs is Logger for a process that runs no test itself.
func LoggerAs(name string) *slog.Logger {
	if !Enabled() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewJSONHandler(lines{name}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// LoggerTo is a log that h handles and that is kept too, of every level.
func LoggerTo(t testing.TB, h slog.Handler) *slog.Logger {
	if !Enabled() {
		return slog.New(h)
	}
	return slog.New(both{h, Logger(t).Handler()})
}

// lines writes each line of a log as a record.
type lines struct{ test string }

func (l lines) Write(line []byte) (int, error) {
	return len(line), write(Log, Record{l.test, string(line)})
}

// both hands what it is given to two handlers.
type both struct{ shown, kept slog.Handler }

func (b both) Enabled(ctx context.Context, level slog.Level) bool {
	return b.shown.Enabled(ctx, level) || b.kept.Enabled(ctx, level)
}

func (b both) Handle(ctx context.Context, r slog.Record) error {
	if err := b.kept.Handle(ctx, r.Clone()); err != nil || !b.shown.Enabled(ctx, r.Level) {
		return err
	}
	return b.shown.Handle(ctx, r)
}

func (b both) WithAttrs(attrs []slog.Attr) slog.Handler {
	return both{b.shown.WithAttrs(attrs), b.kept.WithAttrs(attrs)}
}

func (b both) WithGroup(name string) slog.Handler {
	return both{b.shown.WithGroup(name), b.kept.WithGroup(name)}
}
