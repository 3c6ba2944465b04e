// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// storedSets are sets that an older CRD admitted and that break a rule of this one.
var storedSets = []struct {
	title string
	name  string // of the set
	spec  string
	pass  []string // edits that don't concern the rule, or don't make it worse
	fail  []edited // edits that break the rule anew
}{
	{
		"a name that is no label", "1a", `{}`, []string{`{replicas: 9}`, `{leaderWorkerTemplate: {size: 9}}`}, nil,
	},
	{
		"a name too long for any number of groups", strings.Repeat("n", 55), `{replicas: 2, leaderWorkerTemplate: {size: 2}}`,
		[]string{`{replicas: 1}`, `{replicas: 0}`, `{leaderWorkerTemplate: {size: 3}}`},
		[]edited{
			{`{replicas: 3}`, refusal{root, "metadata.name: must be no more than 50 characters"}},
			{
				`{rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: 1}}}`,
				refusal{root, "metadata.name: must be no more than 50 characters"},
			},
		},
	},
	{
		"a name too long for the surge", strings.Repeat("n", 50),
		`{replicas: 9, leaderWorkerTemplate: {size: 2}, rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: 25%}}}`,
		[]string{`{replicas: 8}`, `{leaderWorkerTemplate: {size: 1}}`, `{leaderWorkerTemplate: {size: 4}}`},
		[]edited{{`{replicas: 10}`, refusal{root, "metadata.name: must be no more than 49 characters"}}},
	},
	{
		"a name too long for workers", strings.Repeat("n", 51), `{}`, []string{`{replicas: 1000000}`},
		[]edited{
			{`{leaderWorkerTemplate: {size: 2}}`, refusal{root, "metadata.name: must be no more than 50 characters"}},
		},
	},
	{
		"too many pods", "pods", `{replicas: 1000000, leaderWorkerTemplate: {size: 3000}}`,
		[]string{`{replicas: 999999}`, `{leaderWorkerTemplate: {size: 2999}}`},
		[]edited{
			{`{leaderWorkerTemplate: {size: 3001}}`, refusal{"spec.replicas", "must be no more than 2147483647"}},
		},
	},
	{
		"both bounds 0", "bounds", `{replicas: 2, rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 0}}}`,
		[]string{`{replicas: 3}`, `{replicas: 0}`, `{rolloutStrategy: {rollingUpdateConfiguration: {partition: 1}}}`},
		[]edited{
			{`{rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: 0%}}}`, refusal{maxUnavailable, neverUpdated}},
		},
	},
	{
		"subgroups larger than groups", "larger", `{leaderWorkerTemplate: {size: 2, subGroupPolicy: {subGroupSize: 3}}}`,
		[]string{`{leaderWorkerTemplate: {size: 4}}`},
		[]edited{
			{`{leaderWorkerTemplate: {size: 1}}`, refusal{subGroupSize, "must be no more than size"}},
			{
				`{leaderWorkerTemplate: {subGroupPolicy: {subGroupSize: 2}}}`,
				refusal{subGroupPolicy, "subGroupSize can't be changed, added or removed"},
			},
		},
	},
	{
		"subgroups that don't divide groups", "indivisible",
		`{leaderWorkerTemplate: {size: 6, subGroupPolicy: {subGroupSize: 4}}}`, []string{`{leaderWorkerTemplate: {size: 8}}`},
		[]edited{
			{`{leaderWorkerTemplate: {size: 7}}`, refusal{subGroupSize, notDivisible}},
			{
				`{leaderWorkerTemplate: {subGroupPolicy: {subGroupPolicyType: LeaderExcluded}}}`,
				refusal{subGroupSize, notDivisible},
			},
		},
	},
	{
		"subgroups without a size", "empty", `{leaderWorkerTemplate: {size: 4, subGroupPolicy: {}}}`,
		[]string{`{leaderWorkerTemplate: {size: 5}}`, `{leaderWorkerTemplate: {subGroupPolicy: null}}`},
		[]edited{
			{
				`{leaderWorkerTemplate: {subGroupPolicy: {subGroupSize: 2}}}`,
				refusal{subGroupPolicy, "subGroupSize can't be changed, added or removed"},
			},
		},
	},
	{
		"templates without containers", "containers",
		`{leaderWorkerTemplate: {leaderTemplate: {}, workerTemplate: {spec: {containers: []}}}}`,
		[]string{
			`{leaderWorkerTemplate: {leaderTemplate: {metadata: {labels: {a: b}}}}}`,
			`{leaderWorkerTemplate: {workerTemplate: {spec: {hostNetwork: true}}}}`,
		},
		nil,
	},
	{
		"restartPolicy of pods", "restart",
		`{leaderWorkerTemplate: {workerTemplate: {spec: {restartPolicy: Never}}}}`,
		[]string{`{leaderWorkerTemplate: {workerTemplate: {spec: {restartPolicy: Always}}}}`},
		[]edited{
			{
				`{leaderWorkerTemplate: {workerTemplate: {spec: {restartPolicy: OnFailure}}}}`,
				refusal{workerTemplate + ".spec.restartPolicy", alwaysRestarted},
			},
			{
				`{leaderWorkerTemplate: {leaderTemplate: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}`,
				refusal{leaderTemplate + ".spec.restartPolicy", alwaysRestarted},
			},
		},
	},
	{
		"retention of claims", "retention",
		`{leaderWorkerTemplate: {persistentVolumeClaimRetentionPolicy: {whenDeleted: Keep, whenScaled: Keep}}}`,
		[]string{
			`{leaderWorkerTemplate: {persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}}}`,
			`{leaderWorkerTemplate: {persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}}}`,
		},
		[]edited{
			{
				`{leaderWorkerTemplate: {persistentVolumeClaimRetentionPolicy: {whenDeleted: Leave}}}`,
				refusal{claimRetention + ".whenDeleted", "must be Retain or Delete"},
			},
			{
				`{leaderWorkerTemplate: {persistentVolumeClaimRetentionPolicy: {whenScaled: Leave}}}`,
				refusal{claimRetention + ".whenScaled", "must be Retain or Delete"},
			},
		},
	},
	{
		"a number beyond 32 bits", "beyond", `{leaderWorkerTemplate: {workerTemplate: {spec: {priority: 2147483648}}}}`,
		[]string{`{replicas: 9}`, `{leaderWorkerTemplate: {workerTemplate: {spec: {priority: 1}}}}`},
		[]edited{
			{
				`{leaderWorkerTemplate: {workerTemplate: {spec: {priority: 2147483649}}}}`,
				refusal{workerTemplate + ".spec.priority", "2147483647"},
			},
		},
	},
	{
		"groups without an index", "hash", `{groupIdentity: Hash, groupReplacementPolicy: Immediate}`,
		[]string{`{groupReplacementPolicy: PostTermination}`, `{groupIdentity: Ordinal}`, `{groupIdentity: null}`},
		[]edited{{`{groupIdentity: Random}`, refusal{"spec.groupIdentity", `supported values: "Ordinal"`}}},
	},
	{
		"gangs", "gangs", `{scheduling: {replica: {schedulingPolicy: {gang: {}}}}}`, []string{`{scheduling: null}`}, nil,
	},
}

