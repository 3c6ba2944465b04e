#!/usr/bin/env bash
# Copyright The LeaderWorkerSet Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Checks that no upgrade changes a CRD in a way that invalidates existing objects. It compares each release with the
# next one, and the last release with the bundle. It needs bin/crdify.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

bundles=()
while IFS= read -r version; do
	bundles+=("releases/$version")
done < <(find releases -mindepth 1 -maxdepth 1 -type d | sed 's|^releases/||' | sort -t . -k 1,1n -k 2,2n -k 3,3n)
bundles+=(bundle)

status=0
for ((i = 1; i < ${#bundles[@]}; i++)); do
	for new in "${bundles[i]}"/manifests/*.yaml; do
		old=${bundles[i - 1]}/manifests/${new##*/}
		if ! grep -q '^kind: CustomResourceDefinition$' "$new" || [[ ! -e $old ]]; then continue; fi
		echo "$old -> $new"
		bin/crdify "file://$PWD/$old" "file://$PWD/$new" --config tools/olm/crdify.yaml || status=1
	done
done
exit $status
