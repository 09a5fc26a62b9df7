package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	runtime "github.com/aws/aws-lambda-go/lambda"

	"callfleet/internal/app/version"
	"callfleet/internal/config"
	"callfleet/internal/httpcall"
	"callfleet/internal/telemetry"
	"callfleet/internal/template"
)

// ConfigInvalid is the error type of a function whose settings are wrong.
const ConfigInvalid = "Callfleet.ConfigInvalid"

// Input is the environment of this process.
func Input() config.Input {
	return config.Process(version.Running(), config.Schemes{})
}

// Main is cmd/lambda: it returns the exit code when it could not begin, and not
// at all when it could, for AWS Lambda ends its functions by a kill.
func Main(ctx context.Context, in config.Input, stderr io.Writer) int {
	f, err := open(ctx, in, stderr)
	if errors.Is(err, config.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		if api := in.Getenv("AWS_LAMBDA_RUNTIME_API"); api != "" {
			if err := refuse(ctx, api, err); err != nil {
				fmt.Fprintln(stderr, err)
			}
		}
		return config.ExitUsage
	}
	runtime.StartWithOptions(f, runtime.WithContext(ctx))
	return config.ExitUsage // is never reached
}

// open makes the function. It opens no connection: what can fail is a setting.
func open(ctx context.Context, in config.Input, stderr io.Writer) (*Function, error) {
	cfg, err := config.ParseLambda(in)
	if errors.Is(err, config.ErrHelp) {
		return nil, err
	}
	if cfg != nil { // before anything takes the default logger
		slog.SetDefault(telemetry.NewLogger(stderr, cfg.Log.Level, cfg.Log.Format))
	}
	t, telemetryErr := telemetry.New(ctx, telemetry.Options{Service: "callfleet-lambda", Version: in.Version, Getenv: in.Getenv})
	if err := errors.Join(err, telemetryErr); err != nil {
		return nil, err // both: a deployment is slow to try twice
	}
	t.SetGlobal()
	policy, err := cfg.Egress.Policy()
	if err != nil {
		return nil, err
	}
	claims, aws, err := openClaims(ctx, cfg.Claims)
	if err != nil {
		return nil, err
	}
	caller, err := httpcall.New(httpcall.Options{
		Timeout: cfg.HTTPTimeout, MaxBody: cfg.Claims.ClaimAbove, Claims: claims, MaxClaim: int64(cfg.Claims.BlobLimit), Egress: policy,
	})
	if err != nil {
		return nil, err
	}
	renderer := template.NewRenderer(template.Options{References: claims})
	return New(renderer, &connections{caller, aws}, Options{Flush: t.Flush}), nil
}

// refuse tells AWS Lambda why the function cannot begin (AWS Lambda Developer
// Guide, "Initialization error" of the runtime API): who invokes it gets this
// error instead of "Runtime.ExitError".
func refuse(ctx context.Context, api string, reason error) error {
	body, err := json.Marshal(map[string]any{"errorType": ConfigInvalid, "errorMessage": reason.Error(), "stackTrace": []string{}})
	if err != nil {
		return fmt.Errorf("report initialization error: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+api+"/2018-06-01/runtime/init/error", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("report initialization error: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Lambda-Runtime-Function-Error-Type", ConfigInvalid)
	// A transport of its own: the API of the runtime is behind no proxy.
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("report initialization error: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("report initialization error: the runtime API answers %s", res.Status)
	}
	return nil
}
