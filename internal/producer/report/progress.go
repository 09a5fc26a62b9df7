package report

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// Snapshot is how far a run is.
type Snapshot struct {
	OK, Failed int64
	Total      int64 // 0 while it is not known
	Before     int64 // finished by earlier processes
	Elapsed    time.Duration
}

func (s Snapshot) done() int64 { return s.OK + s.Failed }

func (s Snapshot) rate() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.done()-s.Before) / s.Elapsed.Seconds()
}

// left is the time to go, "" when it cannot be told.
func (s Snapshot) left() string {
	rate := s.rate()
	if s.Total == 0 || rate == 0 || s.done() >= s.Total {
		return ""
	}
	left := time.Duration(float64(s.Total-s.done()) / rate * float64(time.Second))
	return left.Round(time.Second).String()
}

// String is one line for a log.
func (s Snapshot) String() string {
	text := group(s.done())
	if s.Total > 0 {
		text += fmt.Sprintf(" of %s (%d %%)", group(s.Total), 100*s.done()/s.Total)
	}
	text += fmt.Sprintf(" done, %s/s, ok %s, failed %s", formatRate(s.rate()), group(s.OK), group(s.Failed))
	if left := s.left(); left != "" {
		text += ", " + left + " left"
	}
	return text
}

// Progress shows how far a run is.
type Progress interface {
	// Interval is how often Update wants to be called.
	Interval() time.Duration
	Update(Snapshot)
	// Note writes a line of text, above the bar if there is one.
	Note(text string)
	// Close leaves the last state on the screen.
	Close()
}

// The intervals of the two ways to show progress.
const (
	lineInterval = 5 * time.Second
	barInterval  = 100 * time.Millisecond
)

// NewProgress shows a bar on a terminal, and else writes a line every few
// seconds.
func NewProgress(w io.Writer, terminal bool) Progress {
	if !terminal {
		return lines{w}
	}
	b := &bar{container: mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh(), mpb.WithRefreshRate(barInterval))}
	b.last.Store(&Snapshot{})
	b.bar = b.container.New(0, mpb.BarStyle(),
		mpb.PrependDecorators(b.text(func(s Snapshot) string {
			if s.Total == 0 {
				return group(s.done()) + " "
			}
			return fmt.Sprintf("%s/%s ", group(s.done()), group(s.Total))
		})),
		mpb.AppendDecorators(b.text(func(s Snapshot) string {
			text := fmt.Sprintf(" %s/s  ok %s  failed %s", formatRate(s.rate()), group(s.OK), group(s.Failed))
			if left := s.left(); left != "" {
				text += "  " + left + " left"
			}
			return text
		})))
	return b
}

// Follow updates p until ctx ends, and with the last state once more.
func Follow(ctx context.Context, p Progress, now func() Snapshot) {
	tick := time.NewTicker(p.Interval())
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		p.Update(now())
	}
}

type lines struct{ w io.Writer }

func (l lines) Interval() time.Duration { return lineInterval }
func (l lines) Update(s Snapshot)       { fmt.Fprintln(l.w, s) }
func (l lines) Note(text string)        { fmt.Fprintln(l.w, text) }
func (l lines) Close()                  {}

type bar struct {
	container *mpb.Progress
	bar       *mpb.Bar
	last      atomic.Pointer[Snapshot]
}

func (b *bar) text(f func(Snapshot) string) decor.Decorator {
	return decor.Any(func(decor.Statistics) string { return f(*b.last.Load()) })
}

func (b *bar) Interval() time.Duration { return barInterval }

func (b *bar) Update(s Snapshot) {
	b.last.Store(&s)
	b.bar.SetTotal(s.Total, false)
	b.bar.SetCurrent(s.done())
}

func (b *bar) Note(text string) { _, _ = fmt.Fprintln(b.container, text) }

func (b *bar) Close() {
	b.bar.Abort(false)
	b.container.Wait()
}
