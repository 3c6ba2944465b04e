// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
)

// twoRoles is a DisaggregatedSet whose roles have what the verbs of a test say.
const twoRoles = `
apiVersion: disaggregatedset.x-k8s.io/v1
kind: DisaggregatedSet
metadata: {name: llama}
spec:
  roles:
  - name: prefill
    spec: {replicas: 2, leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: main, image: pause:1}]}}}}
  - name: decode
    spec: {replicas: 2, leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: main, image: pause:1}]}}}}
`

// newDisaggregated returns the set twoRoles with changes: JSON patches in YAML.
func newDisaggregated(t *testing.T, namespace, changes string) *unstructured.Unstructured {
	t.Helper()
	set := &unstructured.Unstructured{}
	if err := set.UnmarshalJSON(patched(t, twoRoles, changes)); err != nil {
		t.Fatal(err)
	}
	set.SetNamespace(namespace)
	return set
}

// patched applies a JSON patch in YAML to an object in YAML.
func patched(t *testing.T, object, changes string) []byte {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(object))
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.YAMLToJSON([]byte(changes))
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	if data, err = patch.Apply(data); err != nil {
		t.Fatal(err)
	}
	return data
}

// TestDisaggregatedRefusals lists what is refused, and the field that the message names. The schema's rules hold
// without the webhooks.
func TestDisaggregatedRefusals(t *testing.T) {
	t.Parallel()
	const role = "/spec/roles/0/spec"
	for _, tc := range []struct {
		name, changes, field string
		webhooksOnly         bool
	}{
		{"one role", `[{op: remove, path: /spec/roles/1}]`, "spec.roles", false},
		{"roles of one name", `[{op: replace, path: /spec/roles/1/name, value: prefill}]`, "spec.roles[1]", false},
		{"a role's name", `[{op: replace, path: /spec/roles/1/name, value: De_code}]`, "spec.roles[1].name", false},
		{"the set's name", `[{op: replace, path: /metadata/name, value: 1llama}]`, "metadata.name", false},
		{"no slice", `[{op: add, path: /spec/slices, value: 0}]`, "spec.slices", false},
		{"too many slices", `[{op: add, path: /spec/slices, value: 101}]`, "spec.slices", false},
		{"one role without groups", `[{op: replace, path: ` + role + `/replicas, value: 0}]`, "spec.roles", false},
		{"partition", `[{op: add, path: ` + role + `/rolloutStrategy, value: {rollingUpdateConfiguration: {partition: 1}}}]`,
			"spec.roles[0].spec.rolloutStrategy.rollingUpdateConfiguration.partition", false},
		{"rollout type", `[{op: add, path: ` + role + `/rolloutStrategy, value: {type: Recreate}}]`,
			"spec.roles[0].spec.rolloutStrategy.type", false},
		{"no budget",
			`[{op: add, path: ` + role + `/rolloutStrategy,
				value: {rollingUpdateConfiguration: {maxSurge: 0, maxUnavailable: 0}}}]`,
			"spec.roles[0].spec.rolloutStrategy.rollingUpdateConfiguration.maxUnavailable", false},
		{"a budget that comes to nothing",
			`[{op: add, path: ` + role + `/rolloutStrategy,
				value: {rollingUpdateConfiguration: {maxSurge: 0, maxUnavailable: 10%}}}]`,
			"spec.roles[0].spec.rolloutStrategy.rollingUpdateConfiguration.maxUnavailable", true},
		{"External and slices",
			`[{op: add, path: /spec/slices, value: 2}, {op: add, path: /spec/roles/0/scaling, value: {mode: External}}]`,
			"spec.slices", false},
		{"placement without topology", `[{op: add, path: /spec/placementPolicy, value: {type: ExclusiveSlice}}]`,
			"spec.placementPolicy.topology", false},
		{"a topology that is no label",
			`[{op: add, path: /spec/placementPolicy, value: {type: ExclusiveSlice, topology: a/b/c}}]`,
			"spec.placementPolicy.topology", true},
		{"two placements", `[{op: add, path: /spec/placementPolicy, value: {type: ExclusiveSlice, topology: rack}},
			{op: add, path: /spec/roles/1/metadata, value: {annotations:
				{leaderworkerset.sigs.k8s.io/exclusive-topology: rack}}}]`,
			"spec.roles[1].metadata.annotations[leaderworkerset.sigs.k8s.io/exclusive-topology]", true},
		{"a name that is too long", `[{op: replace, path: /metadata/name, value: ` + strings.Repeat("a", 34) + `}]`,
			"metadata.name", true},
		{"roles whose groups collide",
			`[{op: replace, path: /spec/roles/1/name, value: prefill-0}]`,
			"spec.roles[1].name", true},
		{"a template that StatefulSets refuse",
			`[{op: add, path: ` + role + `/leaderWorkerTemplate/workerTemplate/spec/dnsPolicy, value: Sometimes}]`,
			"spec.roles[0].spec.leaderWorkerTemplate.workerTemplate.spec.dnsPolicy", true},
		{"a topology of a role",
			`[{op: add, path: /spec/roles/0/metadata,
				value: {annotations: {leaderworkerset.sigs.k8s.io/exclusive-topology: a/b/c}}}]`,
			"spec.roles[0].metadata.annotations[leaderworkerset.sigs.k8s.io/exclusive-topology]", true},
		{"a subgroup that doesn't fit",
			`[{op: add, path: ` + role + `/leaderWorkerTemplate/subGroupPolicy, value: {subGroupSize: 2}}]`,
			"spec.roles[0].spec.leaderWorkerTemplate.subGroupPolicy.subGroupSize", false},
		{"gang scheduling", `[{op: add, path: ` + role + `/scheduling, value: {}}]`, "spec.roles[0].spec.scheduling", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, m := range bothModes {
				err := suite.client.Create(t.Context(), newDisaggregated(t, newNamespace(t, m), tc.changes), dryRun)
				if tc.webhooksOnly && m == webhooksOff {
					continue
				}
				if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tc.field+":") {
					t.Errorf("webhooks %s: got %v, want a refusal that names %s", m, err, tc.field)
				}
			}
		})
	}
}

