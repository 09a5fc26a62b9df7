package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"callfleet/internal/evidence"
	"callfleet/internal/secret/secrettest"
)

var update = flag.Bool("update", false, "write the golden files")

// input is a command line with variables as "NAME=value", in a build with
// every backend.
func input(args string, env ...string) Input {
	vars := make(map[string]string)
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		vars[name] = value
	}
	return Input{
		Args: strings.Fields(args), Getenv: func(name string) string { return vars[name] }, Stdout: io.Discard, Version: "1.2.3",
		Schemes: Schemes{
			Queue: []string{"nats", "sqs"}, StepFunctions: []string{"http", "https", "aws"}, Templates: []string{"nats", "dynamodb", "file"}, Blobs: []string{"nats", "s3", "file"},
		},
	}
}

// parse is the program's parse function without its result.
func parse(program string, in Input) error {
	var err error
	switch program {
	case "producer":
		_, err = ParseProducer(in)
	case "worker":
		_, err = ParseWorker(in)
	case "stepfunctions":
		_, err = ParseStepFunctions(in)
	case "sampleapi":
		_, err = ParseSampleAPI(in)
	default:
		err = fmt.Errorf("no program %s", program)
	}
	return err
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"producer", "producer run", "producer call", "producer template put", "producer template render",
		"producer template history", "producer template diff", "producer template rollback", "producer template rm",
		"producer execution ls", "producer execution stop", "producer flow", "producer flow set",
		"producer flow pause", "producer result get", "producer lint", "worker", "stepfunctions", "sampleapi",
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			program, args, _ := strings.Cut(command, " ")
			in := input(args + " --help")
			var out bytes.Buffer
			in.Stdout = &out
			if err := parse(program, in); !errors.Is(err, ErrHelp) {
				t.Fatalf("error = %v, want ErrHelp", err)
			}
			golden := filepath.Join("testdata", "help", strings.ReplaceAll(command, " ", "-")+".txt")
			if *update {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("help differs from %s (go test -update writes it):\n%s", golden, out.String())
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"worker", "stepfunctions"} {
		in := input("--version")
		var out bytes.Buffer
		in.Stdout = &out
		if err := parse(program, in); !errors.Is(err, ErrHelp) || out.String() != "1.2.3\n" {
			t.Errorf("%s --version = %v, %q", program, err, out.String())
		}
	}
	if c, err := ParseProducer(input("version")); err != nil || c.Command != "version" {
		t.Errorf("producer version = %+v, %v", c, err)
	}
}

func TestFlagWinsOverVariableOverDefault(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		in   Input
		want int
	}{
		"default":             {input(""), 256},
		"variable":            {input("", "CALLFLEET_SLOTS=8"), 8},
		"empty variable":      {input("", "CALLFLEET_SLOTS="), 256},
		"flag":                {input("--slots 9", "CALLFLEET_SLOTS=8"), 9},
		"flag is the default": {input("--slots 256", "CALLFLEET_SLOTS=8"), 256},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := ParseWorker(row.in)
			if err != nil {
				t.Fatal(err)
			}
			if c.Slots != row.want {
				t.Errorf("slots = %d, want %d", c.Slots, row.want)
			}
		})
	}
}

func TestWorkerDefaults(t *testing.T) {
	t.Parallel()
	c, err := ParseWorker(input(""))
	if err != nil {
		t.Fatal(err)
	}
	if !c.Has(RoleStart) || !c.Has(RoleCall) || c.MaxBacklog != 2000 || c.Listen != "127.0.0.1:8084" {
		t.Errorf("worker = %+v", c)
	}
	if c.Queue.Secret() != DefaultQueue || c.StepFunctions.Secret() != DefaultStepFunctions || !c.Templates.IsZero() {
		t.Errorf("backends = %+v", c.Backends)
	}
	want := Clocks{30 * time.Second, 20 * time.Second, time.Minute, 90 * time.Second, 15 * time.Minute, 25 * time.Second}
	if c.Clocks != want {
		t.Errorf("clocks = %+v, want %+v", c.Clocks, want)
	}
	if c.Log.Level != slog.LevelInfo || c.Log.Format != "text" {
		t.Errorf("log = %+v", c.Log)
	}
}

