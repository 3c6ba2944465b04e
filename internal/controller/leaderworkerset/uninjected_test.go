// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/event"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// uninjectedPod returns a pod as its StatefulSet creates it, without the webhook.
func uninjectedPod(name, owner string, labels ...string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: part(name, labels...)}
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "StatefulSet", Name: owner, UID: types.UID(owner), Controller: ptr.To(true),
	}}
	return pod
}

// TestUninjectedPodsOfGroups checks that a pod that lacks labels is found by its name and owner.
func TestUninjectedPodsOfGroups(t *testing.T) {
	for _, tc := range []struct {
		what  string
		pod   *corev1.Pod
		group string // empty for none
	}{
		{"leader", uninjectedPod("llama-1", "llama", "worker-index", "0"), "llama-1"},
		{"worker", uninjectedPod("llama-1-2", "llama-1", "group-index", "1"), "llama-1"},
		{"worker without a group", uninjectedPod("llama-1-2", "llama-1", "group-index", ""), "llama-1"},
		{"leader of another name", uninjectedPod("mistral-1", "llama", "worker-index", "0"), ""},
		{"worker of another set", uninjectedPod("mistral-1-2", "mistral-1"), ""},
		{"pod of another StatefulSet", uninjectedPod("db-0", "db"), ""},
		{"pod of nobody", &corev1.Pod{ObjectMeta: part("llama-1-2")}, ""},
	} {
		var want []types.NamespacedName
		if tc.group != "" {
			want = []types.NamespacedName{at(llama, tc.group)}
		}
		if diff := cmp.Diff(want, toGroup(t.Context(), tc.pod)); diff != "" {
			t.Errorf("%s: groups (-want +got):\n%s", tc.what, diff)
		}
		if diff := cmp.Diff([]string{"llama"}, indexUninjectedOfSet(tc.pod)); diff != "" {
			t.Errorf("%s: index (-want +got):\n%s", tc.what, diff)
		}
	}
	if got := indexUninjectedOfSet(workerOf(1, 2)); got != nil {
		t.Errorf("a worker that the webhook changed has the index %v", got)
	}
}

func TestUninjectedPodsConcernTheSet(t *testing.T) {
	created := event.TypedCreateEvent[*corev1.Pod]{Object: uninjectedPod("llama-1-2", "llama-1", "group-index", "1")}
	if !uninjectedPodsOnly().Create(created) {
		t.Error("the creation of a worker without the webhook is dropped")
	}
	if uninjectedPodsOnly().Create(event.TypedCreateEvent[*corev1.Pod]{Object: workerOf(1, 2)}) {
		t.Error("the creation of a worker concerns the set")
	}
}

// TestTrimPodKeepsProofOfInjection checks that a pod that loses a label isn't taken for one without the webhook.
func TestTrimPodKeepsProofOfInjection(t *testing.T) {
	pod := uninjectedPod("llama-1", "llama", "worker-index", "0")
	pod.Spec.Containers = []corev1.Container{{
		Name: "main", Image: "serve:1", Env: []corev1.EnvVar{{Name: "A"}, {Name: leaderworkersetv1.WorkerIndexEnvVar}},
	}}
	if snapshot.Uninjected(trimmed(t, trimPod, pod)) {
		t.Error("a pod with the variables was created without the webhook")
	}
	pod.Labels[leaderworkersetv1.GroupIndexLabelKey] = "1"
	if kept := trimmed(t, trimPod, pod).Spec.Containers; kept != nil {
		t.Errorf("the cache keeps containers %v of a pod with all labels", kept)
	}
}

func TestObserveUninjected(t *testing.T) {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: part("llama")}
	lws.UID = "set"
	leader := uninjectedPod("llama-0", "leaders", "worker-index", "0")
	leader.UID = "leader-0"
	other := leaderOf(1)
	other.ObjectMeta = controlled(other.ObjectMeta, "leader-1", "leaders")
	worker := uninjectedPod("llama-1-1", "llama-1", "group-index", "1")
	workers := &appsv1.StatefulSet{
		ObjectMeta: controlled(part("llama-1", "group-index", "1"), "llama-1", "leader-1"),
	}
	reader := cacheOf(t, lws, leader, other, worker, workers,
		&appsv1.StatefulSet{ObjectMeta: controlled(part("llama"), "leaders", "set")})
	observed, err := (&observer{Reader: reader, podGroups: newPodGroups()}).set(t.Context(), llama, false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, group := range observed.Groups {
		if group.Uninjected != nil {
			got = append(got, group.Uninjected.Name)
		}
	}
	if diff := cmp.Diff([]string{"llama-0", "llama-1-1"}, got); diff != "" {
		t.Errorf("uninjected pods (-want +got):\n%s", diff)
	}
	members, err := (&observer{Reader: reader, podGroups: newPodGroups()}).group(t.Context(), at(llama, "llama-1"), false)
	if err != nil || len(members.WorkerPods) != 1 {
		t.Errorf("got %d workers and error %v, want the one without the webhook", len(members.WorkerPods), err)
	}
}
