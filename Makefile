GO ?= go
STATICCHECK ?= $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
# Enough of each fuzz target to catch a crash early; raise it to hunt. A count,
# for with a time the fuzzer can fail on its own deadline.
FUZZTIME ?= 20000x

.PHONY: help build nats-server containers deploy-test test check unit fuzz bench chaos limits batch on-aws slow-api test-jaeger conformance awscli quickstart clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

build: ## build the programs into bin/, stamped with VERSION if it is set
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags="-s -w $(if $(VERSION),-X callfleet/internal/app/version.stamp=$(VERSION))" -o bin/ ./cmd/...

nats-server: ## build the broker of docker-compose.yml into bin/, for machines without a registry
	cd deploy/docker/check && CGO_ENABLED=0 $(GO) build -trimpath -ldflags="-s -w" -o ../../../bin/nats-server github.com/nats-io/nats-server/v2

containers: build nats-server ## Dockerfiles and docker-compose.yml, checked and tried out without Docker
	cd deploy/docker/check && $(GO) mod tidy -diff && $(GO) vet ./... && $(STATICCHECK) ./... && $(GO) test -count=1 -shuffle=on -timeout 10m ./...

deploy-test: ## deploy/cdk: assertions on the template, cdk-nag, cfn-lint, and a fleet on what it describes
	deploy/cdk/test.sh

test: check unit ## everything a change must pass: format, vet, staticcheck, tests with -race and -shuffle, and the search for secrets

check: ## format, modules, vet, staticcheck
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt needed:"; echo "$$out"; exit 1; fi
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(STATICCHECK) ./...

# More tests at a time than processors: most wait, for leases, outages, emulators.
# What all of them made the product show is then searched for their secrets.
unit: ## tests with -race and -shuffle, and the search of all they show for secrets
	$(GO) run ./scripts/secretscan $(GO) test -race -shuffle=on -parallel 6 -timeout 10m ./...

fuzz: ## every fuzz target for FUZZTIME each
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; done

bench: ## hand-written loop, direct path and workflow path in one run; SQS path and bare SDK loop in another
	$(GO) test -run '^$$' -bench 'Fleet' -benchtime 50000x -timeout 15m ./internal/app
	$(GO) test -run '^$$' -bench 'SQS' -benchtime 5x -timeout 15m ./internal/queue/sqsqueue

quickstart: build ## the 1,000 calls of examples/quickstart: run, resumed, interrupted, and counted
	$(GO) run ./scripts/quickstart

chaos: build ## kill -9 of worker, stepfunctions and producer under 20,000 calls; counts what was lost
	$(GO) run ./scripts/chaos

limits: build ## four workers on one limited key, another key beside it, and kill -9 of a worker that holds a share
	$(GO) run ./scripts/limits

batch: build ## the same calls one by one and in batches: time and state transitions; kill -9 of a worker in mid-batch
	$(GO) run ./scripts/batch

on-aws: build ## kill -9 of a worker under calls over emulators of SQS, DynamoDB and Step Functions; counts what was lost
	$(GO) run ./scripts/onaws

test-jaeger: build ## traces of every kind of call in a real Jaeger, and the searches of docs/tracing.md
	$(GO) run ./scripts/jaeger

slow-api: build ## 10,000 calls at once against an API that answers after 20 s
	$(GO) run ./scripts/slowapi

awscli: build ## the AWS CLI against our Step Functions server (needs aws on PATH)
	scripts/awscli.sh

conformance: build ## AWS's recorded answers, run against our server (CONFORMANCE=directory of the runner)
	python3 .ci/conformance.py --runner "$(CONFORMANCE)" --score .ci/conformance.score

clean: ## remove build output and the data directory
	rm -rf bin .callfleet results.jsonl
