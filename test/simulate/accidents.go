// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Each accident happens to a pod. Without the pod, nothing happens.

// DeletePod deletes a pod as a user. The pod gets its grace period.
func (w *World) DeletePod(key types.NamespacedName, policy metav1.DeletionPropagation) {
	w.t.Helper()
	if w.API.Get(kindPod, key) != nil {
		what := "deletes pod " + key.Name + ", propagation " + string(policy)
		w.User(what, func() error { return w.API.Delete(kindPod, key, nil, policy) })
	}
}

// KillPod deletes a pod as a user, without a grace period.
func (w *World) KillPod(key types.NamespacedName) {
	w.t.Helper()
	if w.API.Get(kindPod, key) != nil {
		w.User("deletes pod "+key.Name+", grace period 0", func() error { return w.API.Kill(key) })
	}
}

// AnnotatePod annotates a pod as a user.
func (w *World) AnnotatePod(key types.NamespacedName, annotation, value string) {
	w.t.Helper()
	if pod := getOf[*corev1.Pod](w.API, kindPod, key); pod != nil {
		w.User(fmt.Sprintf("annotates pod %s with %s=%s", key.Name, annotation, value), func() error {
			update(w.API, pod, func(pod *corev1.Pod) {
				pod.Annotations = maps.Clone(pod.Annotations)
				if pod.Annotations == nil {
					pod.Annotations = map[string]string{}
				}
				pod.Annotations[annotation] = value
			})
			return nil
		})
	}
}

// RestartContainer ends the container of a pod for lack of memory, and the kubelet starts it again.
func (w *World) RestartContainer(key types.NamespacedName) {
	w.changePod("restarts the container of pod", key, func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = restarted(pod.Status.ContainerStatuses, "main")
	})
}

// RestartInitContainer ends the init container of a pod, and the kubelet starts it again.
func (w *World) RestartInitContainer(key types.NamespacedName) {
	w.changePod("restarts the init container of pod", key, func(pod *corev1.Pod) {
		pod.Status.InitContainerStatuses = restarted(pod.Status.InitContainerStatuses, "init")
	})
}

// FailPod sets the phase of a pod to Failed, for a reason such as Evicted. Without a reason, all its containers ended.
func (w *World) FailPod(key types.NamespacedName, reason string) {
	w.changePod("has failed pod", key, func(pod *corev1.Pod) {
		pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, reason
	})
}

// changePod changes a pod as its kubelet, after which the pod isn't ready.
func (w *World) changePod(what string, key types.NamespacedName, change func(*corev1.Pod)) {
	pod := getOf[*corev1.Pod](w.API, kindPod, key)
	if pod == nil || pod.Spec.NodeName == "" || w.nodeIsLost(pod.Spec.NodeName) {
		return
	}
	w.record("kubelet", what, pod.Name)
	w.accident(func() {
		update(w.API, pod, func(pod *corev1.Pod) {
			change(pod)
			w.setReady(pod, corev1.ConditionFalse)
		})
	})
}

// accident makes a change that the operator can't foresee.
func (w *World) accident(do func()) {
	w.accidental = true
	do()
	w.accidental = false
}

// restarted returns the statuses after another restart of the container of that name.
func restarted(statuses []corev1.ContainerStatus, name string) []corev1.ContainerStatus {
	result := slices.Clone(statuses)
	for i := range result {
		if result[i].Name == name {
			result[i].RestartCount++
			return result
		}
	}
	killed := &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}
	return append(result, corev1.ContainerStatus{
		Name: name, RestartCount: 1, LastTerminationState: corev1.ContainerState{Terminated: killed},
	})
}

// LimitNodes limits each of the two nodes to a number of pods, terminating ones included.
func (w *World) LimitNodes(pods int) {
	w.User(fmt.Sprintf("limits each node to %d pods", pods), func() error { w.room = pods; return nil })
}
