// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// mustKubectl runs kubectl. The test fails if kubectl fails.
func mustKubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestKubectlApplyCRD checks that client-side apply accepts the CustomResourceDefinitions. Client-side apply stores a
// copy in an annotation, which limits the size.
func TestKubectlApplyCRD(t *testing.T) {
	definitions := filepath.Join(suite.root, "config", "crd", "bases")
	// The first apply adds the annotation to a definition that was created in another way.
	mustKubectl(t, "apply", "--filename", definitions)
	lines := strings.Split(strings.TrimSpace(mustKubectl(t, "apply", "--filename", definitions)), "\n")
	unchanged := func(line string) bool { return strings.HasSuffix(line, " unchanged") }
	if len(lines) != 3 || slices.ContainsFunc(lines, func(line string) bool { return !unchanged(line) }) {
		t.Errorf("applied again: %q; want 3 unchanged definitions", lines)
	}
}

// TestKubectlExplain checks that `kubectl explain` documents the fields of a LeaderWorkerSet. For large types it checks
// that a known field is shown.
func TestKubectlExplain(t *testing.T) {
	t.Parallel()
	err := wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, func(ctx context.Context) (bool, error) {
		_, err := kubectl(ctx, "explain", "lws")
		return err == nil, nil // The API server publishes the schema with a delay.
	})
	if err != nil {
		t.Fatal(err)
	}
	const template = "lws.spec.leaderWorkerTemplate."
	for field, want := range map[string]string{
		"lws":                             "LeaderWorkerSet runs replicas of a group of pods",
		"lws.spec":                        "startupPolicy defines when the workers of a group are created",
		"lws.spec.replicas":               "replicas is the number of groups",
		"lws.spec.revisionHistoryLimit":   "the number of unused revisions that the operator keeps",
		"lws.spec.leaderWorkerTemplate":   "size is the number of pods in a group, the leader included",
		template + "workerTemplate":       "workerTemplate is the template of worker pods",
		template + "leaderTemplate":       "leaderTemplate is the template of leader pods",
		template + "volumeClaimTemplates": "volumeClaimTemplates are templates of PersistentVolumeClaims",
		template + "subGroupPolicy":       "subGroupPolicyType defines whether the leader belongs to a subgroup",
		"lws.spec.rolloutStrategy.rollingUpdateConfiguration": "maxSurge is how many groups beyond replicas may exist",
		"leaderworkerset.spec.networkConfig":                  "subdomainPolicy defines the headless Services",
		"leaderworkersets.status": "readyReplicas is the number of groups whose pods are all " +
			"ready",
		template + "workerTemplate.spec.containers.resources":   "limits",
		template + "persistentVolumeClaimRetentionPolicy":       "what happens to the claims",
		template + "workerTemplate.metadata":                    "finalizers",
		template + "volumeClaimTemplates.spec.storageClassName": "storageClassName",
	} {
		if got := unwrapped(mustKubectl(t, "explain", field)); !strings.Contains(got, want) {
			t.Errorf("explain %s doesn't say %q:\n%s", field, want, got)
		}
	}
}

