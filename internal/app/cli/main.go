// Package cli wires cmd/producer: it joins the servers that run on this
// machine, or embeds them, and carries out one command.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/local"
	"callfleet/internal/app/program"
	"callfleet/internal/config"
)

// Streams are the program's standard streams. Results go to Out, all else to
// Err.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// Process are the streams of this process.
func Process() Streams { return Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr} }

// machine is where the servers of this machine are looked for, and where an
// embedding command serves the sample API.
type machine struct{ queue, stepFunctions, samples string }

// cli is one invocation.
type cli struct {
	cfg *config.Producer
	rt  *program.Runtime
	std Streams
	machine

	embedded bool // the fleet runs in this process; set before the command's work begins
}

// Main is cmd/producer: it returns the exit code.
func Main(ctx context.Context, in config.Input, std Streams) int {
	return run(ctx, in, std, machine{backend.DefaultQueue, backend.DefaultStepFunctions, local.SampleAddress})
}

func run(ctx context.Context, in config.Input, std Streams, at machine) int {
	cfg, err := config.ParseProducer(in)
	if err != nil {
		return program.Usage(err, std.Err)
	}
	if cfg.Command == "version" {
		fmt.Fprintln(std.Out, in.Version)
		return program.ExitOK
	}
	rt, err := program.Start(ctx, program.Options{Name: "producer", Log: cfg.Log, Getenv: in.Getenv, Stderr: std.Err})
	if err != nil {
		return program.Usage(err, std.Err)
	}
	defer rt.Close()
	program.CollectGarbage(program.SaveTime)
	c := &cli{cfg: cfg, rt: rt, std: std, machine: at}
	code, err := c.commands()[cfg.Command](ctx)
	if err != nil {
		fmt.Fprintln(std.Err, "producer:", err)
		code = max(code, program.ExitFailed)
	}
	return code
}

// commands carry out one command each and return the exit code; with an error
// it is at least 1.
func (c *cli) commands() map[string]func(context.Context) (int, error) {
	return map[string]func(context.Context) (int, error){
		"run":               c.run,
		"call":              c.call,
		"template put":      c.templatePut,
		"template ls":       c.templateList,
		"template get":      c.templateGet,
		"template history":  c.templateHistory,
		"template diff":     c.templateDiff,
		"template rollback": c.templateRollback,
		"template rm":       c.templateRemove,
		"template render":   c.templateRender,
		"execution ls":      c.executionList,
		"execution show":    c.executionShow,
		"execution stop":    c.executionStop,
		"flow ls":           c.flowList,
		"flow set":          c.flowSet,
		"flow pause":        c.flowPause,
		"flow resume":       c.flowResume,
		"result get":        c.resultGet,
		"setup":             c.setup,
		"doctor":            c.doctor,
		"lint":              c.lint,
	}
}
