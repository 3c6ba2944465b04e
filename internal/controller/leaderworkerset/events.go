// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"cmp"
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// workQueue is the queue of a controller.
type workQueue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// keysFunc maps the object of an event to the sets or groups that a pass has to handle. A group has the key of its
// leader pod.
type keysFunc func(context.Context, client.Object) []types.NamespacedName

// objectChange is what an event says of an object. before is nil for a creation, after for a deletion.
type objectChange struct{ before, after client.Object }

// delayFunc returns how long a change waits for further ones.
type delayFunc func(context.Context, objectChange) time.Duration

// enqueue returns a handler that adds the keys of an event's object to the queue after the delay. An update adds those
// of the old object as well if they differ: labels may have changed.
func enqueue[T client.Object](to keysFunc, after delayFunc) handler.TypedFuncs[T, reconcile.Request] {
	add := func(ctx context.Context, queue workQueue, of objectChange, keys []types.NamespacedName) {
		for _, key := range keys {
			queue.AddAfter(reconcile.Request{NamespacedName: key}, after(ctx, of))
		}
	}
	return handler.TypedFuncs[T, reconcile.Request]{
		CreateFunc: func(ctx context.Context, e event.TypedCreateEvent[T], queue workQueue) {
			add(ctx, queue, objectChange{after: e.Object}, to(ctx, e.Object))
		},
		UpdateFunc: func(ctx context.Context, e event.TypedUpdateEvent[T], queue workQueue) {
			oldKeys, newKeys := to(ctx, e.ObjectOld), to(ctx, e.ObjectNew)
			if !slices.Equal(oldKeys, newKeys) {
				add(ctx, queue, objectChange{before: e.ObjectOld}, oldKeys)
			}
			add(ctx, queue, objectChange{before: e.ObjectOld, after: e.ObjectNew}, newKeys)
		},
		DeleteFunc: func(ctx context.Context, e event.TypedDeleteEvent[T], queue workQueue) {
			add(ctx, queue, objectChange{before: e.Object}, to(ctx, e.Object))
		},
	}
}

// toItself maps a set to itself, and another object to the set that has its name.
func toItself(_ context.Context, object client.Object) []types.NamespacedName {
	return []types.NamespacedName{client.ObjectKeyFromObject(object)}
}

// toSet maps an object to the set of its labels.
func toSet(_ context.Context, object client.Object) []types.NamespacedName {
	return []types.NamespacedName{setOf(object)}
}

// failedLeaderToSet maps a leader pod that has failed to its set, and remembers the failure for passes over that set.
func failedLeaderToSet(memories *memories) keysFunc {
	return func(ctx context.Context, object client.Object) []types.NamespacedName {
		pod, isPod := object.(*corev1.Pod)
		_, index, isNamed := identity.Parse(object.GetName())
		if !isPod || !isNamed {
			return nil
		}
		failed, ok := restart.FailedLeaderOf(pod)
		if !ok {
			return nil
		}
		memories.storeFailedLeader(setOf(object), index, failed)
		return toSet(ctx, object)
	}
}

// toGroup maps an object to its group, if it is one of a group.
func toGroup(_ context.Context, object client.Object) []types.NamespacedName {
	if group, ok := groupOf(object); ok {
		return []types.NamespacedName{group}
	}
	return nil
}

// toGroupsByLabelOrName maps a StatefulSet or Service to the group of its labels and to the group that has its name.
// The objects of a group have the name of its leader. So the objects of the set llama-3 may have the names that group 3
// of the set llama needs.
func toGroupsByLabelOrName(ctx context.Context, object client.Object) []types.NamespacedName {
	groups := toGroup(ctx, object)
	byName := client.ObjectKeyFromObject(object)
	if _, _, ok := identity.Parse(byName.Name); ok && !slices.Contains(groups, byName) {
		groups = append(groups, byName)
	}
	return groups
}

// toAllGroups maps a set to all its groups that have a leader pod. The leader StatefulSet has the name of the set and
// maps to the same groups.
func toAllGroups(reader client.Reader) keysFunc {
	return func(ctx context.Context, object client.Object) []types.NamespacedName {
		var leaders corev1.PodList
		set := client.MatchingFields{leadersOfSet: object.GetName()}
		if err := reader.List(ctx, &leaders, client.InNamespace(object.GetNamespace()), set); err != nil {
			return nil // Only a cache that is being stopped fails.
		}
		groups := make([]types.NamespacedName, len(leaders.Items))
		for i := range leaders.Items {
			groups[i] = client.ObjectKeyFromObject(&leaders.Items[i])
		}
		return groups
	}
}

