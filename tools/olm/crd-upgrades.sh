#!/usr/bin/env bash
# Copyright The LeaderWorkerSet Operator Authors
# SPDX-License-Identifier: Apache-2.0

# Checks that no upgrade changes a CRD in a way that invalidates existing objects. It compares each release with the
# next one, and the last release with the bundle. It needs bin/crdify, bin/crdfit and bin/kustomize.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# The rules of 0.1.0 reject updates of sets that an older CRD admitted, and claims in other words. Its successor
# replaces these rules, and crdify takes any change of a rule for an error. So the upgrade from 0.1.0, which was never
# published, is compared without them. The list has each property with such rules, below the root of the schema.
#
# Since 0.2.0, crdfit spells out the bounds that the format int32 implies: Kubernetes before 1.36 doesn't check the
# format. Since 0.2.0, the status has a default, which only objects without a status get. Both are added to the CRD of
# 0.1.0 before the comparison.
exempt_release=releases/0.1.0
exempt_crd=leaderworkerset.x-k8s.io_leaderworkersets.yaml
template=/properties/spec/properties/leaderWorkerTemplate
exempt_properties=(
	''
	/properties/spec
	"$template"
	"$template/properties/leaderTemplate"
	"$template/properties/workerTemplate"
	"$template/properties/volumeClaimTemplates"
	"$template/properties/persistentVolumeClaimRetentionPolicy"
)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# without_exempt_rules FILE writes the CRD without the rules of the exempt properties, and with what 0.2.0 adds.
without_exempt_rules() {
	local dir=$scratch/build property
	rm -rf "$dir" && mkdir "$dir" && cp "$1" "$dir/crd.yaml" && bin/crdfit -below workerTemplate "$dir/crd.yaml"
	{
		echo 'resources: [crd.yaml]'
		echo 'patches:'
		echo '- target: {kind: CustomResourceDefinition}'
		echo '  patch: |-'
		for property in "${exempt_properties[@]}"; do
			property=/spec/versions/0/schema/openAPIV3Schema$property/x-kubernetes-validations
			# A property may lack rules, and only what exists can be removed.
			echo "    - {op: add, path: $property, value: []}"
			echo "    - {op: remove, path: $property}"
		done
		property=/spec/versions/0/schema/openAPIV3Schema/properties/status/default
		echo "    - {op: add, path: $property, value: {observedGeneration: -1}}"
	} >"$dir/kustomization.yaml"
	bin/kustomize build "$dir"
}

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
		from=$PWD/$old to=$PWD/$new
		if [[ ${bundles[i - 1]} == "$exempt_release" && ${new##*/} == "$exempt_crd" ]]; then
			from=$scratch/from.yaml to=$scratch/to.yaml
			without_exempt_rules "$old" >"$from"
			without_exempt_rules "$new" >"$to"
		fi
		bin/crdify "file://$from" "file://$to" --config tools/olm/crdify.yaml || status=1
	done
done
exit $status
