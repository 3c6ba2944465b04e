// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// specOfOthers sets every field of the spec that other LeaderWorkerSet controllers have, and that means the same here.
const specOfOthers = `
replicas: 3
startupPolicy: LeaderCreated
groupIdentity: Ordinal
groupReplacementPolicy: PostTermination
podTerminationPolicy: Parallel
networkConfig: {subdomainPolicy: Shared}
rolloutStrategy:
  type: RollingUpdate
  rollingUpdateConfiguration: {partition: 1, maxUnavailable: 2, maxSurge: 1}
leaderWorkerTemplate:
  size: 5
  restartPolicy: RecreateGroupOnPodRestart
  maxGroupRestarts: 3
  subGroupPolicy: {subGroupPolicyType: LeaderExcluded, subGroupSize: 2}
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Retain}
  volumeClaimTemplates:
  - metadata: {name: models}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
  leaderTemplate: {spec: {containers: [{name: leader, image: registry.k8s.io/pause:3.10}]}}`

// waysToApply are the flags of kubectl apply that change how the API server handles unknown fields.
var waysToApply = map[string][]string{
	"client-side":                    nil,
	"client-side without validation": {"--validate=false"},
	"server-side":                    {"--server-side"},
	"server-side without validation": {"--server-side", "--validate=false"},
}

// TestManifestsOfOthers applies a manifest that sets every field. Each field is stored as it is written.
func TestManifestsOfOthers(t *testing.T) {
	t.Parallel()
	for way, flags := range waysToApply {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, webhooksOn)
			set := newSet(t, namespace, "set", specOfOthers)
			file := manifestFile(t, set)
			mustKubectl(t, slices.Concat([]string{"apply", "--filename", file}, flags)...)
			again := mustKubectl(t, slices.Concat([]string{"apply", "--filename", file}, flags)...)
			if !slices.Contains(flags, "--server-side") && !strings.Contains(again, "unchanged") {
				t.Errorf("applied again: %s; want it unchanged", again)
			}
			mustKubectl(t, "diff", "--filename", file) // It fails if there is a difference.
			stored := &unstructured.Unstructured{}
			stored.SetGroupVersionKind(set.GroupVersionKind())
			if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(set), stored); err != nil {
				t.Fatal(err)
			}
			for _, path := range missing("spec", set.Object["spec"], stored.Object["spec"]) {
				t.Errorf("%s isn't stored", path)
			}
		})
	}
}

// TestDefaultsOfOthersAreNotStored checks that sets get no field that their manifests don't have.
func TestDefaultsOfOthersAreNotStored(t *testing.T) {
	t.Parallel()
	for _, m := range []mode{webhooksOn, webhooksOff} {
		set := create(t, newNamespace(t, m), "set", `{}`)
		spec, _, _ := unstructured.NestedMap(set.Object, "spec")
		for _, name := range []string{"groupIdentity", "groupReplacementPolicy", "podTerminationPolicy", "scheduling"} {
			if value, ok := spec[name]; ok {
				t.Errorf("webhooks %s: %s is stored as %v", m, name, value)
			}
		}
	}
}

// TestRefusedManifestsOfOthers applies manifests that ask for what this operator doesn't do. With the webhooks, the
// refusal says why. Without them, the schema refuses the same values. It can't refuse gangs, which depend on the
// operator's configuration, and keeps what they are.
func TestRefusedManifestsOfOthers(t *testing.T) {
	t.Parallel()
	const identity, replacement = "spec.groupIdentity", "spec.groupReplacementPolicy"
	const termination, scheduling = "spec.podTerminationPolicy", "spec.scheduling"
	const noGangs = "the operator has no provider for gang scheduling"
	const wholeSet = "the set can't be scheduled as one unit"
	terminations := refusal{termination, `supported values: "Default", "Parallel"`}
	for spec, want := range map[string]map[mode]refusal{
		`{groupIdentity: Hash}`: {
			webhooksOn:  {identity, "must be Ordinal: groups are identified by index here"},
			webhooksOff: {identity, `supported values: "Ordinal"`},
		},
		`{groupIdentity: Random}`: {
			webhooksOn:  {identity, "must be Ordinal: groups are identified by index here"},
			webhooksOff: {identity, `supported values: "Ordinal"`},
		},
		`{groupReplacementPolicy: Immediate}`: {
			webhooksOn:  {replacement, "must be PostTermination"},
			webhooksOff: {replacement, `supported values: "PostTermination"`},
		},
		`{podTerminationPolicy: LeaderLast}`:                      {webhooksOn: terminations, webhooksOff: terminations},
		`{scheduling: {}}`:                                        {webhooksOn: {scheduling, noGangs}},
		`{scheduling: {replica: {schedulingPolicy: {gang: {}}}}}`: {webhooksOn: {scheduling, noGangs}},
		`{scheduling: {schedulingPolicy: {gang: {}}}}`:            {webhooksOn: {scheduling + ".schedulingPolicy", wholeSet}},
	} {
		for m, want := range want {
			namespace := newNamespace(t, m)
			set := newSet(t, namespace, "set", spec)
			want.check(t, suite.client.Create(t.Context(), set.DeepCopy(), dryRun))
			if m == webhooksOff {
				continue
			}
			file := manifestFile(t, set)
			for way, flags := range waysToApply {
				_, err := kubectl(t.Context(), slices.Concat([]string{"apply", "--filename", file}, flags)...)
				if err == nil || !strings.Contains(err.Error(), want.field+": ") || !strings.Contains(err.Error(), want.message) {
					t.Errorf("%s, %s: %v; want a refusal of %s: %s", spec, way, err, want.field, want.message)
				}
			}
		}
	}
}

// TestGangsAreKept stores a set that asks for gangs while no webhook is there. The API server keeps every word of it,
// so that the operator reports it, and another controller finds it.
func TestGangsAreKept(t *testing.T) {
	t.Parallel()
	set := newSet(t, newNamespace(t, webhooksOff), "set", `{scheduling: {replica: {schedulingPolicy: {gang: {}}}}}`)
	stored := set.DeepCopy()
	if err := suite.client.Create(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	if err := suite.client.Status().Patch(t.Context(), stored, statusOf(t, `{readyReplicas: 1}`)); err != nil {
		t.Fatal(err)
	}
	for _, path := range missing("spec", set.Object["spec"], stored.Object["spec"]) {
		t.Errorf("%s isn't stored", path)
	}
	if scheduling := read(t, set).Spec.Scheduling; scheduling == nil || scheduling.Replica.SchedulingPolicy.Gang == nil {
		t.Errorf("spec.scheduling: %+v; want gangs", scheduling)
	}
}

// manifestFile writes a set into a file.
func manifestFile(t *testing.T, set *unstructured.Unstructured) string {
	t.Helper()
	data, err := yaml.Marshal(set.Object)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "set.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// missing returns the paths of the values that were written and aren't stored.
func missing(path string, written, stored any) []string {
	var paths []string
	switch written := written.(type) {
	case map[string]any:
		fields, ok := stored.(map[string]any)
		if !ok {
			return []string{path}
		}
		for _, name := range slices.Sorted(maps.Keys(written)) {
			paths = append(paths, missing(path+"."+name, written[name], fields[name])...)
		}
	case []any:
		items, _ := stored.([]any)
		for i := range written {
			if i >= len(items) {
				return append(paths, path)
			}
			paths = append(paths, missing(path, written[i], items[i])...)
		}
	default:
		if written != stored {
			paths = append(paths, path)
		}
	}
	return paths
}
