// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// scheduler binds each pod to the node with the fewest pods among the feasible ones. It respects the nodeSelector, the
// required terms of pod affinity and anti-affinity, and the anti-affinity of existing pods. Terminating pods count, as
// for the real one. It reports a pod that no node can take, and tries again after each change. It leaves pods with
// scheduling gates alone.
type scheduler struct{ world *World }

func (s *scheduler) actions() []action {
	var actions []action
	for _, pod := range listOf[*corev1.Pod](s.world.API, kindPod) {
		if !isSchedulable(pod) || podGroupOf(pod) != "" {
			continue
		}
		node := s.nodeFor(pod, s.podsOn())
		switch {
		case node != "":
			actions = append(actions, func() { s.bind(pod, node) })
		case s.isScarce(pod) && !isUnschedulable(pod):
			actions = append(actions, func() { s.report(pod) })
		}
	}
	return append(actions, s.gangActions()...)
}

// isScarce reports whether the lack of a node for a pod is part of the world. Only then it is reported.
func (s *scheduler) isScarce(pod *corev1.Pod) bool { return s.world.room > 0 || s.isPinned(pod) }

// isPinned reports whether the only node that could take a pod is cordoned.
func (s *scheduler) isPinned(pod *corev1.Pod) bool {
	return client.ObjectKeyFromObject(pod) == s.world.pinned
}

// isSchedulable reports whether the scheduler has yet to place a pod.
func isSchedulable(pod *corev1.Pod) bool {
	return pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil && len(pod.Spec.SchedulingGates) == 0
}

func (s *scheduler) bind(pod *corev1.Pod, node string) {
	s.world.record("scheduler", "places pod", pod.Name+" on "+node)
	update(s.world.API, pod, func(pod *corev1.Pod) {
		pod.Spec.NodeName = node
		pod.Status.Conditions = slices.DeleteFunc(pod.Status.Conditions, isScheduling)
	})
}

func (s *scheduler) report(pod *corev1.Pod) {
	s.world.record("scheduler", "has no node for pod", pod.Name)
	update(s.world.API, pod, func(pod *corev1.Pod) {
		pod.Status.Conditions = append(slices.DeleteFunc(pod.Status.Conditions, isScheduling), corev1.PodCondition{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
			Message: "0/2 nodes are available: 2 Too many pods.", LastTransitionTime: metav1.NewTime(s.world.clock.Now()),
		})
	})
}

func isScheduling(condition corev1.PodCondition) bool { return condition.Type == corev1.PodScheduled }

func isUnschedulable(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, isScheduling)
}

// podsOn returns how many pods each node has.
func (s *scheduler) podsOn() map[string]int {
	podsOn := map[string]int{}
	for _, pod := range listOf[*corev1.Pod](s.world.API, kindPod) {
		podsOn[pod.Spec.NodeName]++
	}
	return podsOn
}

// nodeFor returns the node that a pod is placed on; empty if no node can take it.
func (s *scheduler) nodeFor(pod *corev1.Pod, podsOn map[string]int) string {
	if s.isPinned(pod) {
		return ""
	}
	best := ""
	for _, node := range listOf[*corev1.Node](s.world.API, kindNode) {
		selected := labels.SelectorFromSet(pod.Spec.NodeSelector).Matches(labels.Set(node.Labels))
		full := s.world.room > 0 && podsOn[node.Name] >= s.world.room
		feasible := selected && !isLost(node) && !full && s.affine(pod, node)
		if feasible && (best == "" || podsOn[node.Name] < podsOn[best]) {
			best = node.Name
		}
	}
	return best
}

// affine reports whether required affinity and anti-affinity allow a pod on a node. A pod whose affinity matches the
// pod itself may be the first.
func (s *scheduler) affine(pod *corev1.Pod, node *corev1.Node) bool {
	for _, term := range affinityOf(pod) {
		everywhere, nearby := s.count(&term, func(other *corev1.Pod) bool { return matches(&term, other) }, node)
		if node.Labels[term.TopologyKey] == "" || (nearby == 0 && (everywhere > 0 || !matches(&term, pod))) {
			return false
		}
	}
	for _, term := range antiAffinityOf(pod) {
		if _, nearby := s.count(&term, func(other *corev1.Pod) bool { return matches(&term, other) }, node); nearby > 0 {
			return false
		}
	}
	for _, other := range listOf[*corev1.Pod](s.world.API, kindPod) {
		for _, term := range antiAffinityOf(other) {
			_, nearby := s.count(&term, func(candidate *corev1.Pod) bool { return candidate == other }, node)
			if nearby > 0 && matches(&term, pod) {
				return false
			}
		}
	}
	return true
}

// count counts the wanted pods on all nodes, and on the nodes of the same topology domain.
func (s *scheduler) count(
	term *corev1.PodAffinityTerm, wanted func(*corev1.Pod) bool, node *corev1.Node,
) (everywhere, nearby int) {
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
		panic(err) // An API server refuses such a selector.
	}
	return selector.Matches(labels.Set(pod.Labels))
}
