package knob_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"callfleet/deploy/cdk/internal/knob"
)

func TestDefaults(t *testing.T) {
	t.Parallel()
	k := knob.Defaults()
	if k.Prefix != "calls" || k.Table != "API_Template_Table" || k.StateMachine != "call-api" || !k.KeepTable || k.WorkerMin != 0 || k.Backlog() != k.WorkerSlots {
		t.Errorf("%+v", k)
	}
}

// A list of numbers in cdk.json, text of -c: both are read.
func TestRead(t *testing.T) {
	t.Parallel()
	k, err := knob.Read(map[string]any{
		"workerMax": float64(40), "workerMin": "2", "keepTable": false, "vpcId": "vpc-0123456789abcdef0",
		"subnetIds": []any{"subnet-0123456789abcdef0", "subnet-0123456789abcdef1"}, "backlogPerWorker": "100",
		"@aws-cdk/core:flag": true, "aws:cdk:enable-path-metadata": true, "availability-zones:account=1:region=x": []any{"a"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if k.WorkerMax != 40 || k.WorkerMin != 2 || k.KeepTable || len(k.SubnetIDs) != 2 || k.Backlog() != 100 {
		t.Errorf("%+v", k)
	}
}

// Every mistake is reported at once, each by the knob's name.
func TestMistakes(t *testing.T) {
	t.Parallel()
	context := map[string]any{
		"prefix": "1calls", "table": "x", "stateMachine": "a b", "keepTable": "maybe", "blobDays": 0, "architecture": "mips",
		"workerImage": "UPPER", "producerImage": "no-tag", "collectorImage": "", "vpcId": "vpc", "subnetIds": "net-1", "natGateways": 7,
		"privateEndpoints": "true", "workerCpu": 300, "workerMemory": "many", "workerSlots": 0, "workerMin": 11, "workerSpotPercent": 101,
		"backlogPerWorker": -1, "idleMinutes": 0, "starterTasks": 0, "starterCpu": "512", "starterMemory": 1500, "startRate": -1,
		"reportRate": -1, "maxBacklog": 0, "egressAllow": "a;b", "egressDeny": "http://a?b", "lambdaZip": "/no/such.zip", "traces": "zipkin", "otlpEndpoint": "jaeger", "traceRatio": "2",
		"logRetentionDays": 31, "logLevel": "loud", "machineLog": "SOME", "alarmTopicArn": "topic", "alarmEmail": "nobody",
		"maxWaitSeconds": 1, "maxFailedPercent": 0, "workerMaximum": 3, "workermax": 3,
	}
	_, err := knob.Read(context)
	var wrong *knob.Error
	if !errors.As(err, &wrong) {
		t.Fatalf("%v, want an *Error", err)
	}
	for name := range context {
		if name == "starterCpu" { // that one is right
			continue
		}
		if !slices.ContainsFunc(wrong.Problems, func(p string) bool { return strings.HasPrefix(p, name+": ") }) {
			t.Errorf("no problem of %s in\n%v", name, err)
		}
	}
	if want := "workermax: no such knob: do you mean workerMax?"; !slices.Contains(wrong.Problems, want) {
		t.Errorf("no %q in\n%v", want, err)
	}
}

// Knobs that are right by themselves and wrong together.
func TestContradictions(t *testing.T) {
	t.Parallel()
	for name, context := range map[string]map[string]any{
		"subnetIds":        {"vpcId": "vpc-0123456789abcdef0"},
		"privateEndpoints": {"vpcId": "vpc-0123456789abcdef0", "subnetIds": "subnet-0123456789abcdef0", "privateEndpoints": true},
		"natGateways":      {"natGateways": 0},
		"workerMemory":     {"workerCpu": 4096, "workerMemory": 4096},
		"otlpEndpoint":     {"traces": "otlp"},
		"alarmEmail":       {"alarmEmail": "a@example.com", "alarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:pager"},
		"startRate":        {"startRate": 3, "starterTasks": 4},
	} {
		_, err := knob.Read(context)
		if err == nil || !strings.Contains(err.Error(), "\n  "+name+": ") {
			t.Errorf("%v: %v, want a problem of %s", context, err, name)
		}
	}
}

// The table in deploy/README.md is the knobs, word by word.
func TestReadmeListsTheKnobs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range knob.List() {
		if k.Help == "" || !strings.HasSuffix(k.Help, ".") {
			t.Errorf("%s: want a sentence, not %q", k.Name, k.Help)
		}
		value := k.Default
		if value != "" {
			value = "`" + value + "`"
		}
		if row := "| `" + k.Name + "` | " + value + " | " + k.Help + " |\n"; !strings.Contains(string(text), row) {
			t.Errorf("deploy/README.md has no row\n%s", row)
		}
	}
}
