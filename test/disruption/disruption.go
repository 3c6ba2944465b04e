// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package disruption has the objects that docs/operate/disruptions.md advises, and judges what a drain does to the
// groups of a set.
package disruption

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

// Budget returns the budget for a set.
func Budget(lws *leaderworkersetv1.LeaderWorkerSet) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: lws.Namespace, Name: lws.Name},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable:             ptr.To(intstr.FromInt32(1)),
			UnhealthyPodEvictionPolicy: ptr.To(policyv1.AlwaysAllow),
			Selector:                   selector(lws),
		},
	}
}

// SpreadGroups returns the constraint that keeps each pod of a group on a node of its own. kubectl evicts pods by their
// names, so a second eviction that waits would take the group down again, though it runs on other nodes by then.
func SpreadGroups(lws *leaderworkersetv1.LeaderWorkerSet) corev1.TopologySpreadConstraint {
	return corev1.TopologySpreadConstraint{
		MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.DoNotSchedule,
		LabelSelector:  selector(lws),
		MatchLabelKeys: []string{leaderworkersetv1.GroupIndexLabelKey},
	}
}

// selector selects all pods of a set.
func selector(lws *leaderworkersetv1.LeaderWorkerSet) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{leaderworkersetv1.SetNameLabelKey: lws.Name}}
}

// BrokenGroups returns the groups of a set that have a pod which isn't there, isn't ready, or terminates. The pods are
// all those of the set.
func BrokenGroups(lws *leaderworkersetv1.LeaderWorkerSet, pods map[string]*corev1.Pod) []int32 {
	ready := map[string]int32{}
	for _, pod := range pods {
		if objects.PodReady(pod) {
			ready[pod.Labels[leaderworkersetv1.GroupIndexLabelKey]]++
		}
	}
	var broken []int32
	for group := range *lws.Spec.Replicas {
		if ready[strconv.Itoa(int(group))] < *lws.Spec.LeaderWorkerTemplate.Size {
			broken = append(broken, group)
		}
	}
	return broken
}
