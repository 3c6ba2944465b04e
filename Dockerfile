# Copyright The LeaderWorkerSet Operator Authors
# SPDX-License-Identifier: Apache-2.0

# The compiler runs on the builder's own architecture and cross-compiles, so that images for others need no emulation.
FROM --platform=${BUILDPLATFORM:-linux/amd64} golang:1.26 AS builder
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=unknown

WORKDIR /src

# Dependencies first: this layer is reused until they change.
COPY go.mod go.sum ./
RUN go mod download

COPY main.go ./
COPY api/ api/
COPY internal/ internal/
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o manager .

FROM gcr.io/distroless/static:nonroot
WORKDIR /
COPY --from=builder /src/manager /manager
USER 65532:65532
ENTRYPOINT ["/manager"]