// TestKubectlGet checks the columns of `kubectl get`, and that `kubectl get all` lists sets.
func TestKubectlGet(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	lws := read(t, create(t, namespace, "set", `{replicas: 3, leaderWorkerTemplate: {size: 4}}`))
	lws.Status = leaderworkersetv1.LeaderWorkerSetStatus{
		Replicas: 4, ReadyReplicas: 1, UpdatedReplicas: 2, UpdateRevision: "5d4f8c",
		Conditions: []metav1.Condition{
			conditionOf(leaderworkersetv1.ConditionAvailable, metav1.ConditionFalse),
			conditionOf(leaderworkersetv1.ConditionUpdateInProgress, metav1.ConditionTrue),
		},
		UnreadyGroups: []leaderworkersetv1.UnreadyGroup{
			{Index: 0, Reason: leaderworkersetv1.UnreadyUnschedulable, Message: "set-0-1: no node", Since: metav1.Now()},
			{Index: 1, Reason: leaderworkersetv1.UnreadyMissing, Message: "the second", Since: metav1.Now()},
		},
	}
	if err := suite.client.Status().Update(t.Context(), lws); err != nil {
		t.Fatal(err)
	}
	const columns, row = "NAME READY DESIRED UP-TO-DATE SIZE AVAILABLE UPDATING AGE", "set 1 3 2 4 False True "
	for _, name := range []string{"lws", "leaderworkerset", "leaderworkersets"} {
		wantTable(t, columns, row, "", "get", name, "--namespace", namespace)
	}
	wantTable(t, columns+" REVISION MESSAGE", row, " 5d4f8c set-0-1: no node",
		"get", "lws", "--namespace", namespace, "--output", "wide")
	if all := mustKubectl(t, "get", "all", "--namespace", namespace); !strings.Contains(all, "/set ") {
		t.Errorf("get all doesn't list the set:\n%s", all)
	}
}

// TestKubectlGetFreshSet checks the columns of a set that has no status yet.
func TestKubectlGetFreshSet(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	create(t, namespace, "set", `{replicas: 3}`)
	wantTable(t, "NAME READY DESIRED UP-TO-DATE SIZE AVAILABLE UPDATING AGE REVISION MESSAGE", "set 0 3 0 1 ", "",
		"get", "lws", "--namespace", namespace, "--output", "wide")
}

// wantTable checks the output of a command of kubectl: the header, and a row's beginning and end.
func wantTable(t *testing.T, columns, begin, end string, args ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(mustKubectl(t, args...)), "\n")
	if len(lines) != 2 || unwrapped(lines[0]) != columns {
		t.Fatalf("%s: %q; want two lines and the columns %s", args, lines, columns)
	}
	if got := unwrapped(lines[1]); !strings.HasPrefix(got, begin) || !strings.HasSuffix(got, end) {
		t.Errorf("%s: %s; want %s, an age, and %s", args, got, begin, end)
	}
}

func conditionOf(kind string, status metav1.ConditionStatus) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: "Test", LastTransitionTime: metav1.Now()}
}

// TestKubectlWithSets checks how users apply, diff and scale sets with kubectl.
func TestKubectlWithSets(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	samples := filepath.Join(suite.root, "config", "samples")
	files, err := filepath.Glob(filepath.Join(samples, "*set_*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	applied := mustKubectl(t, "apply", "--namespace", namespace, "--kustomize", samples)
	if got := strings.Count(applied, " created"); got != len(files) {
		t.Errorf("%d of %d samples are in the kustomization", got, len(files))
	}
	applied = mustKubectl(t, "apply", "--namespace", namespace, "--kustomize", samples)
	if !strings.Contains(applied, "unchanged") {
		t.Errorf("the samples applied again: %s; want them unchanged", applied)
	}
	mustKubectl(t, "diff", "--namespace", namespace, "--kustomize", samples) // It fails if there is a difference.

	set := create(t, namespace, "set", `{}`)
	mustKubectl(t, "scale", "lws/set", "--namespace", namespace, "--replicas", "4")
	if got := *read(t, set).Spec.Replicas; got != 4 {
		t.Errorf("scaled to 4 by kubectl: %d replicas", got)
	}
	_, err = kubectl(t.Context(), "scale", "lws/set", "--namespace", namespace, "--replicas", "1000001")
	if err == nil || !strings.Contains(err.Error(), "spec.replicas in body should be less than or equal to 1000000") {
		t.Errorf("scaled beyond the maximum by kubectl: %v; want an error about the maximum", err)
	}
}

// unwrapped replaces each run of white space in a text by a single space.
func unwrapped(text string) string { return strings.Join(strings.Fields(text), " ") }