// edited is an edit of a spec and its refusal.
type edited struct {
	spec string
	want refusal
}

// TestStoredByOlderCRD stores sets that break rules of the CRD before the rules exist. Then the operator can write
// their status, users can edit what the rules don't concern, and deletion ends.
func TestStoredByOlderCRD(t *testing.T) {
	t.Parallel()
	crd, group := installOlderCRD(t)
	namespace := newNamespace(t, webhooksOff)
	stored := make([]*unstructured.Unstructured, len(storedSets))
	for i, tc := range storedSets {
		stored[i] = inGroup(group, newSet(t, namespace, tc.name, tc.spec))
		stored[i].SetFinalizers([]string{"example.com/wait"})
		if err := suite.client.Create(t.Context(), stored[i]); err != nil {
			t.Fatalf("%s: %v", tc.title, err)
		}
	}
	upgradeCRD(t, crd, inGroup(group, newSet(t, namespace, "1b", `{}`)))
	for i, tc := range storedSets {
		t.Run(tc.title, func(t *testing.T) {
			set := stored[i]
			checkUnconcerned(t, set)
			for _, spec := range tc.pass {
				if err := edit(t, set.DeepCopy(), spec, dryRun); err != nil {
					t.Errorf("edit %s: %v", spec, err)
				}
			}
			for _, fail := range tc.fail {
				t.Run(fail.spec, func(t *testing.T) { fail.want.check(t, edit(t, set.DeepCopy(), fail.spec, dryRun)) })
			}
			checkDeletable(t, set)
		})
	}
}

