// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RemoveWebhook deletes the configuration of the operator's webhook: pods are created as they are.
func (w *World) RemoveWebhook() {
	w.t.Helper()
	w.User("deletes the MutatingWebhookConfiguration", func() error { w.API.noWebhook = true; return nil })
}

// RestoreWebhook creates that configuration again.
func (w *World) RestoreWebhook() {
	w.t.Helper()
	w.User("creates the MutatingWebhookConfiguration", func() error { w.API.noWebhook = false; return nil })
}

// addUninjected adds the failure of a pod that a StatefulSet creates without the webhook: its group may be restarted,
// under every restart policy.
func (w *World) addUninjected(pod *corev1.Pod) {
	owner, incarnation := metav1.GetControllerOf(pod), w.incarnations.byPod[pod.UID]
	if !w.API.noWebhook || owner == nil || owner.Kind != kindStatefulSet || incarnation == nil {
		return
	}
	w.API.uninjected[pod.UID] = true
	if incarnation.failure == "" {
		incarnation.failure = "pod " + pod.Name + " was created without the webhook"
	}
}

// CheckInjected checks that no pod of a StatefulSet is left that was created without the webhook.
func (w *World) CheckInjected() {
	w.t.Helper()
	for _, pod := range listOf[*corev1.Pod](w.API, kindPod) {
		if w.API.uninjected[pod.UID] {
			w.fail("pod %s was created without the webhook, and is still there", pod.Name)
		}
	}
}
