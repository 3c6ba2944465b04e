// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// scheduler gives each pod the node with the fewest pods among those that its nodeSelector and the required terms of its pod affinity and
// anti-affinity allow, and the anti-affinity of the pods that are there. Pods that terminate still count, as for the real one.
type scheduler struct{ world *World }

func (s *scheduler) actions() []action {
	var actions []action
	for _, pod := range listOf[*corev1.Pod](s.world.API, kindPod) {
		if pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil {
			continue
		}
		if node := s.nodeFor(pod); node != "" {
			actions = append(actions, func() { s.bind(pod, node) })
		}
	}
	return actions
}

func (s *scheduler) bind(pod *corev1.Pod, node string) {
	s.world.tell("scheduler", "places pod", pod.Name+" on "+node)
	update(s.world.API, pod, func(pod *corev1.Pod) { pod.Spec.NodeName = node })
}

func (s *scheduler) nodeFor(pod *corev1.Pod) string {
	taken := map[string]int{}
	for _, other := range listOf[*corev1.Pod](s.world.API, kindPod) {
		taken[other.Spec.NodeName]++
	}
	best := ""
	for _, node := range listOf[*corev1.Node](s.world.API, kindNode) {
		fits := !isLost(node) && labels.SelectorFromSet(pod.Spec.NodeSelector).Matches(labels.Set(node.Labels)) && s.affine(pod, node)
		if fits && (best == "" || taken[node.Name] < taken[best]) {
			best = node.Name
		}
	}
	return best
}

// affine says whether required affinity and anti-affinity let a pod run on a node. A pod that asks for company like itself may be the first.
func (s *scheduler) affine(pod *corev1.Pod, node *corev1.Node) bool {
	for _, term := range affinityOf(pod) {
		everywhere, nearby := s.company(&term, func(other *corev1.Pod) bool { return matches(&term, other) }, node)
		if node.Labels[term.TopologyKey] == "" || (nearby == 0 && (everywhere > 0 || !matches(&term, pod))) {
			return false
		}
	}
	for _, term := range antiAffinityOf(pod) {
		if _, nearby := s.company(&term, func(other *corev1.Pod) bool { return matches(&term, other) }, node); nearby > 0 {
			return false
		}
	}
	for _, other := range listOf[*corev1.Pod](s.world.API, kindPod) {
		for _, term := range antiAffinityOf(other) {
			_, nearby := s.company(&term, func(candidate *corev1.Pod) bool { return candidate == other }, node)
			if nearby > 0 && matches(&term, pod) {
				return false
			}
		}
	}
	return true
}

// company counts the pods that have a node and are wanted: on all nodes, and on those of the node's topology.
func (s *scheduler) company(term *corev1.PodAffinityTerm, wanted func(*corev1.Pod) bool, node *corev1.Node) (everywhere, nearby int) {
	for _, pod := range listOf[*corev1.Pod](s.world.API, kindPod) {
		host := s.world.node(pod.Spec.NodeName)
		if host == nil || !wanted(pod) {
			continue
		}
		everywhere++
		if value := host.Labels[term.TopologyKey]; value != "" && value == node.Labels[term.TopologyKey] {
			nearby++
		}
	}
	return everywhere, nearby
}

func affinityOf(pod *corev1.Pod) []corev1.PodAffinityTerm {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.PodAffinity == nil {
		return nil
	}
	return pod.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
}

func antiAffinityOf(pod *corev1.Pod) []corev1.PodAffinityTerm {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.PodAntiAffinity == nil {
		return nil
	}
	return pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
}

func matches(term *corev1.PodAffinityTerm, pod *corev1.Pod) bool {
	selector, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
	if err != nil {
		panic(err) // The API server would have refused it.
	}
	return selector.Matches(labels.Set(pod.Labels))
}
