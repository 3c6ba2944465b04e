#!/usr/bin/env bash
# Copyright The LeaderWorkerSet Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Makes targets again in a copy of the repository, and fails unless their files are the same byte for byte.
#
#	reproduce.sh <target> <file or directory…>
#
# Both builds share Go's build cache. With FRESH_CACHE=1, the copy compiles everything again, which takes long.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

targets=$1
shift

# Neither the length of the path nor the time of the files must matter.
copy=$(mktemp -d "${TMPDIR:-/tmp}/another-place-for-the-same-sources.XXXXXX")
trap 'chmod -R u+w "$copy"; rm -rf "$copy"' EXIT
mkdir "$copy/sources"
git ls-files -z --cached --others --exclude-standard |
	while IFS= read -r -d '' file; do if [[ -e $file ]]; then printf '%s\0' "$file"; fi; done |
	tar --null --files-from=- -cf - | tar -xmf - -C "$copy/sources"

if [[ -n ${FRESH_CACHE:-} ]]; then
	export GOCACHE=$copy/cache
fi
# shellcheck disable=SC2086 # A list of targets.
make --silent -C "$copy/sources" $targets

status=0
for path in "$@"; do
	diff -rq "$path" "$copy/sources/$path" || status=1
done
exit $status
