package config

import (
	"bytes"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"callfleet/internal/httpcall/egress"
)

const inLambda = "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001"

func TestLambdaSettings(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		in   Input
		want Lambda
	}{
		"defaults": {input("", inLambda), Lambda{30 * time.Second, Claims{ClaimAbove: 200 << 10, BlobLimit: 100_000_000}, Egress{Ports: egress.DefaultPorts(), Default: "public"}, Log{slog.LevelInfo, "json"}, "127.0.0.1:9001"}},
		"all set": {
			input("", inLambda, "CALLFLEET_HTTP_TIMEOUT=5s", "CALLFLEET_CLAIM_ABOVE=245760", "CALLFLEET_BLOB_LIMIT=1000", "CALLFLEET_BLOBS=s3://bodies/fleet", "CALLFLEET_LOG_LEVEL=debug", "CALLFLEET_LOG_FORMAT=text",
				"CALLFLEET_EGRESS_PORTS=443", "CALLFLEET_EGRESS_DEFAULT=none"),
			Lambda{5 * time.Second, Claims{Blobs: target(t, "s3://bodies/fleet"), ClaimAbove: 240 << 10, BlobLimit: 1000}, Egress{Ports: egress.Ports{{First: 443, Last: 443}}, Default: "none"}, Log{slog.LevelDebug, "text"}, "127.0.0.1:9001"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseLambda(row.in)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, row.want) {
				t.Errorf("settings = %+v, want %+v", *got, row.want)
			}
		})
	}
}

func target(t *testing.T, url string) Target {
	t.Helper()
	v, err := parseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	return v.(Target)
}

func TestLambdaMistakesAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := ParseLambda(input("serve", "CALLFLEET_HTTP_TIMEOUT=30", "CALLFLEET_BLOBS=nats://broker:4222", "CALLFLEET_CLAIM_ABOVE=6291456", "CALLFLEET_LOG_LEVEL=loud", "CALLFLEET_LOG_FORMAT=xml"))
	const want = `lambda: unexpected argument serve: settings are environment variables
lambda: CALLFLEET_HTTP_TIMEOUT: want a duration such as 30s or 5m, not "30"
lambda: CALLFLEET_BLOBS: want the form s3://bucket, the only store that a function has, not nats://broker:4222
lambda: CALLFLEET_CLAIM_ABOVE: want 1 to 245760, what Step Functions takes with room for headers, not 6291456
lambda: CALLFLEET_LOG_LEVEL: want debug, info, warn or error, not "loud"
lambda: CALLFLEET_LOG_FORMAT: want text or json, not "xml"
lambda: AWS_LAMBDA_RUNTIME_API: is not set: AWS Lambda sets it and starts this program (docs/lambda.md); it does nothing by itself
Run "lambda --help" for what can be set.`
	var usage *UsageError
	if !errors.As(err, &usage) || err.Error() != want {
		t.Errorf("error is\n%v\nwant\n%s", err, want)
	}
}

func TestLambdaZeroes(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"CALLFLEET_HTTP_TIMEOUT=0s": "CALLFLEET_HTTP_TIMEOUT: want more than 0, not 0s",
		"CALLFLEET_CLAIM_ABOVE=0":   "CALLFLEET_CLAIM_ABOVE: want 1 to 245760",
		"CALLFLEET_CLAIM_ABOVE=x":   `CALLFLEET_CLAIM_ABOVE: want a whole number, not "x"`,
		"CALLFLEET_BLOB_LIMIT=0":    "CALLFLEET_BLOB_LIMIT: want 1 or more, not 0",
		"CALLFLEET_BLOBS=s3:bucket": "CALLFLEET_BLOBS: want the form s3://bucket",
	} {
		if _, err := ParseLambda(input("", inLambda, setting)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", setting, err, want)
		}
	}
}

func TestLambdaHelp(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{"--help": "CALLFLEET_CLAIM_ABOVE", "--version": "1.2.3\n"} {
		in := input(args)
		var out bytes.Buffer
		in.Stdout = &out
		if _, err := ParseLambda(in); !errors.Is(err, ErrHelp) || !strings.Contains(out.String(), want) {
			t.Errorf("lambda %s: %v, %q", args, err, out.String())
		}
	}
}
