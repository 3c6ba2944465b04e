// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// Drained is a group that a drain of nodes takes down.
type Drained struct {
	Set   *Set
	Group Group

	// Pods are those on the nodes.
	Pods []*corev1.Pod

	// Budgets are those that hold for the pods.
	Budgets []*policyv1.PodDisruptionBudget
}

// TakesGroup reports whether the loss of a pod recreates the whole group.
func (d *Drained) TakesGroup() bool {
	return d.Set.LWS.RestartPolicy() != leaderworkersetv1.NoneRestartPolicy
}

// Drain returns the groups of sets that have pods on nodes.
func Drain(sets []*Set, nodes []string) []Drained {
	var drained []Drained
	for _, set := range sets {
		for _, group := range set.Groups {
			found := Drained{Set: set, Group: group}
			for _, pod := range group.Pods {
				if pod != nil && slices.Contains(nodes, pod.Spec.NodeName) {
					found.Pods = append(found.Pods, pod)
				}
			}
			if len(found.Pods) > 0 {
				found.Budgets = set.budgetsOf(found.Pods)
				drained = append(drained, found)
			}
		}
	}
	slices.SortStableFunc(drained, func(a, b Drained) int {
		return cmp.Or(cmp.Compare(a.Set.LWS.Namespace, b.Set.LWS.Namespace), cmp.Compare(a.Set.LWS.Name, b.Set.LWS.Name))
	})
	return drained
}

// budgetsOf returns the budgets that select one of the pods.
func (s *Set) budgetsOf(pods []*corev1.Pod) []*policyv1.PodDisruptionBudget {
	var budgets []*policyv1.PodDisruptionBudget
	for _, budget := range s.Budgets {
		selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
		if err != nil {
			continue // The API server refuses evictions by such a budget; it says so itself.
		}
		if slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return selector.Matches(labels.Set(pod.Labels)) }) {
			budgets = append(budgets, budget)
		}
	}
	return budgets
}
