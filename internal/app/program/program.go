// Package program is what the programs share: how they read their
// settings, log, trace, and end.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"syscall"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/version"
	"callfleet/internal/config"
	"callfleet/internal/ecs"
	"callfleet/internal/lifecycle"
	"callfleet/internal/telemetry"
)

// Exit codes, besides config.ExitUsage.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitInterrupted = 130 // by a signal, before the work was done
)

// Input is the command line and environment of this process.
func Input() config.Input {
	return config.Process(version.Running(), config.Schemes{
		Queue: backend.QueueSchemes, StepFunctions: backend.StepFunctionsSchemes, Templates: backend.TemplateSchemes, Blobs: backend.BlobSchemes,
	})
}

// Usage tells what was wrong with the settings and returns the exit code.
func Usage(err error, stderr io.Writer) int {
	if errors.Is(err, config.ErrHelp) {
		return ExitOK
	}
	fmt.Fprintln(stderr, err)
	var usage *config.UsageError
	if errors.As(err, &usage) {
		return config.ExitUsage
	}
	return ExitFailed
}

// Options are what Start needs.
type Options struct {
	Name   string // of the program
	Log    config.Log
	Getenv func(string) string
	Stderr io.Writer
}

// Runtime is what a program has before it opens anything.
type Runtime struct {
	Name      string
	Logger    *slog.Logger
	Telemetry *telemetry.Telemetry
	Task      *ecs.Environment // nil outside ECS
	Getenv    func(string) string
}

// Start sets up logs and telemetry; every field is required. On ECS it asks first which task this is,
// for a few seconds at most.
func Start(ctx context.Context, o Options) (*Runtime, error) {
	logger := telemetry.NewLogger(o.Stderr, o.Log.Level, o.Log.Format)
	slog.SetDefault(logger)
	r := &Runtime{Name: o.Name, Logger: logger, Task: ecs.FromEnv(o.Getenv), Getenv: o.Getenv}
	where := telemetry.Options{Service: "callfleet-" + o.Name, Version: version.Running(), Getenv: o.Getenv, Logger: logger}
	if r.Task != nil {
		where.Attributes = describe(ctx, r.Task, logger)
	}
	var err error
	if r.Telemetry, err = telemetry.Start(ctx, where); err != nil {
		return nil, err
	}
	return r, nil
}

// describe returns the task's resource attributes. A task that cannot be
// described does its work all the same.
func describe(ctx context.Context, task *ecs.Environment, logger *slog.Logger) map[string]string {
	m, err := task.Metadata(ctx)
	if err != nil {
		logger.Warn("telemetry will not tell all about this ECS task", "error", err)
	}
	logger.Info("running on ECS", "task", m.TaskID(), "cluster", m.Cluster, "service", m.Service, "family", m.Family,
		"revision", m.Revision, "zone", m.AvailabilityZone, "cpu", m.Limits.CPU, "memory_mib", m.Limits.Memory)
	return m.Attributes()
}

// lastExport bounds the wait for a collector at the end.
const lastExport = 2 * time.Second

// Close sends what telemetry still holds.
func (r *Runtime) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), lastExport)
	defer cancel()
	if err := r.Telemetry.Shutdown(ctx); err != nil {
		r.Logger.Warn("some telemetry was not sent", "error", err)
	}
}

// NewGroup makes the group of the program's services, which SIGINT and SIGTERM
// stop.
func (r *Runtime) NewGroup(drain time.Duration) (group *lifecycle.Group, stop func()) {
	signals, stop := lifecycle.Notify()
	return lifecycle.NewGroup(lifecycle.Options{Drain: drain, Signals: signals, Logger: r.Logger}), stop
}

// Exit logs what ended the program and returns the exit code.
func (r *Runtime) Exit(err error) int {
	if err == nil {
		return ExitOK
	}
	r.Logger.Error("stopped by an error", "error", err)
	return ExitFailed
}

// Listen makes a server whose address is bound already, and its service. When
// the address is taken and may be another, it takes a free port of its host.
func Listen(ctx context.Context, o lifecycle.ServerOptions, anyPort bool) (*lifecycle.Server, lifecycle.Service, error) {
	server, err := lifecycle.NewServer(o)
	if err != nil {
		return nil, lifecycle.Service{}, err
	}
	err = server.Listen(ctx)
	if errors.Is(err, syscall.EADDRINUSE) && anyPort {
		host, _, _ := net.SplitHostPort(o.Addr)
		o.Addr = net.JoinHostPort(host, "0")
		return Listen(ctx, o, false)
	}
	if err != nil {
		return nil, lifecycle.Service{}, err
	}
	service := server.Service()
	service.Start = nil // it listens already
	return server, service, nil
}

// CollectGarbage sets how much a program's heap grows before it is collected,
// in percent, unless GOGC says so: little for one that holds very many calls,
// much for one whose heap is small beside what a machine has.
func CollectGarbage(percent int) {
	const standard = 100
	if was := debug.SetGCPercent(percent); was != standard {
		debug.SetGCPercent(was)
	}
}

// The percentages of CollectGarbage.
const (
	SaveTime   = 400
	SaveMemory = 50
)
