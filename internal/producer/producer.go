package producer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/call"
	"callfleet/internal/producer/callfile"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/pack"
	"callfleet/internal/producer/report"
	"callfleet/internal/producer/requestid"
	"callfleet/internal/queue"
)

// BadInput is the error name of a line that cannot be called.
const BadInput call.FailureName = "Callfleet.BadInput"

// Deps are what a producer works with.
type Deps struct {
	// Queue takes what Encoder makes.
	Queue   queue.Publisher
	Encoder Encoder
	// Checker holds params to what their template declares; nil lets all pass.
	Checker *Checker
	// Feed opens the outcomes of one run. It is called before the run publishes
	// anything, and with the same run again when it is resumed: outcomes that
	// arrived meanwhile must still be there.
	Feed func(ctx context.Context, run string) (queue.Feed, error)
	// Describer finds outcomes that the feed did not bring; nil is none.
	Describer Describer
	// Claims takes params that are too large to travel; nil: such calls are bad
	// input.
	Claims Claims
	// Batches is needed for Options.PerExecution.
	Batches pack.Store
}

// Claims puts large params of a request elsewhere.
type Claims interface {
	// Shrink makes params small enough, with references in place of the largest.
	// A *call.Failure concerns this request alone; any other error may pass.
	Shrink(ctx context.Context, id string, params json.RawMessage, most int) (json.RawMessage, error)
}

// Encoder turns a request into the message that asks for it.
type Encoder interface {
	// Encode is safe for concurrent use. A *call.Failure concerns this request
	// alone; any other error may pass, and Encode is tried again.
	Encode(ctx context.Context, r call.Request) (queue.Message, error)
	// Destination names the queue, for traces and for the journal.
	Destination() string
}

// Describer asks how a request stands.
type Describer interface {
	// Describe returns the outcome of the request, or ok false when there is
	// none yet: the request waits, runs, or is not known.
	Describe(ctx context.Context, id string) (o call.Outcome, ok bool, err error)
}

// Options are the settings of one run. The zero value runs standard input with
// everything at its default.
type Options struct {
	File    string    // "" or "-" is Stdin
	Stdin   io.Reader // needed for "-"
	Format  callfile.Format
	MaxLine int // callfile.DefaultMaxLine when 0
	// Strict checks the whole file first and publishes nothing if there is a
	// mistake. Standard input is copied into the run's directory for it.
	Strict bool

	// Run is the run's id: letters, digits and "_". "" makes a new one, or
	// takes the latest run of the file with Resume.
	Run    string
	Resume bool
	// Republish publishes every line without a result again on a resume, for
	// when the broker has lost its data.
	Republish bool

	Root    string // directory of the journals, ".callfleet/runs" when ""
	Results string // where the results appear besides, "" for nowhere
	// Sync makes results and journal survive a power loss too.
	Sync bool

	// PerExecution is how many calls an execution carries, at most call.MaxBatch;
	// 0 or 1 is an execution for each call.
	PerExecution int

	Window int // most requests without an outcome, 10,000 when 0
	Batch  int // most requests published in one go, 256 when 0
	// ClaimAbove is how large params may be before Claims takes them, 200 KiB
	// when 0.
	ClaimAbove int

	// Interrupt, when it is closed, stops publishing; outcomes are then waited
	// for during Grace (5 s when 0). Cancelling Run's context ends it at once.
	Interrupt <-chan struct{}
	Grace     time.Duration

	// ReconcileAfter is how long a request is without an outcome, while the
	// feed is silent, before Describer is asked (1 minute when 0), at most
	// ReconcileRate times a second (10 when 0).
	ReconcileAfter time.Duration
	ReconcileRate  float64

	System   string               // messaging.system of the spans, "nats" when ""
	Tracers  trace.TracerProvider // nil is OpenTelemetry's global one
	Progress report.Progress      // nil shows nothing
	Log      *slog.Logger         // nil is slog.Default()
	// ResumeCommand is what the user types to go on with a run; nil is
	// "producer run FILE --run RUN --resume".
	ResumeCommand func(file, run string) string
}

// Producer runs one call file.
type Producer struct {
	deps  Deps
	opts  Options
	fault func(point string) error // fault injection in tests, nil else
}

