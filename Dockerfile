# syntax=docker/dockerfile:1

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src

COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download

# .git comes along: the Go tool stamps the version (genmesh version) from its tags and commits.
COPY . .
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags='-s -w' -o /genmesh .

# No shell, no package manager: the binary, the certificate authorities and the time zones.
FROM gcr.io/distroless/static-debian13:nonroot
COPY --from=build /genmesh /genmesh
COPY streams.json /etc/genmesh/streams.json

# Metrics and health for scrapers and probes, which asks nobody who they are: don't publish 8091. The console stays on the
# container's own loopback, where nobody reaches it, unless --console, TLS and an access file open it.
ENV GENMESH_STREAMS=/etc/genmesh/streams.json \
    GENMESH_METRICS=:8091

EXPOSE 8080 8091
ENTRYPOINT ["/genmesh"]

# No HEALTHCHECK: it would have to run a command in here, and there is none to ask over HTTP. Let
# the orchestrator or the load balancer ask :8091/healthz and :8091/readyz (ingress also answers
# them on :8080).
