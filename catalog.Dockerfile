# Copyright The LeaderWorkerSet Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Serves the catalog. Its cache is made here, so that the pod starts at once and with a read-only file system.
FROM quay.io/operator-framework/opm:v1.73.0 AS builder
COPY catalog /configs
RUN ["/bin/opm", "serve", "/configs", "--cache-dir=/tmp/cache", "--cache-only"]

FROM quay.io/operator-framework/opm:v1.73.0
COPY --from=builder /configs /configs
COPY --from=builder /tmp/cache /tmp/cache
LABEL operators.operatorframework.io.index.configs.v1=/configs
ENTRYPOINT ["/bin/opm"]
CMD ["serve", "/configs", "--cache-dir=/tmp/cache"]