// New checks the options; nothing is opened before Run.
func New(d Deps, o Options) (*Producer, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if d.Queue == nil || d.Encoder == nil || d.Feed == nil {
		bad("queue, encoder and feed are needed")
	}
	if o.File == "" && !(o.Resume && o.Run != "") {
		o.File = callfile.Stdin
	}
	if o.File == callfile.Stdin && o.Stdin == nil {
		bad("standard input is needed for file %q", o.File)
	}
	if err := requestid.ValidateRun(o.Run); err != nil {
		bad("run: %w", err)
	}
	if o.File == callfile.Stdin && o.Resume && o.Run == "" {
		bad("resume: standard input has no latest run, name the run")
	}
	if o.Results != "" && o.File != callfile.Stdin && samePath(o.Results, o.File) {
		bad("results: %s is the call file", o.Results)
	}
	if o.Window < 0 || o.Batch < 0 || o.MaxLine < 0 || o.Grace < 0 || o.ReconcileAfter < 0 || o.ReconcileRate < 0 {
		bad("window, batch, line length, grace and reconcile settings cannot be negative")
	}
	if n := o.PerExecution; n < 0 || n > call.MaxBatch || n > 1 && d.Batches == nil {
		bad("calls of an execution: want 1 to %d, more than 1 with batches alone, not %d", call.MaxBatch, n)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("new producer: %w", errors.Join(errs...))
	}
	return &Producer{deps: d, opts: o.withDefaults()}, nil
}

// unitsOf is how many full executions fit into what is published in one go: files
// mix templates, and an execution has calls of one.
const unitsOf = 10

func (o Options) withDefaults() Options {
	setDefault(&o.MaxLine, callfile.DefaultMaxLine)
	setDefault(&o.Root, filepath.Join(".callfleet", "runs"))
	setDefault(&o.Window, 10_000)
	setDefault(&o.Batch, max(256, unitsOf*o.PerExecution))
	setDefault(&o.ClaimAbove, 200<<10)
	setDefault(&o.Grace, 5*time.Second)
	setDefault(&o.ReconcileAfter, time.Minute)
	setDefault(&o.ReconcileRate, 10)
	setDefault(&o.System, "nats")
	// A batch that fills the window would leave nothing to do meanwhile.
	o.Batch = max(1, min(o.Batch, o.Window/4))
	if n := o.PerExecution; n > 1 { // whole executions
		o.Batch = max(n, o.Batch-o.Batch%n)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Tracers == nil {
		o.Tracers = otel.GetTracerProvider()
	}
	if o.ResumeCommand == nil {
		o.ResumeCommand = func(file, run string) string {
			if strings.ContainsAny(file, " '\"\\$") {
				file = "'" + strings.ReplaceAll(file, "'", `'\''`) + "'"
			}
			return fmt.Sprintf("producer run %s --run %s --resume", file, run)
		}
	}
	return o
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func samePath(a, b string) bool {
	a, errA := filepath.Abs(a)
	b, errB := filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// Run publishes what is left of the file and returns when every call has its
// outcome, or when it is interrupted. The summary is never nil; with an error
// it tells how far the run came and how to go on.
func (p *Producer) Run(ctx context.Context) (*report.Summary, error) {
	start := time.Now()
	s, err := p.begin(ctx)
	if err != nil {
		return &report.Summary{}, fmt.Errorf("run: %w", err)
	}
	err = s.run(ctx)
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		s.interrupted, err = true, nil
	}
	sum := s.summary(time.Since(start))
	if e := s.close(); err == nil {
		err = e
	}
	if err != nil {
		return sum, fmt.Errorf("run %s: %w", s.id, err)
	}
	return sum, nil
}

// The exit codes of a program that runs calls.
const (
	exitOK          = 0
	exitFailed      = 1
	exitBadInput    = 2
	exitInterrupted = 130
)

// ExitCode is what Run came to, for scripts: 0 when all calls succeeded, 1 when
// some failed or the run broke off, 2 for bad input, 130 when interrupted.
func ExitCode(sum *report.Summary, err error) int {
	for _, bad := range []error{callfile.ErrInput, journal.ErrChanged, journal.ErrNoRun, journal.ErrExists, errNotResumable} {
		if errors.Is(err, bad) {
			return exitBadInput
		}
	}
	switch {
	case err != nil:
		return exitFailed
	case sum.Interrupted:
		return exitInterrupted
	case sum.Failed > 0 || sum.Open > 0:
		return exitFailed
	}
	return exitOK
}