// TestDisaggregatedDefaults fills in those of roles. A role without limits has a surge of 1.
func TestDisaggregatedDefaults(t *testing.T) {
	t.Parallel()
	for _, m := range bothModes {
		set := newDisaggregated(t, newNamespace(t, m), `[
			{op: add, path: /spec/roles/1/spec/rolloutStrategy, value: {rollingUpdateConfiguration: {maxSurge: 2}}}]`)
		if err := suite.client.Create(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		stored := &disaggregatedsetv1.DisaggregatedSet{}
		if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(set), stored); err != nil {
			t.Fatal(err)
		}
		filled := stored.DeepCopy()
		filled.Default()
		if diff := cmp.Diff(stored, filled); diff != "" {
			t.Errorf("webhooks %s: Default changes what the schema left: %s", m, diff)
		}
		if *stored.Spec.Slices != 1 || stored.Status.ObservedGeneration != -1 {
			t.Errorf("webhooks %s: slices %d, observedGeneration %d",
				m, *stored.Spec.Slices, stored.Status.ObservedGeneration)
		}
		for i, want := range []string{"surge 1, unavailable 0", "surge 2, unavailable 1"} {
			limits := stored.Spec.Roles[i].Spec.RolloutStrategy.RollingUpdateConfiguration
			if got := fmt.Sprintf("surge %s, unavailable %s", limits.MaxSurge, limits.MaxUnavailable); got != want {
				t.Errorf("webhooks %s: role %d has %s, want %s", m, i, got, want)
			}
		}
	}
}

