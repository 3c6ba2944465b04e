// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"cmp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// Uninjected reports whether a pod of a set was created without the webhook: the webhook's configuration was missing.
// Such a pod lacks labels, variables, subdomain and affinity.
//
// The webhook answers with one patch, which the API server applies as a whole or not at all. So one of its changes
// proves all of them. Every injected pod has both indices as labels. No StatefulSet has both in its template: the group
// index of a leader and the worker index of a worker depend on the pod. If somebody has removed a label since, the
// variables prove the injection.
func Uninjected(pod *corev1.Pod) bool {
	return pod.Labels[leaderworkersetv1.SetNameLabelKey] != "" && !hasIndices(pod) &&
		!slices.ContainsFunc(pod.Spec.Containers, hasIndexVariable)
}

func hasIndices(pod *corev1.Pod) bool {
	_, group := identity.ParseIndex(pod.Labels[leaderworkersetv1.GroupIndexLabelKey])
	_, worker := identity.ParseIndex(pod.Labels[leaderworkersetv1.WorkerIndexLabelKey])
	return group && worker
}

// hasIndexVariable reports whether a container has the variable with the worker index. Users have no reason to set that
// one themselves, as they may do with the leader's address.
func hasIndexVariable(container corev1.Container) bool {
	return slices.ContainsFunc(container.Env, func(variable corev1.EnvVar) bool {
		return variable.Name == leaderworkersetv1.WorkerIndexEnvVar
	})
}

// ProofOfInjection returns what Uninjected reads of a pod's containers, if it reads them.
func ProofOfInjection(pod *corev1.Pod) []corev1.Container {
	if hasIndices(pod) || !slices.ContainsFunc(pod.Spec.Containers, hasIndexVariable) {
		return nil
	}
	return []corev1.Container{{Env: []corev1.EnvVar{{Name: leaderworkersetv1.WorkerIndexEnvVar}}}}
}

// MarkUninjected sets the field Uninjected of the groups that the pods belong to: to the leader, or else to the worker
// with the lowest index. Pods that are deleted already don't count. It also sets the field for a leader that had no
// index when its worker StatefulSet was made.
func MarkUninjected(groups []Group, pods []*corev1.Pod) {
	for i := range groups {
		if lackedIndex(groups[i].Workers) {
			groups[i].Uninjected = groups[i].Leader
		}
	}
	if len(pods) == 0 {
		return
	}
	byName := make(map[string]*Group, len(groups))
	for i := range groups {
		byName[groups[i].Leader.Name] = &groups[i]
	}
	leadersFirst := func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	}
	for _, pod := range slices.SortedFunc(slices.Values(pods), leadersFirst) {
		if group := groupOf(pod, byName); group != nil && group.Uninjected == nil && pod.DeletionTimestamp == nil {
			group.Uninjected = pod
		}
	}
}

// lackedIndex reports whether another controller has made a worker StatefulSet from a leader without an index. That
// controller copied an empty index into the selector, which can't be changed. The webhook rejects all workers of such a
// StatefulSet. Somebody may have labeled the leader since, but it still lacks the rest.
func lackedIndex(workers *appsv1.StatefulSet) bool {
	if workers == nil || workers.Spec.Selector == nil {
		return false
	}
	index, selected := workers.Spec.Selector.MatchLabels[leaderworkersetv1.GroupIndexLabelKey]
	return selected && index == ""
}

// groupOf returns the group that a pod belongs to, by its name and owner; nil if it belongs to none.
func groupOf(pod *corev1.Pod, byName map[string]*Group) *Group {
	if group := byName[pod.Name]; group != nil && group.Leader.UID == pod.UID {
		return group
	}
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return nil
	}
	if group := byName[owner.Name]; group != nil && group.Workers != nil && group.Workers.UID == owner.UID {
		return group
	}
	return nil
}

// CreatedWithoutWebhook returns the failure of a group with an uninjected pod.
func CreatedWithoutWebhook(pod *corev1.Pod) string {
	return "pod " + pod.Name + " was created without the webhook"
}
