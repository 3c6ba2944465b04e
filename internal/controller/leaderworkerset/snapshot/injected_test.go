// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

func TestUninjected(t *testing.T) {
	const name, group, worker = leaderworkersetv1.SetNameLabelKey, leaderworkersetv1.GroupIndexLabelKey,
		leaderworkersetv1.WorkerIndexLabelKey
	for _, tc := range []struct {
		what      string
		labels    map[string]string
		variables []string
		want      bool
	}{
		{"injected", map[string]string{name: "a", group: "0", worker: "0"}, nil, false},
		{"leader as its StatefulSet creates it", map[string]string{name: "a", worker: "0"}, nil, true},
		{"worker as its StatefulSet creates it", map[string]string{name: "a", group: "0"}, nil, true},
		{"worker of a StatefulSet that has no group", map[string]string{name: "a", group: "", worker: ""}, nil, true},
		{"with variables of the user", map[string]string{name: "a", worker: "0"}, []string{"LWS_LEADER_ADDRESS"}, true},
		{
			"injected, and a label was removed since", map[string]string{name: "a", worker: "0"},
			[]string{"LWS_LEADER_ADDRESS", "LWS_GROUP_SIZE", "LWS_WORKER_INDEX"}, false,
		},
		{"no pod of a set", map[string]string{worker: "0"}, nil, false},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: tc.labels}}
		container := corev1.Container{Name: "main"}
		for _, variable := range tc.variables {
			container.Env = append(container.Env, corev1.EnvVar{Name: variable, Value: "1"})
		}
		pod.Spec.Containers = []corev1.Container{{Name: "proxy"}, container}
		if got := snapshot.Uninjected(pod); got != tc.want {
			t.Errorf("%s: Uninjected() is %t, want %t", tc.what, got, tc.want)
		}
		pod.Spec.Containers = snapshot.ProofOfInjection(pod)
		if got := snapshot.Uninjected(pod); got != tc.want {
			t.Errorf("%s: Uninjected() is %t by the proof alone, want %t", tc.what, got, tc.want)
		}
	}
}

func TestMarkUninjected(t *testing.T) {
	terminating := &corev1.Pod{ObjectMeta: named("a-3-1", "3-1", "workers-3")}
	terminating.DeletionTimestamp = &metav1.Time{}
	groups := []snapshot.Group{
		{Index: 0, Leader: &corev1.Pod{ObjectMeta: named("a-0", "0", "leaders")}},
		{Index: 1, Leader: &corev1.Pod{ObjectMeta: named("a-1", "1", "leaders")}},
		{Index: 2, Leader: &corev1.Pod{ObjectMeta: named("a-2", "2", "leaders")}},
		{Index: 3, Leader: &corev1.Pod{ObjectMeta: named("a-3", "3", "leaders")}},
		{Index: 4, Leader: &corev1.Pod{ObjectMeta: named("a-4", "4", "leaders")}},
	}
	for i := range groups {
		workers := named(groups[i].Leader.Name, "workers-"+string(groups[i].Leader.UID), string(groups[i].Leader.UID))
		groups[i].Workers = &appsv1.StatefulSet{ObjectMeta: workers}
	}
	for i, index := range map[int]string{3: "3", 4: ""} {
		groups[i].Workers.Spec.Selector = &metav1.LabelSelector{
			MatchLabels: map[string]string{leaderworkersetv1.GroupIndexLabelKey: index},
		}
	}
	var pods []*corev1.Pod
	for _, meta := range []metav1.ObjectMeta{
		controlledByName(named("a-0-1", "0-1", "workers-0"), "a-0"),
		named("a-0", "0", "leaders"),
		controlledByName(named("a-1-10", "1-10", "workers-1"), "a-1"),
		controlledByName(named("a-1-9", "1-9", "workers-1"), "a-1"),
		controlledByName(named("a-2-1", "2-1", "earlier workers"), "a-2"),
		named("a-2-2", "orphan", ""),
		named("a-2", "earlier leader", "leaders"),
	} {
		pods = append(pods, &corev1.Pod{ObjectMeta: meta})
	}
	terminating.ObjectMeta = controlledByName(terminating.ObjectMeta, "a-3")
	snapshot.MarkUninjected(groups, append(pods, terminating))
	for i, want := range []string{"a-0", "a-1-9", "", "", "a-4"} {
		got := ""
		if pod := groups[i].Uninjected; pod != nil {
			got = pod.Name
		}
		if got != want {
			t.Errorf("group %d: got pod %q, want %q", i, got, want)
		}
	}
}

// controlledByName returns metadata whose controller has that name.
func controlledByName(meta metav1.ObjectMeta, name string) metav1.ObjectMeta {
	meta.OwnerReferences[0].Name = name
	return meta
}

func TestUninjectedGroupIsNotReady(t *testing.T) {
	group := readyGroup()
	group.Uninjected = group.Leader
	if group.Ready() {
		t.Error("a group with a pod that was created without the webhook is ready")
	}
}