// TestDisaggregatedChanges edits what can't change in a LeaderWorkerSet: a new revision takes it on.
func TestDisaggregatedChanges(t *testing.T) {
	t.Parallel()
	for _, m := range bothModes {
		set := newDisaggregated(t, newNamespace(t, m), `[
			{op: add, path: /spec/roles/0/spec/leaderWorkerTemplate/size, value: 4},
			{op: add, path: /spec/roles/0/spec/leaderWorkerTemplate/subGroupPolicy, value: {subGroupSize: 2}},
			{op: add, path: /spec/roles/0/spec/leaderWorkerTemplate/volumeClaimTemplates, value: [{metadata: {name: a},
				spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}]`)
		if err := suite.client.Create(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		for _, change := range []string{
			`[{op: replace, path: /spec/roles/0/spec/leaderWorkerTemplate/subGroupPolicy/subGroupSize, value: 4}]`,
			`[{op: replace, path: /spec/roles/0/spec/leaderWorkerTemplate/volumeClaimTemplates/0/metadata/name, value: b}]`,
			`[{op: remove, path: /spec/roles/0/spec/leaderWorkerTemplate/volumeClaimTemplates}]`,
			`[{op: remove, path: /spec/roles/0/spec/leaderWorkerTemplate/subGroupPolicy}]`,
			`[{op: replace, path: /spec/roles/1/name, value: generate}]`,
			`[{op: add, path: /spec/slices, value: 3}]`,
		} {
			patch, err := yaml.YAMLToJSON([]byte(change))
			if err != nil {
				t.Fatal(err)
			}
			if err := suite.client.Patch(t.Context(), set, client.RawPatch(types.JSONPatchType, patch)); err != nil {
				t.Errorf("webhooks %s: %s: %v", m, change, err)
			}
		}
	}
}

// TestDisaggregatedScaler scales a scaler by its subresource.
func TestDisaggregatedScaler(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	scaler := &disaggregatedsetv1.DisaggregatedSetRoleScaler{}
	scaler.Namespace, scaler.Name = namespace, "llama-decode"
	if err := suite.client.Create(t.Context(), scaler); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, "--namespace", namespace, "scale", "dsrs", "llama-decode", "--replicas", "3")
	if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(scaler), scaler); err != nil {
		t.Fatal(err)
	}
	if scaler.Spec.Replicas != 3 {
		t.Errorf("replicas %d, want 3", scaler.Spec.Replicas)
	}
	scaler.Spec.Replicas = -1
	if err := suite.client.Update(t.Context(), scaler, dryRun); !apierrors.IsInvalid(err) {
		t.Errorf("a negative number: got %v, want a refusal", err)
	}
}

// TestDisaggregatedSetColumns prints a set and a scaler by their short names.
func TestDisaggregatedSetColumns(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOff)
	set, scaler := newDisaggregated(t, namespace, `[]`), &disaggregatedsetv1.DisaggregatedSetRoleScaler{}
	scaler.Namespace, scaler.Name = namespace, "llama-decode"
	for _, object := range []client.Object{set, scaler} {
		if err := suite.client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	status := statusOf(t, `{summary: "prefill 2/2, decode 1/2", conditions: [{type: Available, status: "False", reason: A,
		message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}]}`)
	if err := suite.client.Status().Patch(t.Context(), set, status); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(mustKubectl(t, "--namespace", namespace, "get", "dset"), "\n")
	if got := strings.Fields(lines[0]); fmt.Sprint(got) != "[NAME ROLES AVAILABLE UPDATING AGE]" {
		t.Errorf("columns %v", got)
	}
	if !strings.Contains(lines[1], "prefill 2/2, decode 1/2") || !strings.Contains(lines[1], "False") {
		t.Errorf("row %q", lines[1])
	}
	if out := mustKubectl(t, "explain", "disaggregatedset.spec.roles.scaling.mode"); !strings.Contains(out, "External") {
		t.Errorf("kubectl explain: %s", out)
	}
	lines = strings.Split(mustKubectl(t, "--namespace", namespace, "get", "dsrs"), "\n")
	if got := strings.Fields(lines[0]); fmt.Sprint(got) != "[NAME DESIRED CURRENT AGE]" {
		t.Errorf("columns of scalers %v", got)
	}
}
