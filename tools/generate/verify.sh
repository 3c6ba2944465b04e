#!/usr/bin/env bash
# Copyright The LeaderWorkerSet Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Checks that the generated files are up to date. The script copies the working tree without the generated files,
# generates them in the copy, and shows the differences. The working tree itself doesn't change.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

# Copy all files that git tracks or would add, except deleted ones.
git ls-files -z --cached --others --exclude-standard |
	while IFS= read -r -d '' file; do
		if [[ -e $file ]]; then printf '%s\0' "$file"; fi
	done |
	tar --null --files-from=- -cf - | tar -xf - -C "$copy"
ln -s "$PWD/bin" "$copy/bin"

rm -rf "$copy"/config/crd/bases "$copy"/config/rbac/role.yaml "$copy"/config/webhook/manifests.yaml \
	"$copy"/bundle "$copy"/bundle.Dockerfile "$copy"/docs/pictures/films
find "$copy/api" -name 'zz_generated.*' -delete
make --silent -C "$copy" generate bundle catalog >&2

status=0
for path in api config bundle bundle.Dockerfile catalog docs; do
	diff -ruN "$path" "$copy/$path" || status=1
done
exit $status
