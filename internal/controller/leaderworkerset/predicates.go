// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// contentChanged drops updates that change only the resource version: resyncs, and changes of fields that the cache
// doesn't keep.
func contentChanged[S any, T interface {
	*S
	client.Object
}]() predicate.TypedPredicate[T] {
	return predicate.TypedFuncs[T]{
		UpdateFunc: func(e event.TypedUpdateEvent[T]) bool {
			before := *e.ObjectOld // A shallow copy is enough to set the version.
			T(&before).SetResourceVersion(e.ObjectNew.GetResourceVersion())
			return !equality.Semantic.DeepEqual(T(&before), e.ObjectNew)
		},
	}
}

// contentBesidesStatusChanged drops updates of a StatefulSet that change only its resource version or status.
func contentBesidesStatusChanged() predicate.TypedPredicate[*appsv1.StatefulSet] {
	changed := contentChanged[appsv1.StatefulSet]()
	return predicate.TypedFuncs[*appsv1.StatefulSet]{
		UpdateFunc: func(e event.TypedUpdateEvent[*appsv1.StatefulSet]) bool {
			before := *e.ObjectOld
			before.Status = e.ObjectNew.Status
			return changed.Update(event.TypedUpdateEvent[*appsv1.StatefulSet]{ObjectOld: &before, ObjectNew: e.ObjectNew})
		},
	}
}

// specOrMetadataChanged drops updates of a LeaderWorkerSet that change only its status or finalizers.
func specOrMetadataChanged() predicate.TypedPredicate[*leaderworkersetv1.LeaderWorkerSet] {
	return predicate.TypedFuncs[*leaderworkersetv1.LeaderWorkerSet]{
		UpdateFunc: func(e event.TypedUpdateEvent[*leaderworkersetv1.LeaderWorkerSet]) bool {
			return e.ObjectOld.Generation != e.ObjectNew.Generation ||
				e.ObjectOld.UID != e.ObjectNew.UID ||
				(e.ObjectOld.DeletionTimestamp == nil) != (e.ObjectNew.DeletionTimestamp == nil) ||
				!equality.Semantic.DeepEqual(e.ObjectOld.Labels, e.ObjectNew.Labels) ||
				!equality.Semantic.DeepEqual(e.ObjectOld.Annotations, e.ObjectNew.Annotations)
		},
	}
}

// podChanged does for pods what contentChanged does for other objects. Most events are those of pods, and the cache
// keeps few of a pod's fields: podChanged compares only those.
func podChanged() predicate.TypedPredicate[*corev1.Pod] {
	return predicate.TypedFuncs[*corev1.Pod]{
		UpdateFunc: func(e event.TypedUpdateEvent[*corev1.Pod]) bool {
			return e.ObjectOld.Status.Phase != e.ObjectNew.Status.Phase ||
				podChangedBesidesPhase(e.ObjectOld, e.ObjectNew)
		},
	}
}

// podChangedBesidesPhase compares the fields that trimPod keeps. It leaves out the phase, fields that never change, and
// fields that no pass reads.
func podChangedBesidesPhase(before, after *corev1.Pod) bool {
	return before.UID != after.UID ||
		before.Generation != after.Generation ||
		!before.DeletionTimestamp.Equal(after.DeletionTimestamp) ||
		!maps.Equal(before.Labels, after.Labels) ||
		!maps.Equal(before.Annotations, after.Annotations) ||
		!slices.Equal(before.Finalizers, after.Finalizers) ||
		!equality.Semantic.DeepEqual(before.OwnerReferences, after.OwnerReferences) ||
		before.Spec.NodeName != after.Spec.NodeName ||
		!slices.Equal(before.Spec.SchedulingGates, after.Spec.SchedulingGates) ||
		before.Status.Reason != after.Status.Reason ||
		!equality.Semantic.DeepEqual(before.Status.Conditions, after.Status.Conditions) ||
		!equality.Semantic.DeepEqual(before.Status.InitContainerStatuses, after.Status.InitContainerStatuses) ||
		!equality.Semantic.DeepEqual(before.Status.ContainerStatuses, after.Status.ContainerStatuses)
}