func TestProducerCommands(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"run calls.jsonl":                       "run",
		"run - --direct --rate 2.5":             "run",
		"run - --batch 1000":                    "run",
		"call a GET":                            "call",
		"template put dir":                      "template put",
		"template ls":                           "template ls",
		"template get a GET":                    "template get",
		"template get a GET --version 3":        "template get",
		"template history a":                    "template history",
		"template history a GET --json":         "template history",
		"template diff a GET":                   "template diff",
		"template diff a GET 1 2":               "template diff",
		"template rollback a GET 1 -m why":      "template rollback",
		"template rm a GET":                     "template rm",
		"template rm a GET --purge":             "template rm",
		"template render a GET -p x=1":          "template render",
		"execution ls --status failed":          "execution ls",
		"execution show run-1":                  "execution show",
		"execution stop run-1 --reason mistake": "execution stop",
		"result get run-1 -o file":              "result get",
		"lint a.asl.json b.json":                "lint",
		"version":                               "version",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			c, err := ParseProducer(input(args))
			if err != nil {
				t.Fatal(err)
			}
			if c.Command != want {
				t.Errorf("command = %q, want %q", c.Command, want)
			}
		})
	}
}

func TestProducerRunDefaultsEmbed(t *testing.T) {
	t.Parallel()
	c, err := ParseProducer(input("run calls.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if !c.Queue.IsZero() || !c.StepFunctions.IsZero() || c.Data != ".callfleet" || c.Durability != "process" {
		t.Errorf("producer = %+v", c)
	}
	if c.Run.Results != "results.jsonl" || c.Run.Window != 10000 || c.Run.Format != "auto" || c.Run.Rate.PerSecond != 0 {
		t.Errorf("run = %+v", c.Run)
	}
}

func TestTargetHidesPassword(t *testing.T) {
	t.Parallel()
	password := secrettest.Value(t, "password of the broker")
	c, err := ParseWorker(input("--queue nats://me:" + password + "@a:4222,nats://me:" + password + "@b:4222"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	evidence.LoggerTo(t, slog.NewJSONHandler(&log, nil)).Info("connect", slog.Any("queue", c.Queue))
	for _, text := range []string{c.Queue.String(), fmt.Sprintf("%v %+v %#v", c.Queue, *c, c.Backends), log.String()} {
		if strings.Contains(text, password) {
			t.Errorf("password is shown: %s", text)
		}
	}
	if !strings.Contains(c.Queue.Secret(), password) {
		t.Error("Secret lacks the password")
	}
	err = parse("worker", input("--queue natz://me:"+password+"@a:4222"))
	evidence.Write(t, evidence.Output, fmt.Sprint(err))
	if err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("error = %v, want one without the password", err)
	}
}

func TestStepFunctionsSamplesFollowTheBroker(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]bool{
		"":                           true,
		"--samples off":              false,
		"--queue nats://broker:4222": false,
		"--queue nats://broker:4222 --samples on": true,
	} {
		c, err := ParseStepFunctions(input(args))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ServesSamples(); got != want {
			t.Errorf("stepfunctions %s: samples %v, want %v", args, got, want)
		}
	}
}

// An sqs:// queue says where the rest is, unless that is said otherwise.
func TestSQSMeansAWS(t *testing.T) {
	t.Parallel()
	w, err := ParseWorker(input("--queue sqs://calls"))
	if err != nil {
		t.Fatal(err)
	}
	if got := w.StepFunctions.String() + " " + w.Templates.String(); got != "aws: dynamodb://API_Template_Table" {
		t.Errorf("worker uses %s", got)
	}
	p, err := ParseProducer(input("run f", "CALLFLEET_QUEUE=sqs://calls?fifo=true", "CALLFLEET_STEPFUNCTIONS=http://127.0.0.1:8083"))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.StepFunctions.String() + " " + p.Templates.String(); got != "http://127.0.0.1:8083 dynamodb://API_Template_Table" {
		t.Errorf("producer uses %s", got)
	}
	s, err := ParseStepFunctions(input("--queue sqs://calls"))
	if err != nil {
		t.Fatal(err)
	}
	if !s.EmbedsBroker() || s.ServesSamples() || s.Templates.String() != "dynamodb://API_Template_Table" {
		t.Errorf("server on SQS: embeds its log %t, samples %t, templates %s", s.EmbedsBroker(), s.ServesSamples(), s.Templates)
	}
	if s, err = ParseStepFunctions(input("--queue nats://b:1")); err != nil || s.EmbedsBroker() {
		t.Errorf("server on NATS: %v, embeds its log", err)
	}
}