// immediately is no delay.
func immediately(context.Context, objectChange) time.Duration { return 0 }

// batchDelay returns the batch delay of a set, or of the set that an object is labeled with. Objects of a set that no
// longer exists wait for the longest batch delay.
func batchDelay(reader client.Reader, batch BatchOptions) delayFunc {
	return func(ctx context.Context, of objectChange) time.Duration {
		object := cmp.Or(of.after, of.before)
		if lws, ok := object.(*leaderworkersetv1.LeaderWorkerSet); ok {
			return batch.For(lws)
		}
		lws := &leaderworkersetv1.LeaderWorkerSet{}
		if err := reader.Get(ctx, setOf(object), lws); err != nil {
			return batch.MaxDelay
		}
		return batch.For(lws)
	}
}

// workerDelay returns the given delay of a worker pod, but no delay for a change that may decide something: the worker
// isn't ready any more, or it is the last one that the group waits for to be ready or to be deleted. The workers of a
// leader that terminates decide nothing.
func workerDelay(reader client.Reader, delay delayFunc) delayFunc {
	return func(ctx context.Context, of objectChange) time.Duration {
		wasReady, isReady := isReadyPod(of.before), isReadyPod(of.after)
		switch {
		case isReady && workersAreAll(ctx, reader, of.after, true),
			of.after == nil && workersAreAll(ctx, reader, of.before, false),
			wasReady && !isReady && !leaderTerminates(ctx, reader, of.before):
			return 0
		default:
			return delay(ctx, of)
		}
	}
}

// isReadyPod reports whether an object is a pod that serves.
func isReadyPod(object client.Object) bool {
	pod, ok := object.(*corev1.Pod)
	return ok && pod.DeletionTimestamp == nil && snapshot.PodReady(pod)
}

// leaderTerminates reports whether the leader of a worker is marked for deletion or gone.
func leaderTerminates(ctx context.Context, reader client.Reader, worker client.Object) bool {
	leader := &corev1.Pod{}
	key, _ := groupOf(worker)
	err := reader.Get(ctx, key, leader)
	return err != nil || leader.DeletionTimestamp != nil
}

// workersAreAll reports whether all workers that a group ever has are ready in the cache or, if ready is false, whether
// all are gone.
func workersAreAll(ctx context.Context, reader client.Reader, worker client.Object, ready bool) bool {
	var workers corev1.PodList
	key, _ := groupOf(worker)
	group := client.MatchingFields{identity.WorkersOfGroup: key.Name}
	if err := reader.List(ctx, &workers, client.InNamespace(key.Namespace), group); err != nil {
		return false // Only a cache that is being stopped fails.
	}
	if !ready {
		return len(workers.Items) == 0
	}
	size, ok := identity.ParseIndex(worker.GetAnnotations()[leaderworkersetv1.SizeAnnotationKey])
	isUnready := func(pod corev1.Pod) bool { return !snapshot.PodReady(&pod) }
	return ok && len(workers.Items) == int(size)-1 && !slices.ContainsFunc(workers.Items, isUnready)
}

// setOf returns the key of the set that an object is labeled with.
func setOf(object client.Object) types.NamespacedName {
	name := object.GetLabels()[leaderworkersetv1.SetNameLabelKey]
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: name}
}

// groupOf returns the key of the group that an object is labeled with: the key of its leader pod. A pod that was
// created without the webhook lacks labels: its name or that of its StatefulSet names its group. ok reports whether the
// object is one of a group.
func groupOf(object client.Object) (group types.NamespacedName, ok bool) {
	set := setOf(object)
	if index, ok := identity.ParseIndex(object.GetLabels()[leaderworkersetv1.GroupIndexLabelKey]); ok {
		return at(set, identity.Leader(set.Name, index)), true
	}
	owner := metav1.GetControllerOf(object)
	if _, isPod := object.(*corev1.Pod); !isPod || owner == nil || owner.Kind != "StatefulSet" {
		return types.NamespacedName{}, false
	}
	name := owner.Name // The worker StatefulSet of a group has the name of the leader.
	if isLeader(object) {
		name = object.GetName()
	}
	parent, _, ok := identity.Parse(name)
	return at(set, name), ok && parent == set.Name
}
