package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"callfleet/internal/app/program"
	"callfleet/internal/claim"
	"callfleet/internal/config"
	"callfleet/internal/httpcall"
	"callfleet/internal/lifecycle"
	"callfleet/internal/template"
)

// Main is cmd/stepfunctions: it returns the exit code.
func Main(ctx context.Context, in config.Input, stderr io.Writer) int {
	cfg, err := config.ParseStepFunctions(in)
	if err != nil {
		return program.Usage(err, stderr)
	}
	if cfg.HealthCheck {
		return program.HealthCheck(ctx, cfg.Listen, program.Ready, stderr)
	}
	rt, err := program.Start(ctx, program.Options{Name: "stepfunctions", Log: cfg.Log, Getenv: in.Getenv, Stderr: stderr})
	if err != nil {
		return program.Usage(err, stderr)
	}
	defer rt.Close()
	program.CollectGarbage(program.SaveTime)
	return rt.Exit(run(ctx, cfg, rt))
}

func run(ctx context.Context, cfg *config.StepFunctions, rt *program.Runtime) error {
	sample, caller, err := callPath(ctx, cfg, rt)
	if err != nil {
		return err
	}
	defer caller.Close()
	group, stop := rt.NewGroup(cfg.Drain)
	defer stop()
	stack, services, err := New(ctx, Options{
		Queue: cfg.Queue.Secret(), EventLog: cfg.EventLog.Secret(), DataDir: cfg.Data, Durability: cfg.Durability, BrokerListen: string(cfg.BrokerListen),
		Templates: cfg.Templates.Secret(), Listen: string(cfg.Listen),
		Sample: sample, SamplesAt: cfg.SamplesAt(),
		Renderer: template.NewRenderer(template.Options{References: noStore()}), Caller: caller,
		LambdaEndpoint: cfg.LambdaEndpoint.Secret(), SQSEndpoint: cfg.SQSEndpoint.Secret(), DynamoDBEndpoint: cfg.DynamoDBEndpoint.Secret(),
		Region: cfg.Region, AccountID: cfg.AccountID, HistoryAge: cfg.HistoryAge, HistoryCount: cfg.HistoryCount,
		Logger: rt.Logger, Health: group.HealthHandler(rt.Telemetry.MetricsHandler()),
	})
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w (--listen sets another address)", err)
	}
	if err != nil {
		return err
	}
	group.Add(services...)
	group.Add(lifecycle.Service{Name: "ready", Start: func(context.Context) error {
		rt.Logger.Info("step functions server is ready", "api", stack.URL(), "broker", redacted(cfg, stack), "sample_api", stack.SampleURL())
		return nil
	}})
	return group.Run(ctx)
}

// callPath makes what the Lambda endpoint calls with: it may call the sample API
// as well, this one or the one elsewhere.
func callPath(ctx context.Context, cfg *config.StepFunctions, rt *program.Runtime) (sample *Sample, caller *httpcall.Client, err error) {
	var own []string
	if cfg.SamplesAt() != "" {
		own = []string{cfg.SamplesAt()}
	}
	if cfg.ServesSamples() {
		if sample, err = ListenSample(ctx, string(cfg.SampleListen), rt.Logger); err != nil {
			return nil, nil, err
		}
		own = []string{sample.Addr()}
	}
	policy, err := cfg.Egress.Policy(own...)
	if err == nil {
		caller, err = httpcall.New(httpcall.Options{Claims: noStore(), Egress: policy})
	}
	if err != nil {
		sample.Close()
	}
	return sample, caller, err
}

// noStore is the claim check of the Lambda endpoint, which keeps no body: the
// server knows nothing of where the fleet does.
func noStore() *claim.Checker {
	return claim.New(claim.Options{
		None: "the function that the Step Functions server has built in keeps no bodies: hand the call to a worker, with .waitForTaskToken",
	})
}

// redacted is the broker's address without a password.
func redacted(cfg *config.StepFunctions, stack *Stack) string {
	switch {
	case cfg.EmbedsBroker():
		return stack.BrokerURL()
	case cfg.EventLog.IsZero():
		return cfg.Queue.String()
	}
	return cfg.EventLog.String()
}
