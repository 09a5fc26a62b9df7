package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/program"
	"callfleet/internal/config"
	"callfleet/internal/lifecycle"
	"callfleet/internal/producer"
	"callfleet/internal/producer/callfile"
	"callfleet/internal/producer/report"
	"callfleet/internal/producer/requestid"
)

// run is "producer run".
func (c *cli) run(ctx context.Context) (int, error) {
	o := c.cfg.Run
	if err := readable(o.File); err != nil {
		return config.ExitUsage, err
	}
	if o.ID == "" && !o.Resume {
		c.cfg.Run.ID = requestid.NewRun(time.Now()) // known before the run, to say how to go on with it
	}
	code, err := c.with(ctx, embedding{always: o.Embedded, slots: o.Slots}, c.runFile)
	if errors.Is(err, lifecycle.ErrForced) {
		c.say("go on with: %s", c.resumeCommand(o.File, c.cfg.Run.ID))
	}
	return code, err
}

// readable finds a call file that is not there before anything is started.
func readable(file string) error {
	if file == callfile.Stdin {
		return nil
	}
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no call file %s", file)
	case err != nil:
		return fmt.Errorf("read call file: %w", err)
	case info.IsDir():
		return fmt.Errorf("%s is a directory, not a call file", file)
	}
	return nil
}

func (c *cli) runFile(ctx context.Context, b *backend.Backend) (int, error) {
	deps, err := c.deps(ctx, b)
	if err != nil {
		return program.ExitFailed, err
	}
	progress := report.NewProgress(c.std.Err, isTerminal(c.std.Err))
	o := c.runOptions(ctx, progress)
	o.System = b.System
	if deps.Claims != nil {
		o.MaxLine = longLine
	}
	p, err := producer.New(deps, o)
	if err != nil {
		return config.ExitUsage, err
	}
	defer noteInterrupt(ctx, progress)()
	// An interrupt stops the publishing; what is under way may still come in.
	last := lifecycle.DrainContext(ctx)
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(last, func() { cancel(context.Cause(last)) })()
	summary, err := p.Run(work)
	progress.Close()
	if summary.Run != "" {
		if _, werr := summary.WriteTo(c.std.Out); werr != nil {
			err = errors.Join(err, fmt.Errorf("write summary: %w", werr))
		}
	}
	return producer.ExitCode(summary, err), c.explain(err)
}

// interruptGrace is how long an interrupted run waits for what is under way.
const interruptGrace = 3 * time.Second

// longLine is the longest line whose params can go elsewhere. The producer holds
// some in memory; a file that is larger than that is a param of "producer call".
const longLine = 16 << 20

// noteInterrupt says at once that a signal was understood.
func noteInterrupt(ctx context.Context, progress report.Progress) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		if _, ok := errors.AsType[*lifecycle.SignalError](context.Cause(ctx)); ok {
			progress.Note(fmt.Sprintf("interrupted: waiting up to %s for the calls under way; once more stops at once", interruptGrace))
		}
	})
}

func (c *cli) runOptions(ctx context.Context, progress report.Progress) producer.Options {
	o := c.cfg.Run
	format := callfile.Format(o.Format)
	if o.Format == "auto" {
		format = callfile.FormatAuto
	}
	return producer.Options{
		File: o.File, Stdin: c.std.In, Format: format, Strict: o.Strict,
		Run: o.ID, Resume: o.Resume, Republish: o.Republish,
		Root: filepath.Join(c.cfg.Data, "runs"), Results: o.Results, Sync: c.cfg.Durability == "power",
		ClaimAbove: c.cfg.ClaimAbove, PerExecution: o.Batch, Window: o.Window, Batch: batchFor(o.Rate.PerSecond), Interrupt: ctx.Done(), Grace: interruptGrace,
		Progress: progress, Log: c.rt.Logger, ResumeCommand: c.resumeCommand,
	}
}

// batchFor keeps the batches of a paced run small: what was begun is published
// even after an interrupt.
func batchFor(rate float64) int {
	if rate <= 0 {
		return 0
	}
	return min(256, max(1, int(rate/10)))
}

// resumeCommand is what goes on with a run, with the settings that say where
// it is kept.
func (c *cli) resumeCommand(file, run string) string {
	words := []string{"producer", "run", file}
	if run != "" {
		words = append(words, "--run", run)
	}
	words = append(words, "--resume")
	o := c.cfg.Run
	for _, f := range []struct {
		set  bool
		flag []string
	}{
		{c.cfg.Data != config.DefaultData, []string{"--data", c.cfg.Data}},
		{o.Results != config.DefaultResults, []string{"--results", o.Results}},
		{o.Direct, []string{"--direct"}},
		{o.Batch > 1, []string{"--batch", strconv.Itoa(o.Batch)}},
		{o.Embedded, []string{"--embedded"}},
	} {
		if f.set {
			words = append(words, f.flag...)
		}
	}
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return strings.Join(words, " ")
}

// shellWord quotes a word if a shell would take it for something else.
func shellWord(w string) string {
	if w != "" && !strings.ContainsFunc(w, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_./:=+,@%", r)
	}) {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
