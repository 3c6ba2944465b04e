// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// setSources returns the watches that start passes over sets. Each row names a type of objects, the sets to enqueue,
// the delay, and the predicates that an event has to pass. The setQueue is one more source.
func setSources(cached cache.Cache, memories *memories, batch BatchOptions) []source.Source {
	afterBatch := batchDelay(cached, batch)
	return []source.Source{
		// A change that a user makes does not wait.
		watch(cached, &leaderworkersetv1.LeaderWorkerSet{}, toItself, immediately, specOrMetadataChanged()),

		// A pass does not write a status that the cache shows already. If the cache was stale, its update starts the
		// pass that writes the status.
		watch(cached, &leaderworkersetv1.LeaderWorkerSet{}, toItself, afterBatch,
			contentChanged[leaderworkersetv1.LeaderWorkerSet]()),

		// Changes of a StatefulSet may have to be reverted. Surge waits for the status of the leader StatefulSet.
		watch(cached, &appsv1.StatefulSet{}, toSet, afterBatch, contentChanged[appsv1.StatefulSet]()),

		// Leaders become ready, fail and disappear. Passes over groups report on workers, by the setQueue. Only those that
		// were created without the webhook concern the set.
		watch(cached, &corev1.Pod{}, toSet, afterBatch,
			predicate.Or(leadersOnly(), uninjectedPodsOnly()), podChanged()),

		// A leader that failed is deleted and replaced soon. The record has to say so before the next leader is created.
		watch(cached, &corev1.Pod{}, failedLeaderToSet(memories), immediately,
			leadersOnly(), failedPodsOnly(), podChanged()),

		// A leader of a group that crashed before waits until a pass has decided on its group.
		watch(cached, &corev1.Pod{}, toSet, immediately, gatedLeadersOnly(), podChanged()),

		// The API server refuses leaders.
		watch(cached, &corev1.Event{}, toSetOfRefusal(cached), afterRefusal(cached, batch), refusalChanged()),

		// The set owns a shared Service and ControllerRevisions.
		watch(cached, &corev1.Service{}, toSet, afterBatch, contentChanged[corev1.Service]()),
		watch(cached, &appsv1.ControllerRevision{}, toSet, afterBatch, contentChanged[appsv1.ControllerRevision]()),

		// A deletion may free the name that a set's own object needs: group 3 of the set llama has objects with the name
		// of the set llama-3.
		watch(cached, &appsv1.StatefulSet{}, toItself, immediately, deletionsOnly[*appsv1.StatefulSet]()),
		watch(cached, &corev1.Service{}, toItself, immediately, deletionsOnly[*corev1.Service]()),
	}
}

// groupSources returns the watches that start passes over groups. Its rows read as those of setSources.
func groupSources(cached cache.Cache, batch BatchOptions) []source.Source {
	afterBatch := batchDelay(cached, batch)
	return []source.Source{
		// The leader decides what the group needs next. A failed pod does not wait: its StatefulSet is about to delete
		// it, and a deleted pod no longer shows that it crashed.
		watch(cached, &corev1.Pod{}, toGroup, immediately, predicate.Or(leadersOnly(), failedPodsOnly()), podChanged()),

		// Workers become ready, restart and disappear.
		watch(cached, &corev1.Pod{}, toGroup, workerDelay(cached, afterBatch),
			workersOnly(), workerChanged(cached)),

		// The group owns a worker StatefulSet, and a Service if each group has a subdomain. An object that belongs to
		// another set may have the name that the group needs. Passes read the status of pods, not that of StatefulSets.
		watch(cached, &appsv1.StatefulSet{}, toGroupsByLabelOrName, immediately, contentBesidesStatusChanged()),
		watch(cached, &corev1.Service{}, toGroupsByLabelOrName, immediately, contentChanged[corev1.Service]()),

		// The API server refuses workers.
		watch(cached, &corev1.Event{}, toGroupOfRefusal(cached), immediately, refusalChanged()),

		// Passes relabel and delete the volume claims of workers.
		watch(cached, &corev1.PersistentVolumeClaim{}, toGroup, immediately,
			contentChanged[corev1.PersistentVolumeClaim]()),

		// A change that a user makes concerns all groups.
		watch(cached, &leaderworkersetv1.LeaderWorkerSet{}, toAllGroups(cached), immediately, specOrMetadataChanged()),

		// The cache may show leader pods before the StatefulSet that controls them.
		watch(cached, &appsv1.StatefulSet{}, toAllGroups(cached), immediately, leadersCreatedOrAdopted()),
	}
}

// watch returns a source that enqueues keys after a delay for each event of the cache that passes all predicates.
func watch[T client.Object](
	cached cache.Cache, object T, to keysFunc, after delayFunc, predicates ...predicate.TypedPredicate[T],
) source.Source {
	return source.Kind(cached, object, enqueue[T](to, after), predicates...)
}
