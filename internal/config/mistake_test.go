package config

import (
	"errors"
	"strings"
	"testing"

	"callfleet/internal/config/target"
)

func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		program string
		in      Input
		want    []string // one line of the error each, without the program
	}{
		"no command":      {"producer", input(""), []string{`expected one of "run", "call", "template", "execution", "flow", ...`}},
		"unknown flag":    {"worker", input("--slot 3"), []string{"unknown flag --slot, did you mean \"--slots\"?"}},
		"no file":         {"producer", input("run"), []string{`expected "<file>"`}},
		"number":          {"worker", input("--slots many"), []string{`--slots (CALLFLEET_SLOTS): want a whole number, not "many"`}},
		"number, by env":  {"worker", input("", "CALLFLEET_SLOTS=1.5"), []string{`--slots (CALLFLEET_SLOTS): want a whole number, not "1.5"`}},
		"too small":       {"worker", input("--slots 0"), []string{"--slots (CALLFLEET_SLOTS): want 1 or more, not 0"}},
		"duration":        {"worker", input("--lease 90"), []string{`--lease (CALLFLEET_LEASE): want a duration such as 30s or 5m, not "90"`}},
		"negative drain":  {"worker", input("--drain=-1s"), []string{"--drain (CALLFLEET_DRAIN): want more than 0, not -1s"}},
		"rate":            {"worker", input("--start-rate=-1"), []string{"--start-rate (CALLFLEET_START_RATE): want auto or a number per second, 0 for no limit, not \"-1\""}},
		"not a number":    {"worker", input("--start-rate NaN"), []string{`--start-rate (CALLFLEET_START_RATE): want auto or a number per second, 0 for no limit, not "NaN"`}},
		"role":            {"worker", input("--roles call,rest"), []string{`--roles (CALLFLEET_ROLES): want start or call, not "rest"`}},
		"address":         {"worker", input("--listen 8084"), []string{`--listen (CALLFLEET_WORKER_LISTEN): want host:port, such as 127.0.0.1:8084 or :8084 for every interface, not "8084"`}},
		"port":            {"worker", input("--listen :99999"), []string{`--listen (CALLFLEET_WORKER_LISTEN): want a port between 0 (a free one) and 65535, not "99999"`}},
		"level":           {"worker", input("--log-level loud"), []string{`--log-level (CALLFLEET_LOG_LEVEL): want debug, info, warn or error, not "loud"`}},
		"log format":      {"worker", input("", "CALLFLEET_LOG_FORMAT=xml"), []string{`--log-format (CALLFLEET_LOG_FORMAT): want text or json, not "xml"`}},
		"no scheme":       {"worker", input("--queue broker"), []string{"--queue (CALLFLEET_QUEUE): want a URL, scheme first, such as nats://127.0.0.1:4222"}},
		"unknown scheme":  {"worker", input("--queue amqp://b"), []string{`--queue (CALLFLEET_QUEUE): unknown scheme "amqp": use nats://127.0.0.1:4222 or sqs://calls`}},
		"no host":         {"worker", input("--queue nats://"), []string{"--queue (CALLFLEET_QUEUE): want the form nats://127.0.0.1:4222, not nats:"}},
		"two schemes":     {"worker", input("--queue nats://a,tls://b"), []string{"--queue (CALLFLEET_QUEUE): want one scheme, not nats and tls"}},
		"aws with place":  {"worker", input("--stepfunctions aws://here"), []string{"--stepfunctions (CALLFLEET_STEPFUNCTIONS): want the form aws:, not aws://here"}},
		"no table":        {"worker", input("--templates dynamodb://"), []string{"--templates (CALLFLEET_TEMPLATES): want the form dynamodb://API_Template_Table, not dynamodb:"}},
		"clock order":     {"worker", input("--http-timeout 60s"), []string{"--http-timeout (CALLFLEET_HTTP_TIMEOUT): want less than --heartbeat-timeout (CALLFLEET_HEARTBEAT_TIMEOUT), which is 1m0s, not 1m0s"}},
		"lease order":     {"worker", input("--heartbeat-timeout 2m --lease 90s"), []string{"--heartbeat-timeout (CALLFLEET_HEARTBEAT_TIMEOUT): want less than --lease (CALLFLEET_LEASE), which is 1m30s, not 2m0s"}},
		"task order":      {"worker", input("--task-timeout 90s"), []string{"--lease (CALLFLEET_LEASE): want less than --task-timeout (CALLFLEET_TASK_TIMEOUT), which is 1m30s, not 1m30s"}},
		"rare heartbeats": {"worker", input("--heartbeat-every 31s"), []string{"--heartbeat-every (CALLFLEET_HEARTBEAT_EVERY): want at most half of --heartbeat-timeout (CALLFLEET_HEARTBEAT_TIMEOUT), which is 1m0s, so that one lost heartbeat is no lost task; not 31s"}},
		"aws with nats": {"worker", input("--stepfunctions aws: --state-machine arn:aws:states:::x"), []string{
			"--queue (CALLFLEET_QUEUE): want an sqs:// URL with --stepfunctions (CALLFLEET_STEPFUNCTIONS) aws:, because AWS Step Functions cannot publish to nats"}},
		"aws with files": {"producer", input("template ls --stepfunctions aws: --queue sqs://h --templates file://dir"), []string{
			"--templates (CALLFLEET_TEMPLATES): want a dynamodb:// URL with --stepfunctions (CALLFLEET_STEPFUNCTIONS) aws:, because AWS Step Functions cannot read templates from file"}},
		"sqs with files": {"worker", input("--queue sqs://calls --templates file://dir"), []string{
			"--templates (CALLFLEET_TEMPLATES): want a dynamodb:// URL with --stepfunctions (CALLFLEET_STEPFUNCTIONS) aws:, because AWS Step Functions cannot read templates from file"}},
		"sqs with a host": {"worker", input("--queue sqs://sqs.us-east-1.amazonaws.com/1/calls"), []string{
			"--queue (CALLFLEET_QUEUE): want the form sqs://calls, not sqs://sqs.us-east-1.amazonaws.com/1/calls"}},
		"sqs too long": {"producer", input("run f --queue sqs://a-prefix-of-many-letters"), []string{"--queue (CALLFLEET_QUEUE): want the form sqs://calls, not sqs://a-prefix-of-many-letters"}},
		"odd rate": {"worker", input("--start-rate fast", "CALLFLEET_REPORT_RATE=-1"), []string{
			`--start-rate (CALLFLEET_START_RATE): want auto or a number per second, 0 for no limit, not "fast"`,
			`--report-rate (CALLFLEET_REPORT_RATE): want auto or a number per second, 0 for no limit, not "-1"`}},
		"log on sqs": {"stepfunctions", input("--event-log sqs://calls"), []string{"--event-log (CALLFLEET_EVENT_LOG): unknown scheme \"sqs\": use nats://127.0.0.1:4222"}},
		"aws embedded": {"producer", input("run f --stepfunctions aws: --state-machine arn:x"), []string{
			"--queue (CALLFLEET_QUEUE): want an sqs:// URL with --stepfunctions (CALLFLEET_STEPFUNCTIONS) aws:, because AWS Step Functions cannot publish to an embedded broker"}},
		"embedded and not": {"producer", input("run f --embedded --queue nats://b:4222"), []string{
			"--queue (CALLFLEET_QUEUE): not with --embedded, which brings its own"}},
		"batch of none":   {"producer", input("run f --batch 0"), []string{"--batch (CALLFLEET_BATCH): want 1 to 1000, not 0"}},
		"batch too large": {"producer", input("run f", "CALLFLEET_BATCH=1001"), []string{"--batch (CALLFLEET_BATCH): want 1 to 1000, not 1001"}},
		"batch, direct":   {"producer", input("run f --batch 2 --direct"), []string{"--batch (CALLFLEET_BATCH): not with --direct, which has no executions to share"}},
		"batch, window":   {"producer", input("run f --batch 20 --window 10"), []string{"--batch (CALLFLEET_BATCH): want at most as many as --window, 10"}},
		"batch, expiry":   {"producer", input("run f --batch 100 --blob-expiry 1h"), []string{"--blob-expiry (CALLFLEET_BLOB_EXPIRY): want the 1h5m0s or more that a batch of 100 calls may take, not 1h0m0s: what is done of a batch is kept there"}},
		"batch machine":   {"worker", input("--batch-state-machine="), []string{"--batch-state-machine (CALLFLEET_BATCH_STATE_MACHINE): want a name or an ARN"}},
		"run id":          {"producer", input("run f --run a-b"), []string{`--run: want 1 to 40 letters, digits and _, not "a-b"`}},
		"format":          {"producer", input("run f --format xml"), []string{`--format: want auto, jsonl or csv, not "xml"`}},
		"republish":       {"producer", input("run f --republish"), []string{"--republish: only with --resume"}},
		"durability":      {"producer", input("run f --durability always"), []string{`--durability (CALLFLEET_DURABILITY): want process or power, not "always"`}},
		"method":          {"producer", input("call a get"), []string{"<method>: want an HTTP method in capitals, such as GET, not get"}},
		"status":          {"producer", input("execution ls --status odd"), []string{`--status: want running, succeeded, failed, timed_out or aborted, not "odd"`}},
		"open broker": {"stepfunctions", input("--broker-listen :4222"), []string{
			"--broker-listen (CALLFLEET_BROKER_LISTEN): want a loopback address, because the embedded broker knows no passwords; for other machines run a NATS server and set --queue (CALLFLEET_QUEUE)"}},
		"one port twice": {"stepfunctions", input("--sample-listen 127.0.0.1:8083"), []string{
			"--sample-listen (CALLFLEET_SAMPLE_LISTEN): port 8083 is that of --listen (CALLFLEET_STEPFUNCTIONS_LISTEN)"}},
		"account": {"stepfunctions", input("--account-id 12"), []string{`--account-id (CALLFLEET_ACCOUNT_ID): want 12 digits, not "12"`}},
		"claims": {"worker", input("--blobs http://x --claim-above 262144 --blob-limit 0 --blob-expiry 1ms"), []string{
			`--blobs (CALLFLEET_BLOBS): unknown scheme "http": use nats://127.0.0.1:4222 or s3://bucket or file://blobs`,
			"--claim-above (CALLFLEET_CLAIM_ABOVE): want 1 to 245760, what Step Functions takes with room for headers, not 262144",
			"--blob-limit (CALLFLEET_BLOB_LIMIT): want 1 or more, not 0",
			"--blob-expiry (CALLFLEET_BLOB_EXPIRY): want 1s or more, or 0s for the store's own, not 1ms"}},
		"region":   {"stepfunctions", input("--region moon"), []string{`--region (CALLFLEET_REGION): want a region such as us-east-1, not "moon"`}},
		"samples":  {"stepfunctions", input("--samples yes"), []string{`--samples (CALLFLEET_SAMPLES): want auto, on, off or http://host:port, not "yes"`}},
		"endpoint": {"stepfunctions", input("--lambda-endpoint ftp://x"), []string{`--lambda-endpoint (CALLFLEET_LAMBDA_ENDPOINT): unknown scheme "ftp": use http://127.0.0.1:9000 or https://lambda.internal`}},
		"all at once": {"worker", input("--slots x --listen y --http-timeout 2m", "CALLFLEET_LOG_LEVEL=z", "CALLFLEET_QUEUE=q", "CALLFLEET_MAX_BACKLOG=0"), []string{
			`--slots (CALLFLEET_SLOTS): want a whole number, not "x"`,
			`--listen (CALLFLEET_WORKER_LISTEN): want host:port, such as 127.0.0.1:8084 or :8084 for every interface, not "y"`,
			"--queue (CALLFLEET_QUEUE): want a URL, scheme first, such as nats://127.0.0.1:4222",
			`--log-level (CALLFLEET_LOG_LEVEL): want debug, info, warn or error, not "z"`,
			"--http-timeout (CALLFLEET_HTTP_TIMEOUT): want less than --heartbeat-timeout (CALLFLEET_HEARTBEAT_TIMEOUT), which is 1m0s, not 2m0s",
			"--max-backlog (CALLFLEET_MAX_BACKLOG): want 1 or more, not 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := parse(row.program, row.in)
			var usage *UsageError
			if !errors.As(err, &usage) {
				t.Fatalf("error = %v, want an *UsageError", err)
			}
			want := row.program + ": " + strings.Join(row.want, "\n"+row.program+": ") + "\nRun \"" + usage.Command + " --help\" for what can be set."
			if got := err.Error(); got != want {
				t.Errorf("error is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestUsageNamesTheCommandsHelp(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                       "producer",
		"nonsense":               "producer",
		"run":                    "producer run",
		"run x --format xml":     "producer run",
		"template put --unknown": "producer template put",
		"execution ls --limit 0": "producer execution ls",
	} {
		err := parse("producer", input(args))
		var usage *UsageError
		if !errors.As(err, &usage) || usage.Command != want {
			t.Errorf("producer %s: %v, want the help of %q", args, err, want)
		}
	}
}

func TestSchemeThatIsNotInThisBuild(t *testing.T) {
	t.Parallel()
	in := input("--queue sqs://calls")
	in.Schemes.Queue = []string{"nats"}
	err := parse("worker", in)
	if err == nil || !strings.Contains(err.Error(), "--queue (CALLFLEET_QUEUE): this program has no sqs backend: use nats://127.0.0.1:4222\n") {
		t.Errorf("error = %v", err)
	}
}

func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"nats://a:4222,nats://b", "aws:", "file://dir/x", "dynamodb://table", "sqs://u:p@h/1/x?y", "://", ",", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseTarget(text)
		if err != nil {
			return
		}
		target := v.(target.Target)
		if target.Secret() != text || target.IsZero() != (text == "") {
			t.Errorf("parseTarget(%q) = %#v", text, target)
		}
		p := &problems{}
		p.checkTarget("queue", target, queueForms, []string{"nats"})
	})
}
