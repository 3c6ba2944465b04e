// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/objects"
)

// TestDisaggregatedOfLLMD applies llm-d's own manifest. Its router selects pods by labels: those of the pool, of the
// phase, and of the revision and slice. During a rollout, each slice has a revision with a ready pod of each role at
// every time. Without one, the router answers requests with an error.
func TestDisaggregatedOfLLMD(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	set := &dset{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pd-disagg"}}
	applyFile(t, namespace, filepath.Join("testdata", "llm-d", "pd-disaggregation.yaml"))
	untilOnlyCurrent(t, set)
	check(t, "summary", "prefill 8/8, decode 2/2", set.Status.Summary)
	checkSelected(t, set)

	film, pods := newRoleFilm(t, set), record[*corev1.Pod](t, namespace, &corev1.PodList{})
	edit(t, set, withRoleImages(nextImage, nextImage))
	untilOnlyCurrent(t, set)
	checkSelected(t, set)
	film.checkFewest(t, map[string]int32{"prefill": 2 * (4 - 1), "decode": 2 * 1})
	film.checkServes(t)
	state := pods.atStart()
	checkRoutable(t, state)
	for _, change := range pods.soFar(t) {
		change.apply(state)
		checkRoutable(t, state)
	}
}

// checkSelected checks which pods the router finds for each role and slice.
func checkSelected(t *testing.T, set *dset) {
	t.Helper()
	pool := client.MatchingLabels{"llm-d.ai/inference-serving": "true", "llm-d.ai/guide": "pd-disaggregation"}
	check(t, "pods of the pool", 10, len(listed(t, podsIn(set.Namespace, pool))))
	for role, groups := range map[string]int{"prefill": 4, "decode": 1} {
		for _, slice := range []string{"0", "1"} {
			selected := with(pool, map[string]string{
				"llm-d.ai/role":                      role,
				"disaggregatedset.x-k8s.io/name":     "pd-disagg",
				"disaggregatedset.x-k8s.io/role":     role,
				"disaggregatedset.x-k8s.io/slice":    slice,
				"disaggregatedset.x-k8s.io/revision": set.Status.UpdateRevision,
			})
			check(t, fmt.Sprintf("pods of role %s in slice %s", role, slice), groups,
				len(listed(t, podsIn(set.Namespace, client.MatchingLabels(selected)))))
		}
	}
}

// checkRoutable checks that each slice has a revision with a ready pod of each role.
func checkRoutable(t *testing.T, pods map[string]*corev1.Pod) {
	t.Helper()
	ready := sets.New[string]()
	routable := map[string]bool{"0": false, "1": false}
	for _, pod := range pods {
		if objects.PodReady(pod) {
			slice, revision := pod.Labels["disaggregatedset.x-k8s.io/slice"], pod.Labels["disaggregatedset.x-k8s.io/revision"]
			ready.Insert(slice + "/" + revision + "/" + pod.Labels["disaggregatedset.x-k8s.io/role"])
			of := slice + "/" + revision + "/"
			routable[slice] = routable[slice] || ready.HasAll(of+"prefill", of+"decode")
		}
	}
	check(t, "slices that serve", map[string]bool{"0": true, "1": true}, routable)
}

// applyFile applies the objects of a file to a namespace, as kubectl does.
func applyFile(t *testing.T, namespace, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	decoded, err := objects.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range decoded {
		object.SetNamespace(namespace)
		if err := objects.Apply(t.Context(), suite.client, object); err != nil {
			t.Fatal(err)
		}
	}
}
