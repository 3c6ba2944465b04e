// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What follows happens to pods. Nothing happens to one that isn't there.

// DeletePod has a user delete a pod, which takes its grace period.
func (w *World) DeletePod(key types.NamespacedName, policy metav1.DeletionPropagation) {
	w.t.Helper()
	if w.API.Get(kindPod, key) != nil {
		w.User("deletes pod "+key.Name+", propagation "+string(policy), func() error { return w.API.Delete(kindPod, key, nil, policy) })
	}
}

// KillPod has a user delete a pod by force.
func (w *World) KillPod(key types.NamespacedName) {
	w.t.Helper()
	if w.API.Get(kindPod, key) != nil {
		w.User("deletes pod "+key.Name+", grace period 0", func() error { return w.API.Kill(key) })
	}
}

// RestartContainer has the container of a pod end, and be started again.
func (w *World) RestartContainer(key types.NamespacedName) {
	w.befall("restarts the container of pod", key, func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = restarted(pod.Status.ContainerStatuses, "main")
	})
}

// RestartInitContainer has the init container of a pod end, and be started again.
func (w *World) RestartInitContainer(key types.NamespacedName) {
	w.befall("restarts the init container of pod", key, func(pod *corev1.Pod) {
		pod.Status.InitContainerStatuses = restarted(pod.Status.InitContainerStatuses, "init")
	})
}

// FailPod has a pod fail for a reason, such as Evicted; without one, all its containers have ended for good.
func (w *World) FailPod(key types.NamespacedName, reason string) {
	w.befall("has failed pod", key, func(pod *corev1.Pod) { pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, reason })
}

// befall has the kubelet report a change of a pod, which isn't ready afterwards.
func (w *World) befall(what string, key types.NamespacedName, change func(*corev1.Pod)) {
	pod := getOf[*corev1.Pod](w.API, kindPod, key)
	if pod == nil || pod.Spec.NodeName == "" || w.nodeIsLost(pod.Spec.NodeName) {
		return
	}
	w.tell("kubelet", what, pod.Name)
	w.accident(func() {
		update(w.API, pod, func(pod *corev1.Pod) {
			change(pod)
			w.setReady(pod, corev1.ConditionFalse)
		})
	})
}

// accident has something happen that the operator can't foresee.
func (w *World) accident(do func()) {
	w.accidental = true
	do()
	w.accidental = false
}

// restarted has the container of that name restarted once more.
func restarted(statuses []corev1.ContainerStatus, name string) []corev1.ContainerStatus {
	result := slices.Clone(statuses)
	for i := range result {
		if result[i].Name == name {
			result[i].RestartCount++
			return result
		}
	}
	return append(result, corev1.ContainerStatus{Name: name, RestartCount: 1})
}
