// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	lwsidentity "github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// addPlacement adds the terms of the set's placement policy to those of the user.
func addPlacement(pod *corev1.PodSpec, set *disaggregatedsetv1.DisaggregatedSet, slice int32) {
	policy := set.Spec.PlacementPolicy
	if policy == nil || policy.Type == disaggregatedsetv1.NonePlacement {
		return
	}
	removePlacement(pod)
	together, apart := terms(set.Name, policy, slice)
	if pod.Affinity == nil {
		pod.Affinity = &corev1.Affinity{}
	}
	if pod.Affinity.PodAffinity == nil {
		pod.Affinity.PodAffinity = &corev1.PodAffinity{}
	}
	if pod.Affinity.PodAntiAffinity == nil {
		pod.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{}
	}
	required := &pod.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	*required = append(*required, together)
	required = &pod.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	*required = append(*required, apart...)
}

// terms returns with which pods a slice shares its topology domain, and with which it doesn't.
//
// Pods from before slices belong to slice 0 and have no label for it. So slice 0 keeps only those pods of the set out
// that have a slice.
func terms(
	set string, policy *disaggregatedsetv1.PlacementPolicy, slice int32,
) (together corev1.PodAffinityTerm, apart []corev1.PodAffinityTerm) {
	name, index := disaggregatedsetv1.SetNameLabelKey, disaggregatedsetv1.SliceLabelKey
	value := lwsidentity.FormatIndex(slice)
	hasSlice := metav1.LabelSelectorRequirement{Key: index, Operator: metav1.LabelSelectorOpExists}
	otherSlices := []metav1.LabelSelectorRequirement{
		{Key: name, Operator: metav1.LabelSelectorOpIn, Values: []string{set}},
		{Key: index, Operator: metav1.LabelSelectorOpNotIn, Values: []string{value}},
	}
	if slice == 0 {
		otherSlices = append(otherSlices, hasSlice)
	}
	apart = []corev1.PodAffinityTerm{term(policy.Topology, otherSlices...)}
	if policy.Type == disaggregatedsetv1.ExclusiveTopologyPlacement {
		apart = append(apart, term(policy.Topology,
			metav1.LabelSelectorRequirement{Key: name, Operator: metav1.LabelSelectorOpNotIn, Values: []string{set}}, hasSlice))
	}
	return term(policy.Topology,
		metav1.LabelSelectorRequirement{Key: name, Operator: metav1.LabelSelectorOpIn, Values: []string{set}},
		metav1.LabelSelectorRequirement{Key: index, Operator: metav1.LabelSelectorOpIn, Values: []string{value}},
	), apart
}

func term(topology string, required ...metav1.LabelSelectorRequirement) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{
		TopologyKey: topology, LabelSelector: &metav1.LabelSelector{MatchExpressions: required},
	}
}

// removePlacement removes the terms of a placement policy. They are those that read the label of slices.
func removePlacement(pod *corev1.PodSpec) {
	affinity := pod.Affinity
	if affinity == nil {
		return
	}
	if together := affinity.PodAffinity; together != nil {
		required := &together.RequiredDuringSchedulingIgnoredDuringExecution
		*required = withoutPlacement(*required)
		if len(*required)+len(together.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
			affinity.PodAffinity = nil
		}
	}
	if apart := affinity.PodAntiAffinity; apart != nil {
		required := &apart.RequiredDuringSchedulingIgnoredDuringExecution
		*required = withoutPlacement(*required)
		if len(*required)+len(apart.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
			affinity.PodAntiAffinity = nil
		}
	}
	if *affinity == (corev1.Affinity{}) {
		pod.Affinity = nil
	}
}

func withoutPlacement(required []corev1.PodAffinityTerm) []corev1.PodAffinityTerm {
	return slices.DeleteFunc(required, func(t corev1.PodAffinityTerm) bool {
		if t.LabelSelector == nil {
			return false
		}
		_, byLabel := t.LabelSelector.MatchLabels[disaggregatedsetv1.SliceLabelKey]
		return byLabel || slices.ContainsFunc(t.LabelSelector.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool {
			return r.Key == disaggregatedsetv1.SliceLabelKey
		})
	})
}
