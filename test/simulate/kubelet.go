// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// kubelets start the pods that have a node, and stop those that terminate. Both take some time. The kubelet of a lost
// node does nothing.
type kubelets struct {
	world *World

	readyAt   map[types.UID]time.Time // when a pod that isn't ready will be
	stoppedAt map[types.UID]time.Time // when a terminating pod will have stopped
}

func newKubelets(world *World) *kubelets {
	k := &kubelets{world: world, readyAt: map[types.UID]time.Time{}, stoppedAt: map[types.UID]time.Time{}}
	world.API.watches = append(world.API.watches, k.watch)
	return k
}

// watch chooses the time that a pod takes to start, once it has a node or a container restarts. It also chooses the
// time that a pod takes to stop, once it terminates: at most its grace period.
func (k *kubelets) watch(change Change) {
	pod, ok := change.New.(*corev1.Pod)
	if !ok || pod.Spec.NodeName == "" {
		return
	}
	now := k.world.clock.Now()
	switch _, known := k.readyAt[pod.UID]; {
	case podIsReady(pod):
		delete(k.readyAt, pod.UID)
	case !known:
		k.readyAt[pod.UID] = now.Add(k.world.duration(startup))
	}
	if _, known := k.stoppedAt[pod.UID]; !known && pod.DeletionTimestamp != nil {
		grace := seconds(ptr.Deref(pod.DeletionGracePeriodSeconds, 0))
		k.stoppedAt[pod.UID] = now.Add(min(grace, k.world.duration(shutdown)))
	}
}

func (k *kubelets) actions() []action {
	var actions []action
	now := k.world.clock.Now()
	for _, pod := range listOf[*corev1.Pod](k.world.API, kindPod) {
		due, starts := k.due(pod)
		switch {
		case due.IsZero() || due.After(now):
		case starts:
			actions = append(actions, func() { k.start(pod) })
		default:
			actions = append(actions, func() { k.stop(pod) })
		}
	}
	return actions
}

// next returns when the next pod becomes ready or has stopped.
func (k *kubelets) next() time.Time {
	var next time.Time
	for _, pod := range listOf[*corev1.Pod](k.world.API, kindPod) {
		due, _ := k.due(pod)
		next = earlier(next, due)
	}
	return next
}

// BrokenImage is an image whose pods run and never become ready.
const BrokenImage = "image:broken"

// due returns when the pod becomes ready, if starts is true, or when it has stopped. The zero time is never.
func (k *kubelets) due(pod *corev1.Pod) (at time.Time, starts bool) {
	switch {
	case pod.Spec.NodeName == "" || k.world.nodeIsLost(pod.Spec.NodeName):
		return time.Time{}, false
	case pod.DeletionTimestamp == nil && (isBroken(pod) || hasWaitingContainer(pod)):
		return time.Time{}, false
	case pod.DeletionTimestamp == nil && (pod.Status.Phase == corev1.PodPending || recovers(pod)):
		return k.readyAt[pod.UID], true
	case pod.DeletionTimestamp != nil && ptr.Deref(pod.DeletionGracePeriodSeconds, 0) > 0:
		return k.stoppedAt[pod.UID], false
	default:
		return time.Time{}, false
	}
}

func isBroken(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(container corev1.Container) bool {
		return container.Image == BrokenImage
	})
}

// hasWaitingContainer reports whether an accident keeps a container of the pod from being started.
func hasWaitingContainer(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(status corev1.ContainerStatus) bool {
		return status.State.Waiting != nil
	})
}

// recovers reports whether a pod will become ready again. [API.Break] removed the conditions of one that won't.
func recovers(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && !podIsReady(pod) && len(pod.Status.Conditions) > 0
}

func (k *kubelets) start(pod *corev1.Pod) {
	k.world.record("kubelet", "has ready pod", pod.Name)
	update(k.world.API, pod, func(pod *corev1.Pod) {
		pod.Status.Phase = corev1.PodRunning
		k.world.setReady(pod, corev1.ConditionTrue)
	})
}

// Break makes a running pod unready for good.
func (a *API) Break(key types.NamespacedName) {
	if pod := getOf[*corev1.Pod](a, kindPod, key); pod != nil && pod.Status.Phase == corev1.PodRunning {
		update(a, pod, func(pod *corev1.Pod) { pod.Status.Conditions = nil })
	}
}

// IsBroken reports whether a pod runs and isn't ready.
func (a *API) IsBroken(key types.NamespacedName) bool {
	pod := getOf[*corev1.Pod](a, kindPod, key)
	return pod != nil && pod.Status.Phase == corev1.PodRunning && !podIsReady(pod)
}

// stop ends a pod's grace period, which deletes the pod unless it has finalizers.
func (k *kubelets) stop(pod *corev1.Pod) {
	k.world.record("kubelet", "has stopped pod", pod.Name)
	update(k.world.API, pod, func(pod *corev1.Pod) { pod.DeletionGracePeriodSeconds = ptr.To[int64](0) })
}
