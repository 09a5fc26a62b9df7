# Images of Callfleet's programs: docker build --target worker .
# Targets: worker (the default), producer, stepfunctions, sampleapi, lambda.
# Without a registry: deploy/docker/prebuilt.Dockerfile. More: docs/containers.md.
#
# There is no "syntax" line: it would fetch a frontend from a registry, and
# nothing here needs a newer one than Docker's own.

ARG GO_IMAGE=golang:1.26.8-alpine@sha256:ce864e7223ac17b1775e6fd0b4c0db580c2eb50e7953a427916379e4b92a1628

FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
ENV CGO_ENABLED=0 GOTOOLCHAIN=local
WORKDIR /src
# A layer of its own, so that a change of the code fetches no module again.
RUN --mount=type=bind,source=go.mod,target=go.mod \
    --mount=type=bind,source=go.sum,target=go.sum \
    --mount=type=cache,target=/go/pkg/mod \
    go mod download
ARG TARGETOS TARGETARCH
ARG VERSION=devel
RUN --mount=type=bind,target=. \
    --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
      -ldflags="-s -w -X callfleet/internal/app/version.stamp=$VERSION" -o /out/ ./cmd/...

# What every image has: certificates to verify APIs with, a user without a name
# or rights, and a directory that this user may write to (a volume put there
# takes its owner). No shell, no libc, no package manager.
FROM scratch AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
USER 65532:65532
WORKDIR /data
ARG VERSION=devel
ARG REVISION=unknown
LABEL org.opencontainers.image.vendor="Callfleet" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

FROM base AS producer
LABEL org.opencontainers.image.title="callfleet-producer" \
      org.opencontainers.image.description="Publishes templated API calls and collects what came of them"
COPY --from=build /out/producer /producer
ENTRYPOINT ["/producer"]

FROM base AS stepfunctions
LABEL org.opencontainers.image.title="callfleet-stepfunctions" \
      org.opencontainers.image.description="Step Functions-compatible server on JetStream"
COPY --from=build /out/stepfunctions /stepfunctions
ENV CALLFLEET_STEPFUNCTIONS_LISTEN=0.0.0.0:8083 CALLFLEET_DATA=/data CALLFLEET_LOG_FORMAT=json
EXPOSE 8083
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=1s CMD ["/stepfunctions", "--health-check"]
ENTRYPOINT ["/stepfunctions"]

FROM base AS sampleapi
LABEL org.opencontainers.image.title="callfleet-sampleapi" \
      org.opencontainers.image.description="HTTP API to try calls on"
COPY --from=build /out/sampleapi /sampleapi
ENV CALLFLEET_SAMPLE_LISTEN=0.0.0.0:8089 CALLFLEET_LOG_FORMAT=json
EXPOSE 8089
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --start-interval=1s CMD ["/sampleapi", "--health-check"]
ENTRYPOINT ["/sampleapi"]

# Lambda's service calls it and looks after it: no port, no health check.
FROM base AS lambda
LABEL org.opencontainers.image.title="callfleet-lambda" \
      org.opencontainers.image.description="The call path as an AWS Lambda function"
COPY --from=build /out/lambda /lambda
ENTRYPOINT ["/lambda"]

# The last stage is what "docker build ." makes.
FROM base AS worker
LABEL org.opencontainers.image.title="callfleet-worker" \
      org.opencontainers.image.description="Makes the calls of the fleet"
COPY --from=build /out/worker /worker
ENV CALLFLEET_WORKER_LISTEN=0.0.0.0:8084 CALLFLEET_LOG_FORMAT=json
EXPOSE 8084
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --start-interval=1s CMD ["/worker", "--health-check"]
ENTRYPOINT ["/worker"]
