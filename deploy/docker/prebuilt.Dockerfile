# The same images as /Dockerfile makes, from programs built on this machine:
#   make build
#   docker build -f deploy/docker/prebuilt.Dockerfile --target worker --build-context certs=/etc/ssl/certs .
# Every stage begins FROM scratch, so that no registry is asked for anything.
# The certificates come from the build context "certs", a directory that holds
# ca-certificates.crt: the machine's own, or a company's.

FROM scratch AS base
COPY --from=certs ca-certificates.crt /etc/ssl/certs/
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
COPY bin/producer /producer
ENTRYPOINT ["/producer"]

FROM base AS stepfunctions
LABEL org.opencontainers.image.title="callfleet-stepfunctions" \
      org.opencontainers.image.description="Step Functions-compatible server on JetStream"
COPY bin/stepfunctions /stepfunctions
ENV CALLFLEET_STEPFUNCTIONS_LISTEN=0.0.0.0:8083 CALLFLEET_DATA=/data CALLFLEET_LOG_FORMAT=json
EXPOSE 8083
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=1s CMD ["/stepfunctions", "--health-check"]
ENTRYPOINT ["/stepfunctions"]

FROM base AS sampleapi
LABEL org.opencontainers.image.title="callfleet-sampleapi" \
      org.opencontainers.image.description="HTTP API to try calls on"
COPY bin/sampleapi /sampleapi
ENV CALLFLEET_SAMPLE_LISTEN=0.0.0.0:8089 CALLFLEET_LOG_FORMAT=json
EXPOSE 8089
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --start-interval=1s CMD ["/sampleapi", "--health-check"]
ENTRYPOINT ["/sampleapi"]

FROM base AS lambda
LABEL org.opencontainers.image.title="callfleet-lambda" \
      org.opencontainers.image.description="The call path as an AWS Lambda function"
COPY bin/lambda /lambda
ENTRYPOINT ["/lambda"]

# The broker of docker-compose.yml, built from its Go module by "make nats-server".
FROM scratch AS nats
USER 65532:65532
WORKDIR /data
COPY bin/nats-server /nats-server
EXPOSE 4222 8222
ENTRYPOINT ["/nats-server"]

FROM base AS worker
LABEL org.opencontainers.image.title="callfleet-worker" \
      org.opencontainers.image.description="Makes the calls of the fleet"
COPY bin/worker /worker
ENV CALLFLEET_WORKER_LISTEN=0.0.0.0:8084 CALLFLEET_LOG_FORMAT=json
EXPOSE 8084
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --start-interval=1s CMD ["/worker", "--health-check"]
ENTRYPOINT ["/worker"]
