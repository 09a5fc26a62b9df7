// Package sample runs the sample API as a program of its own, for fleets whose
// other parts run apart as well.
package sample

import (
	"context"
	"io"
	"net/http"
	"time"

	"callfleet/internal/app/program"
	"callfleet/internal/config"
	"callfleet/internal/lifecycle"
	"callfleet/internal/sampleapi"
)

// drain is the time for requests in flight when the program is told to stop.
const drain = 5 * time.Second

// Main is cmd/sampleapi: it returns the exit code.
func Main(ctx context.Context, in config.Input, stderr io.Writer) int {
	cfg, err := config.ParseSampleAPI(in)
	if err != nil {
		return program.Usage(err, stderr)
	}
	if cfg.HealthCheck {
		return program.HealthCheck(ctx, cfg.Listen, program.Ready, stderr)
	}
	rt, err := program.Start(ctx, program.Options{Name: "sampleapi", Log: cfg.Log, Getenv: in.Getenv, Stderr: stderr})
	if err != nil {
		return program.Usage(err, stderr)
	}
	defer rt.Close()
	return rt.Exit(run(ctx, cfg, rt))
}

func run(ctx context.Context, cfg *config.SampleAPI, rt *program.Runtime) error {
	group, stop := rt.NewGroup(drain)
	defer stop()
	mux := http.NewServeMux()
	mux.Handle("/", sampleapi.New())
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		mux.Handle("GET "+path, group.HealthHandler(rt.Telemetry.MetricsHandler()))
	}
	server, service, err := program.Listen(ctx, lifecycle.ServerOptions{Name: "sample api", Addr: string(cfg.Listen), Handler: mux, Logger: rt.Logger}, false)
	if err != nil {
		return err
	}
	group.Add(service, lifecycle.Service{Name: "ready", Start: func(context.Context) error {
		rt.Logger.Info("sample API is ready", "url", server.URL())
		return nil
	}})
	return group.Run(ctx)
}