// checkUnconcerned makes changes that no rule concerns.
func checkUnconcerned(t *testing.T, set *unstructured.Unstructured) {
	t.Helper()
	checkUnobserved(t, set)
	if err := suite.client.Status().Patch(t.Context(), set, statusOf(t, `{readyReplicas: 1}`)); err != nil {
		t.Errorf("status: %v", err)
	}
	for _, metadata := range []string{
		`labels: {a: b}`, `annotations: {a: b}`, `finalizers: [example.com/wait, example.com/a]`,
	} {
		if err := suite.client.Patch(t.Context(), set, merge(t, `metadata: {`+metadata+`}`)); err != nil {
			t.Errorf("%s: %v", metadata, err)
		}
	}
	for _, spec := range []string{
		`{startupPolicy: LeaderReady}`, `{networkConfig: {subdomainPolicy: UniquePerReplica}}`,
		`{leaderWorkerTemplate: {restartPolicy: None}}`, `{leaderWorkerTemplate: {maxGroupRestarts: 3}}`,
		`{leaderWorkerTemplate: {workerTemplate: {spec: {priorityClassName: high}}}}`,
	} {
		if err := edit(t, set.DeepCopy(), spec, dryRun); err != nil {
			t.Errorf("edit %s: %v", spec, err)
		}
	}
}

// checkDeletable deletes a set and then removes its finalizers.
func checkDeletable(t *testing.T, set *unstructured.Unstructured) {
	t.Helper()
	if err := suite.client.Delete(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	if err := suite.client.Patch(t.Context(), set, merge(t, `metadata: {finalizers: null}`)); err != nil {
		t.Errorf("removal of the finalizers: %v", err)
	}
	if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(set), set); !apierrors.IsNotFound(err) {
		t.Errorf("after the removal of the finalizers: %v; want the set deleted", err)
	}
}

// merge returns a merge patch in YAML.
func merge(t *testing.T, text string) client.Patch {
	t.Helper()
	patch, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return client.RawPatch(types.MergePatchType, patch)
}

// inGroup moves a set into another API group.
func inGroup(group string, set *unstructured.Unstructured) *unstructured.Unstructured {
	set.SetAPIVersion(group + "/" + leaderworkersetv1.GroupVersion.Version)
	return set
}

// installOlderCRD installs the CRD in an API group of its own, without rules and without the fields that subGroupPolicy
// requires. It returns the CRD with its rules, and the group.
func installOlderCRD(t *testing.T) (crd *unstructured.Unstructured, group string) {
	t.Helper()
	group = "older.example.com"
	data, err := os.ReadFile(filepath.Join(suite.root, "config", "crd", "bases", crdFile))
	if err != nil {
		t.Fatal(err)
	}
	crd = &unstructured.Unstructured{}
	if err := yaml.Unmarshal(data, crd); err != nil {
		t.Fatal(err)
	}
	crd.SetName("leaderworkersets." + group)
	if err := unstructured.SetNestedField(crd.Object, group, "spec", "group"); err != nil {
		t.Fatal(err)
	}
	older := crd.DeepCopy()
	loosen(older.Object["spec"])
	if err := suite.client.Create(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := suite.client.Delete(context.Background(), older); err != nil {
			t.Error(err)
		}
	})
	probe := inGroup(group, newSet(t, newNamespace(t, webhooksOff), "1b", `{}`))
	err = wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, func(ctx context.Context) (bool, error) {
		return suite.client.Create(ctx, probe.DeepCopy(), dryRun) == nil, nil
	})
	if err != nil {
		t.Fatalf("the older CRD isn't served: %v", err)
	}
	return crd, group
}

// loosen removes from a schema the rules, the required fields of subGroupPolicy, the bounds of integers of 32 bits, the
// default of the status, and the enumerations that other controllers have more values in.
func loosen(node any) {
	switch node := node.(type) {
	case []any:
		for _, item := range node {
			loosen(item)
		}
	case map[string]any:
		delete(node, "x-kubernetes-validations")
		if policy, ok := node["subGroupPolicy"].(map[string]any); ok {
			delete(policy, "required")
		}
		if status, ok := node["status"].(map[string]any); ok {
			delete(status, "default")
		}
		if node["format"] == "int32" {
			delete(node, "format")
			delete(node, "maximum")
		}
		for _, name := range []string{"groupIdentity", "groupReplacementPolicy"} {
			if field, ok := node[name].(map[string]any); ok {
				delete(field, "enum")
			}
		}
		for _, value := range node {
			loosen(value)
		}
	}
}

// upgradeCRD adds the rules to the CRD, and waits until the API server refuses a set that breaks them.
func upgradeCRD(t *testing.T, crd, broken *unstructured.Unstructured) {
	t.Helper()
	data, err := crd.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := suite.client.Patch(t.Context(), crd, client.RawPatch(types.MergePatchType, data)); err != nil {
		t.Fatal(err)
	}
	err = wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, func(ctx context.Context) (bool, error) {
		return apierrors.IsInvalid(suite.client.Create(ctx, broken.DeepCopy(), dryRun)), nil
	})
	if err != nil {
		t.Fatalf("the rules aren't in force: %v", err)
	}
}
