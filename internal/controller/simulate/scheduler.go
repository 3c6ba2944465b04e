// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// scheduler gives each pod the node with the fewest pods among those that its nodeSelector allows. It knows no affinity.
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
		fits := !isLost(node) && labels.SelectorFromSet(pod.Spec.NodeSelector).Matches(labels.Set(node.Labels))
		if fits && (best == "" || taken[node.Name] < taken[best]) {
			best = node.Name
		}
	}
	return best
}
