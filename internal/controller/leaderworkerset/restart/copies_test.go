// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// TestCopiesAreNoMembers checks that a pod that the worker StatefulSet has adopted for its name, and deletes for its
// index, neither fails the group nor belongs to it.
func TestCopiesAreNoMembers(t *testing.T) {
	for _, index := range []int32{0, 3, 9} {
		for what, change := range map[string]func(*corev1.Pod){
			"runs":        func(*corev1.Pod) {},
			"is deleted":  func(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{} },
			"has failed":  func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed },
			"was created": func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodPending },
		} {
			known := restart.Observe(restart.Incarnation{}, "", running(nil))
			copied := running(func(m *snapshot.GroupMembers) {
				pod := workerPod(m, index, "copy")
				change(pod)
				m.WorkerPods = append(m.WorkerPods, pod)
			})
			got := restart.Observe(known, "", copied)
			if got.Failure != (restart.Failure{}) || got.Fingerprint != known.Fingerprint {
				t.Errorf("copy %d %s: failure %q, fingerprint %q; want none and that of the group",
					index, what, got.Failure.Message, got.Fingerprint)
			}
			began := restart.Observe(restart.Incarnation{}, known.Fingerprint, copied)
			if began.Failure != (restart.Failure{}) || len(began.Members) != 3 {
				t.Errorf("copy %d %s: an operator that starts has failure %q and %d members",
					index, what, began.Failure.Message, len(began.Members))
			}
			if got := restart.Observe(known, "", running(nil)); got.Failure != (restart.Failure{}) {
				t.Errorf("copy %d %s, and later doesn't exist: failure %q", index, what, got.Failure.Message)
			}
		}
	}
}

// TestNoneWinsOverTheAnnotation checks that the annotation says when groups are recreated, and not that they are.
func TestNoneWinsOverTheAnnotation(t *testing.T) {
	none := func(m *snapshot.GroupMembers) {
		m.LWS.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
		m.LWS.Annotations = map[string]string{leaderworkersetv1.RecreateGroupAfterStartAnnotationKey: "true"}
	}
	known := restart.Observe(restart.Incarnation{}, "", running(none))
	got := restart.Observe(known, "", running(func(m *snapshot.GroupMembers) { none(m); m.WorkerPods = m.WorkerPods[:1] }))
	if got.Failure != (restart.Failure{}) {
		t.Errorf("failure %q", got.Failure.Message)
	}
}
