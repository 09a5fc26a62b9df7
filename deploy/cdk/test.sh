#!/usr/bin/env bash
# Everything that a change of deploy/cdk must pass. It needs Go, Node.js and
# Python; no Docker, no network but for what is not installed yet, no account.
#   CFN_LINT  the linter, if it is not to be found on PATH
set -euo pipefail
cd "$(dirname "$0")"
step() { printf '\n== deploy/cdk: %s\n' "$1"; }

# The CDK warns about every release of Node.js but the newest.
JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=$(node -p 'process.versions.node.split(".")[0]')
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION

step "format, modules, vet, staticcheck"
out=$(gofmt -l ./*.go internal)
if [ -n "$out" ]; then echo "gofmt needed: $out"; exit 1; fi
go mod tidy -diff
go vet ./...
${STATICCHECK:-go run honnef.co/go/tools/cmd/staticcheck@v0.8.2} ./...

step "tests"
# Not from the cache: it does not know that the tests build the fleet.
go test -count=1 -shuffle=on -timeout 10m ./...

step "cfn-lint"
lint=${CFN_LINT:-cfn-lint}
if ! command -v "$lint" >/dev/null; then
  lint=.venv/bin/cfn-lint
  [ -x "$lint" ] || { python3 -m venv .venv && .venv/bin/pip -q install 'cfn-lint>=1.51,<2'; }
fi
"$lint" --version

rm -rf cdk.out && mkdir -p cdk.out
# What lambdaZip of the variants names: cmd/lambda as Lambda wants it.
(cd ../.. && CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build -trimpath -o deploy/cdk/cdk.out/bootstrap ./cmd/lambda)
(cd cdk.out && python3 -m zipfile -c lambda.zip bootstrap)
go build -o cdk.out/app .

templates=()
for variant in testdata/variants/*.json; do
  name=$(basename "$variant" .json)
  context=$(python3 -c 'import json,sys; c=json.load(open(sys.argv[1])); c.update({k: "cdk.out/"+c[k] for k in ["lambdaZip"] if k in c}); print(json.dumps(c))' "$variant")
  CDK_OUTDIR="cdk.out/$name" CDK_CONTEXT_JSON="$context" cdk.out/app
  templates+=("cdk.out/$name"/*.template.json)
done
"$lint" "${templates[@]}"
echo "${#templates[@]} templates are clean"
