package fleet

import (
	"context"
	"fmt"
	"io"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/credential"
	"callfleet/internal/app/program"
	"callfleet/internal/config"
	"callfleet/internal/ecs"
	"callfleet/internal/lifecycle"
)

// defaultListen is where the first worker of a machine serves its health; the
// next ones take any port.
const defaultListen = "127.0.0.1:8084"

// machine is where a worker runs.
type machine struct {
	listen     config.Address // of its first worker
	protection ecs.ProtectionOptions
}

// Main is cmd/worker: it returns the exit code.
func Main(ctx context.Context, in config.Input, stderr io.Writer) int {
	return begin(ctx, in, stderr, machine{listen: defaultListen})
}

func begin(ctx context.Context, in config.Input, stderr io.Writer, on machine) int {
	cfg, err := config.ParseWorker(in)
	if err != nil {
		return program.Usage(err, stderr)
	}
	if cfg.HealthCheck {
		return program.HealthCheck(ctx, cfg.Listen, program.Live, stderr)
	}
	rt, err := program.Start(ctx, program.Options{Name: "worker", Log: cfg.Log, Getenv: in.Getenv, Stderr: stderr})
	if err != nil {
		return program.Usage(err, stderr)
	}
	defer rt.Close()
	if cfg.Slots < manySlots {
		program.CollectGarbage(program.SaveTime)
	} else {
		program.CollectGarbage(program.SaveMemory)
	}
	return rt.Exit(run(ctx, cfg, rt, on))
}

// manySlots is where memory, not the processor, bounds a worker: most of its
// calls wait. 10,000 of them fit into 300 MB.
const manySlots = 4096

// afterDrain is for settling what the drain has handed back. With it and
// telemetry's last export a worker at its defaults ends within the 30 s that
// ECS and Docker give it.
const afterDrain = 2 * time.Second

func run(ctx context.Context, cfg *config.Worker, rt *program.Runtime, on machine) error {
	policy, err := cfg.Egress.Policy()
	if err != nil {
		return err
	}
	authority, err := credential.New(cfg.Secrets, rt.Getenv)
	if err != nil {
		return err
	}
	member, err := New(func(ctx context.Context) (*backend.Backend, error) {
		return backend.Open(ctx, WorkerBackend(cfg, rt))
	}, Options{
		Start: cfg.Has(config.RoleStart), Call: cfg.Has(config.RoleCall),
		Slots: cfg.Slots, HTTPTimeout: cfg.HTTPTimeout, HeartbeatEvery: cfg.HeartbeatEvery, Drain: cfg.Drain,
		StartRate: cfg.StartRate.Fixed(), MaxBacklog: cfg.MaxBacklog, Waiting: cfg.Waiting, ClaimAbove: cfg.ClaimAbove, BlobLimit: cfg.BlobLimit,
		Egress: policy, Auth: authority, Task: rt.Task, Protection: on.protection, Logger: rt.Logger,
	})
	if err != nil {
		return err
	}
	group, stop := rt.NewGroup(cfg.Drain + afterDrain)
	defer stop()
	health, service, err := program.Listen(ctx, lifecycle.ServerOptions{
		Name: "health", Addr: string(cfg.Listen), Handler: group.HealthHandler(rt.Telemetry.MetricsHandler()), Logger: rt.Logger,
	}, cfg.Listen == on.listen)
	if err != nil {
		return fmt.Errorf("serve health (--listen sets the address): %w", err)
	}
	group.Add(service)
	group.Add(member.Services()...)
	group.Add(lifecycle.Service{Name: "ready", Start: func(context.Context) error {
		rt.Logger.Info("worker is ready", "roles", cfg.Roles, "slots", cfg.Slots, "health", health.URL())
		return nil
	}})
	return group.Run(ctx)
}

// WorkerBackend is what a worker opens: with nothing configured, the servers
// of cmd/stepfunctions on this machine.
func WorkerBackend(cfg *config.Worker, rt *program.Runtime) backend.Options {
	return backend.Options{
		Queue:         cfg.Queue.Secret(),
		StepFunctions: cfg.StepFunctions.Secret(),
		Templates:     cfg.Templates.Secret(),
		Blobs:         cfg.Blobs.Secret(),
		BlobExpiry:    cfg.BlobExpiry,
		ReportRate:    cfg.ReportRate.Fixed(),
		StateMachine:  cfg.StateMachine,
		BatchMachine:  cfg.BatchMachine,
		Lease:         cfg.Lease,
		Connections:   min(cfg.Slots, 1024),
		Name:          rt.Name,
		Logger:        rt.Logger,
	}
}
