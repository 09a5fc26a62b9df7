#!/usr/bin/env bash
# The AWS CLI as a client of our Step Functions server: every command a user
# types first, and the tutorial's definition with the three ends it can have.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
api=127.0.0.1:$(free_port) broker=127.0.0.1:$(free_port) sample=127.0.0.1:$(free_port)
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1 AWS_PAGER= AWS_EC2_METADATA_DISABLED=true
sfn() { aws --endpoint-url "http://$api" stepfunctions "$@"; }
fail() { echo "awscli: $*" >&2; tail -20 "$dir/server.log" >&2; exit 1; }
want() { [ "$2" = "$3" ] || fail "$1: got '$2', want '$3'"; echo "ok: $1: $2"; }

bin/stepfunctions --listen "$api" --broker-listen "$broker" --sample-listen "$sample" --data "$dir/data" >"$dir/server.log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true; rm -rf "$dir"' EXIT
for _ in $(seq 200); do curl -fs "http://$api/readyz" >/dev/null && break; sleep 0.1; done

export CALLFLEET_QUEUE=nats://$broker CALLFLEET_STEPFUNCTIONS=http://$api CALLFLEET_TEMPLATES=nats://$broker
cat >"$dir/status.GET.json" <<E2
{"name": "status", "method": "GET", "url": "http://$sample/status/{{ code|urlpath }}", "retry": {"maxAttempts": 1}}
E2
bin/producer template put "$dir/status.GET.json"

# await ARN: waits until the execution has ended and prints its status.
await() {
  for _ in $(seq 100); do
    s=$(sfn describe-execution --execution-arn "$1" --query status --output text)
    [ "$s" = RUNNING ] || break
    sleep 0.1
  done
  echo "$s"
}

role=arn:aws:iam::000000000000:role/any
arn=$(sfn create-state-machine --name tutorial --definition file://statemachine/tutorial.asl.json --role-arn $role --query stateMachineArn --output text)
run() { sfn start-execution --state-machine-arn "$arn" --name "$1" --input "{\"templateName\":\"status\",\"method\":\"GET\",\"params\":{\"code\":\"$2\"}}" --query executionArn --output text; }

e=$(run ok 200);      want "tutorial, API answers 200" "$(await "$e")" SUCCEEDED
e=$(run missing 404); want "tutorial, API answers 404" "$(await "$e")" FAILED
want "its cause" "$(sfn describe-execution --execution-arn "$e" --query cause --output text)" "API call failed"
e=$(run created 201); want "tutorial, API answers 201" "$(await "$e")" FAILED
want "its error" "$(sfn describe-execution --execution-arn "$e" --query error --output text)" States.NoChoiceMatched

want "first event" "$(sfn get-execution-history --execution-arn "$e" --query 'events[0].type' --output text)" ExecutionStarted
want "last event" "$(sfn get-execution-history --execution-arn "$e" --reverse-order --max-items 1 --query 'events[0].type' --output text | head -1)" ExecutionFailed
want "list-executions, failed ones" "$(sfn list-executions --state-machine-arn "$arn" --status-filter FAILED --query 'length(executions)' --output text)" 2
want "list-state-machines" "$(sfn list-state-machines --query "stateMachines[?name=='tutorial'].name" --output text)" tutorial

# A callback on a queue that no worker reads: the token is in the history.
cat >"$dir/callback.json" <<'E2'
{"StartAt": "Ask", "States": {"Ask": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
 "TimeoutSeconds": 60, "Parameters": {"QueueUrl": "approvals", "MessageBody": {"token.$": "$$.Task.Token"}}, "End": true}}}
E2
cb=$(sfn create-state-machine --name callback --definition "file://$dir/callback.json" --role-arn $role --query stateMachineArn --output text)
token() {
  for _ in $(seq 100); do
    t=$(sfn get-execution-history --execution-arn "$1" --query "events[?type=='TaskScheduled'].taskScheduledEventDetails.parameters | [0]" --output text)
    [ "$t" = None ] || break
    sleep 0.1
  done
  python3 -c 'import json, sys; print(json.loads(sys.argv[1])["MessageBody"]["token"])' "$t"
}
e=$(sfn start-execution --state-machine-arn "$cb" --query executionArn --output text)
t=$(token "$e")
sfn send-task-heartbeat --task-token "$t"
sfn send-task-success --task-token "$t" --task-output '{"approved":true}'
want "send-task-success" "$(await "$e")" SUCCEEDED
want "its output" "$(sfn describe-execution --execution-arn "$e" --query output --output text)" '{"approved":true}'
sfn send-task-success --task-token "$t" --task-output '{}' 2>"$dir/err" && fail "a settled token was taken again"
grep -q TaskTimedOut "$dir/err" || fail "settled token: $(cat "$dir/err")"
echo "ok: settled token: TaskTimedOut"

e=$(sfn start-execution --state-machine-arn "$cb" --query executionArn --output text)
sfn stop-execution --execution-arn "$e" --error Operator --cause "by hand" >/dev/null
want "stop-execution" "$(await "$e")" ABORTED
sfn delete-state-machine --state-machine-arn "$cb"
echo "awscli: all as on AWS"
