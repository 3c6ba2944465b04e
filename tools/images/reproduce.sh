#!/usr/bin/env bash
# Copyright The LeaderWorkerSet Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Builds images in a copy of the repository, and fails unless they equal those in bin/images byte for byte. The
# arguments are names of images.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard |
	while IFS= read -r -d '' file; do if [[ -e $file ]]; then printf '%s\0' "$file"; fi; done |
	tar --null --files-from=- -cf - | tar -xf - -C "$copy"

make --silent -C "$copy" "${@/%/-image}"

status=0
for image in "$@"; do
	cmp "bin/images/$image.tar" "$copy/bin/images/$image.tar" || status=1
done
exit $status
