// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"iter"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// LeaderSize returns the number of pods in the group of a leader, from the leader's annotation; 1 if that can't be
// read.
func LeaderSize(leader *corev1.Pod) int32 {
	if size, ok := identity.ParseIndex(leader.Annotations[leaderworkersetv1.SizeAnnotationKey]); ok && size > 0 {
		return size
	}
	return 1
}

// PodReady reports whether the pod's Ready condition is True.
func PodReady(pod *corev1.Pod) bool {
	ready := ConditionOf(pod, corev1.PodReady)
	return ready != nil && ready.Status == corev1.ConditionTrue
}

// ConditionOf returns a condition of a pod; nil if there is none.
func ConditionOf(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// isUnschedulable reports whether a pod's condition PodScheduled says that no node can take the pod. scheduled is nil
// if the scheduler hasn't tried yet.
func isUnschedulable(scheduled *corev1.PodCondition) bool {
	return scheduled != nil && scheduled.Status == corev1.ConditionFalse &&
		scheduled.Reason == corev1.PodReasonUnschedulable
}

// waitsForRoomSince returns since when no node can take a pod, or another controller's scheduling gate holds the pod; a
// queue gates pods until there is room. The time is zero if neither is so, if the scheduler hasn't tried, and while the
// operator itself gates the pod.
func waitsForRoomSince(pod *corev1.Pod) time.Time {
	gates := len(ForeignGates(pod))
	switch scheduled := ConditionOf(pod, corev1.PodScheduled); {
	case gates > 0 && gates == len(pod.Spec.SchedulingGates):
		return pod.CreationTimestamp.Time
	case isUnschedulable(scheduled):
		return scheduled.LastTransitionTime.Time
	default:
		return time.Time{}
	}
}

// earlier returns the earlier one of two times. A zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// ContainerStatuses returns the statuses of a pod's init containers, and then of its containers.
func ContainerStatuses(pod *corev1.Pod) iter.Seq[*corev1.ContainerStatus] {
	return func(yield func(*corev1.ContainerStatus) bool) {
		for _, statuses := range [][]corev1.ContainerStatus{
			pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses,
		} {
			for i := range statuses {
				if !yield(&statuses[i]) {
					return
				}
			}
		}
	}
}

// WaitsForPreviousGroup reports whether the leader is gated until the pods of its group's previous incarnation are
// deleted.
func WaitsForPreviousGroup(leader *corev1.Pod) bool {
	return slices.ContainsFunc(leader.Spec.SchedulingGates, IsPreviousGroupGate)
}

// IsPreviousGroupGate reports whether the scheduling gate is that of leaders whose previous group still exists.
func IsPreviousGroupGate(gate corev1.PodSchedulingGate) bool {
	return gate.Name == leaderworkersetv1.PreviousGroupSchedulingGate
}

// WaitsForRestart reports whether the leader is gated until its group may restart.
func WaitsForRestart(leader *corev1.Pod) bool {
	return slices.ContainsFunc(leader.Spec.SchedulingGates, IsRestartGate)
}

// IsRestartGate reports whether the scheduling gate is that of leaders whose group may have to wait for its restart.
func IsRestartGate(gate corev1.PodSchedulingGate) bool {
	return gate.Name == leaderworkersetv1.RestartSchedulingGate
}

// ForeignGates returns the scheduling gates of a pod that other controllers have to remove.
func ForeignGates(pod *corev1.Pod) []string {
	var names []string
	for _, gate := range pod.Spec.SchedulingGates {
		if !IsPreviousGroupGate(gate) && !IsRestartGate(gate) {
			names = append(names, gate.Name)
		}
	}
	return names
}
