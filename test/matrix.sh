#!/usr/bin/env bash
# Copyright The LeaderWorkerSet Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Runs the integration and the end-to-end tests on each of the given minor versions of Kubernetes, one after the other.
# A failure doesn't end the run. The last output is a table.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

table='| Kubernetes | tests | result | minutes |
| --- | --- | --- | --- |'
status=0
for version in "$@"; do
	for target in cluster test-integration test-e2e; do
		echo "==> make $target KUBERNETES=$version"
		begin=$SECONDS
		result=passed
		make "$target" "KUBERNETES=$version" || result=failed status=1
		table+=$'\n'"| $version | $target | $result | $(((SECONDS - begin + 30) / 60)) |"
	done
done
echo "$table"
exit $status