// workerChanged does for worker pods what podChanged does for pods. It drops the start of a worker as well, unless the
// restart policy of its set asks whether workers have started.
func workerChanged(reader client.Reader) predicate.TypedPredicate[*corev1.Pod] {
	return predicate.TypedFuncs[*corev1.Pod]{
		UpdateFunc: func(e event.TypedUpdateEvent[*corev1.Pod]) bool {
			if podChangedBesidesPhase(e.ObjectOld, e.ObjectNew) {
				return true
			}
			phase := e.ObjectNew.Status.Phase
			return e.ObjectOld.Status.Phase != phase &&
				(phase != corev1.PodRunning || restartDependsOnStart(reader, e.ObjectNew))
		},
	}
}

// restartDependsOnStart reports whether the restart policy of a pod's set asks whether pods have started.
func restartDependsOnStart(reader client.Reader, pod *corev1.Pod) bool {
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	err := reader.Get(context.Background(), setOf(pod), lws)
	return err != nil || lws.RestartPolicy() == leaderworkersetv1.RecreateGroupAfterStart
}

// leadersOnly passes the events of leader pods.
func leadersOnly() predicate.TypedPredicate[*corev1.Pod] {
	return predicate.NewTypedPredicateFuncs(func(pod *corev1.Pod) bool { return isLeader(pod) })
}

// workersOnly passes the events of worker pods.
func workersOnly() predicate.TypedPredicate[*corev1.Pod] {
	return predicate.Not(leadersOnly())
}

// uninjectedPodsOnly passes the events of pods that were created without the webhook.
func uninjectedPodsOnly() predicate.TypedPredicate[*corev1.Pod] {
	return predicate.NewTypedPredicateFuncs(snapshot.Uninjected)
}

// failedPodsOnly passes the events of pods that have failed.
func failedPodsOnly() predicate.TypedPredicate[*corev1.Pod] {
	return predicate.NewTypedPredicateFuncs(func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodFailed })
}

// gatedLeadersOnly passes the events of leaders that wait for the restart of their group.
func gatedLeadersOnly() predicate.TypedPredicate[*corev1.Pod] {
	return predicate.NewTypedPredicateFuncs(snapshot.WaitsForRestart)
}

// deletionsOnly passes deletions.
func deletionsOnly[T client.Object]() predicate.TypedPredicate[T] {
	return predicate.TypedFuncs[T]{
		CreateFunc:  func(event.TypedCreateEvent[T]) bool { return false },
		UpdateFunc:  func(event.TypedUpdateEvent[T]) bool { return false },
		GenericFunc: func(event.TypedGenericEvent[T]) bool { return false },
	}
}

// leadersCreatedOrAdopted passes leader StatefulSets that are new, replace another one of the same name, or have a new
// controller.
func leadersCreatedOrAdopted() predicate.TypedPredicate[*appsv1.StatefulSet] {
	return predicate.And(
		predicate.NewTypedPredicateFuncs(isLeaderStatefulSet),
		predicate.TypedFuncs[*appsv1.StatefulSet]{
			UpdateFunc: func(e event.TypedUpdateEvent[*appsv1.StatefulSet]) bool {
				return e.ObjectOld.UID != e.ObjectNew.UID ||
					!equality.Semantic.DeepEqual(metav1.GetControllerOf(e.ObjectOld), metav1.GetControllerOf(e.ObjectNew))
			},
			DeleteFunc: func(event.TypedDeleteEvent[*appsv1.StatefulSet]) bool { return false },
		},
	)
}

// isLeaderStatefulSet reports whether a StatefulSet is labeled with no group.
func isLeaderStatefulSet(sts *appsv1.StatefulSet) bool {
	_, worker := groupOf(sts)
	return !worker
}
