// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/wait"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// mustKubectl runs kubectl, which must succeed.
func mustKubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestKubectlAppliesTheDefinition checks that the CustomResourceDefinition isn't too large for client-side apply, which keeps a copy of
// it in an annotation.
func TestKubectlAppliesTheDefinition(t *testing.T) {
	definitions := filepath.Join(suite.root, "config", "crd", "bases")
	mustKubectl(t, "apply", "--filename", definitions) // Adds the annotation: the definition was created otherwise.
	const want = "customresourcedefinition.apiextensions.k8s.io/leaderworkersets.leaderworkerset.x-k8s.io unchanged"
	if got := strings.TrimSpace(mustKubectl(t, "apply", "--filename", definitions)); got != want {
		t.Errorf("applied again: %s; want %s", got, want)
	}
}

// TestKubectlExplain checks that users find the documentation of every field of ours, and know what the large ones are for.
func TestKubectlExplain(t *testing.T) {
	t.Parallel()
	err := wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, func(ctx context.Context) (bool, error) {
		_, err := kubectl(ctx, "explain", "lws")
		return err == nil, nil // The API server publishes the schema a moment after the definition.
	})
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"lws":                           "LeaderWorkerSet runs replicas of a group of pods",
		"lws.spec":                      "startupPolicy defines when the workers of a group are created",
		"lws.spec.replicas":             "replicas is the number of groups",
		"lws.spec.revisionHistoryLimit": "the number of unused revisions that the operator keeps",
		"lws.spec.leaderWorkerTemplate": "size is the number of pods in a group, the leader included",
		"lws.spec.leaderWorkerTemplate.workerTemplate":                             "workerTemplate is the template of worker pods",
		"lws.spec.leaderWorkerTemplate.leaderTemplate":                             "leaderTemplate is the template of leader pods",
		"lws.spec.leaderWorkerTemplate.volumeClaimTemplates":                       "volumeClaimTemplates are templates of PersistentVolumeClaims",
		"lws.spec.leaderWorkerTemplate.subGroupPolicy":                             "subGroupPolicyType defines whether the leader belongs to a subgroup",
		"lws.spec.rolloutStrategy.rollingUpdateConfiguration":                      "maxSurge is how many groups beyond replicas may exist",
		"leaderworkerset.spec.networkConfig":                                       "subdomainPolicy defines the headless Services",
		"leaderworkersets.status":                                                  "readyReplicas is the number of groups whose pods are all ready",
		"lws.spec.leaderWorkerTemplate.workerTemplate.spec.containers.resources":   "limits",
		"lws.spec.leaderWorkerTemplate.persistentVolumeClaimRetentionPolicy":       "what happens to the claims",
		"lws.spec.leaderWorkerTemplate.workerTemplate.metadata":                    "finalizers",
		"lws.spec.leaderWorkerTemplate.volumeClaimTemplates.spec.storageClassName": "storageClassName",
	} {
		if got := unwrapped(mustKubectl(t, "explain", field)); !strings.Contains(got, want) {
			t.Errorf("explain %s doesn't say %q:\n%s", field, want, got)
		}
	}
}

// TestKubectlGet checks the columns that kubectl prints.
func TestKubectlGet(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	lws := read(t, create(t, namespace, "set", `{replicas: 3}`))
	lws.Status = leaderworkersetv1.LeaderWorkerSetStatus{Replicas: 4, ReadyReplicas: 1, UpdatedReplicas: 2}
	if err := suite.client.Status().Update(t.Context(), lws); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lws", "leaderworkerset", "leaderworkersets"} {
		lines := strings.Split(strings.TrimSpace(mustKubectl(t, "get", name, "--namespace", namespace)), "\n")
		if len(lines) != 2 {
			t.Fatalf("get %s: %q; want two lines", name, lines)
		}
		if got, want := unwrapped(lines[0]), "NAME READY DESIRED UP-TO-DATE AGE"; got != want {
			t.Errorf("get %s: columns %s; want %s", name, got, want)
		}
		if got, want := unwrapped(lines[1]), "set 1 3 2 "; !strings.HasPrefix(got, want) {
			t.Errorf("get %s: %s; want %s and an age", name, got, want)
		}
	}
}

// TestKubectlWithSets checks what users do to a set by kubectl.
func TestKubectlWithSets(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	samples := filepath.Join(suite.root, "config", "samples")
	files, err := filepath.Glob(filepath.Join(samples, "leaderworkerset_*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	applied := mustKubectl(t, "apply", "--namespace", namespace, "--kustomize", samples)
	if got := strings.Count(applied, " created"); got != len(files) {
		t.Errorf("%d of %d samples are in the kustomization", got, len(files))
	}
	if got := mustKubectl(t, "apply", "--namespace", namespace, "--kustomize", samples); !strings.Contains(got, "unchanged") {
		t.Errorf("the samples applied again: %s; want them unchanged", got)
	}
	mustKubectl(t, "diff", "--namespace", namespace, "--kustomize", samples) // Fails if there is a difference.

	set := create(t, namespace, "set", `{}`)
	mustKubectl(t, "scale", "lws/set", "--namespace", namespace, "--replicas", "4")
	if got := *read(t, set).Spec.Replicas; got != 4 {
		t.Errorf("scaled to 4 by kubectl: %d replicas", got)
	}
	_, err = kubectl(t.Context(), "scale", "lws/set", "--namespace", namespace, "--replicas", "1000001")
	if err == nil || !strings.Contains(err.Error(), "spec.replicas in body should be less than or equal to 1000000") {
		t.Errorf("scaled beyond the maximum by kubectl: %v; want to be told of it", err)
	}
}

// unwrapped is a text with a single space wherever it has space.
func unwrapped(text string) string { return strings.Join(strings.Fields(text), " ") }
