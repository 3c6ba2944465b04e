// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestLeadersFollowThePlacement has leader StatefulSets whose annotations request another placement than their pod
// template: the set has changed its annotation within the revision. The affinity and the gate follow the StatefulSet.
func TestLeadersFollowThePlacement(t *testing.T) {
	const key = leaderworkersetv1.ExclusiveKeyAnnotationKey
	for _, tc := range []struct {
		name              string
		leaders, template string // "-" for no annotation
		want              string // topology key of the affinity; empty for none
	}{
		{"requested later", "rack", "-", "rack"},
		{"another label", "zone", "rack", "zone"},
		{"withdrawn", "", "rack", ""},
		{"the StatefulSet doesn't say", "-", "rack", "rack"},
		{"never requested", "-", "-", ""},
	} {
		leaders := releasedBelowPartition()
		leaders.Annotations = nil
		leader := newLeaderPod()
		leader.OwnerReferences[0].UID = leaders.UID
		if tc.leaders != "-" {
			leaders.Annotations = map[string]string{key: tc.leaders}
		}
		if tc.template != "-" {
			leader.Annotations[key] = tc.template
		}
		webhook := newPodWebhook(t, leaders)
		if _, err := webhook.admit(t.Context(), leader, ""); err != nil {
			t.Fatal(err)
		}
		if got := topologyOf(leader); got != tc.want || leader.Annotations[key] != tc.want {
			t.Errorf("%s: got affinity to %q and annotation %q, want %q", tc.name, got, leader.Annotations[key], tc.want)
		}
		if patch, err := webhook.admit(t.Context(), leader, ""); err != nil || len(patch) > 0 {
			t.Errorf("%s: a second call answers with operations %v and error %v, want neither", tc.name, patch, err)
		}
	}
}

// topologyOf returns the topology key of a pod's affinity; empty if it has none.
func topologyOf(pod *corev1.Pod) string {
	if pod.Spec.Affinity == nil {
		return ""
	}
	return pod.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].TopologyKey
}
