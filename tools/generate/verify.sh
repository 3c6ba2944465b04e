#!/usr/bin/env bash
# Copyright The LeaderWorkerSet Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Checks that the generated files are up to date: generates them in a copy of the working tree, without those that are
# there, and shows what differs. The working tree itself stays as it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

# Everything that git knows or would add. Listed files that were deleted are left out.
git ls-files -z --cached --others --exclude-standard |
	while IFS= read -r -d '' file; do
		if [[ -e $file ]]; then printf '%s\0' "$file"; fi
	done |
	tar --null --files-from=- -cf - | tar -xf - -C "$copy"
ln -s "$PWD/bin" "$copy/bin"

rm -rf "$copy"/config/crd/bases "$copy"/config/rbac/role.yaml "$copy"/config/webhook/manifests.yaml "$copy"/bundle "$copy"/bundle.Dockerfile
find "$copy/api" -name 'zz_generated.*' -delete
make --silent -C "$copy" generate bundle catalog >&2

status=0
for path in api config bundle bundle.Dockerfile catalog docs/upgrade-graph.md; do
	diff -ruN "$path" "$copy/$path" || status=1
done
exit $status
