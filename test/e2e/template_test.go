// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

// The tests of this file change annotations of pods within one revision.

// TestLocalExclusiveLater requests exclusive placement for a set that exists, and withdraws the request. Groups that
// are created from then on follow; groups that exist stay.
func TestLocalExclusiveLater(t *testing.T) {
	t.Parallel()
	const key = leaderworkersetv1.ExclusiveKeyAnnotationKey
	namespace := newNamespace(t)
	lws := newSet(namespace, "later", 1, 2)
	create(t, lws)
	untilAvailable(t, lws)
	first := uidsOf(listed(t, podsIn(namespace)))

	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		metav1.SetMetaDataAnnotation(&lws.ObjectMeta, key, cluster.RackLabel)
	})
	untilAnnotated(t, lws, cluster.RackLabel)
	edit(t, lws, scaledTo(2))
	untilAvailable(t, lws)
	checkExclusive(t, lws, "later-0", false)
	checkExclusive(t, lws, "later-1", true)

	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) { delete(lws.Annotations, key) })
	untilAnnotated(t, lws, "")
	edit(t, lws, scaledTo(3))
	untilAvailable(t, lws)
	checkExclusive(t, lws, "later-1", true)
	checkExclusive(t, lws, "later-2", false)
	check(t, "UIDs of the first group", first, uidsOf(listed(t, podsIn(namespace,
		client.MatchingLabels{leaderworkersetv1.GroupIndexLabelKey: "0"}))))

	remove(t, named(t, listed(t, podsIn(namespace)), "later-1"))
	eventually(t, func(ctx context.Context) error {
		pod := &corev1.Pod{}
		err := suite.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "later-1-1"}, pod)
		return unless(err == nil && objects.PodReady(pod) && len(pod.Spec.NodeSelector) == 0, "%s: %v", pod.Name, err)
	})
	checkExclusive(t, lws, "later-1", false)
	check(t, "revisions", 1, len(revisionsOf(t, lws)))
}

func scaledTo(replicas int32) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To(replicas) }
}

// untilAnnotated waits until the leader StatefulSet requests placement as the set does.
func untilAnnotated(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, nodeLabel string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		leaders := &appsv1.StatefulSet{}
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(lws), leaders)
		value, found := leaders.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey]
		return unless(err == nil && found && value == nodeLabel, "annotation %q, %v", value, err)
	})
}

// checkExclusive checks whether the group of a leader is placed exclusively: the leader by its affinity, and the worker
// by its nodeSelector.
func checkExclusive(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, leader string, want bool) {
	t.Helper()
	pods := listed(t, podsIn(lws.Namespace))
	check(t, "affinity of "+leader, want, named(t, pods, leader).Spec.Affinity != nil)
	_, bound := named(t, pods, leader+"-1").Spec.NodeSelector[cluster.RackLabel]
	check(t, "nodeSelector of the worker of "+leader, want, bound)
}

// TestRolloutRestart restarts the leader StatefulSet as kubectl does. The operator undoes that: no more than one group
// is restarted. The same annotation in the set's template restarts all groups, by a rollout.
func TestRolloutRestart(t *testing.T) {
	t.Parallel()
	const replicas, size = 4, 2
	const restartedAt = "kubectl.kubernetes.io/restartedAt"
	namespace := newNamespace(t)
	lws := newSet(namespace, "restarted", replicas, size, readyAfter("2s"))
	create(t, lws)
	untilAvailable(t, lws)
	film := newFilm(t, namespace, "restarted")
	leaders := named(t, listed(t, statefulSetsIn(namespace)), "restarted")
	edit(t, leaders, func(leaders *appsv1.StatefulSet) {
		metav1.SetMetaDataAnnotation(&leaders.Spec.Template.ObjectMeta, restartedAt, "2026-03-01T12:00:00Z")
	})
	eventually(t, func(context.Context) error {
		refresh(t, leaders)
		status := leaders.Status
		settled := status.ObservedGeneration == leaders.Generation && status.UpdatedReplicas == replicas &&
			status.ReadyReplicas == replicas && status.CurrentRevision == status.UpdateRevision
		return unless(leaders.Spec.Template.Annotations[restartedAt] == "" && settled, "status %+v", status)
	})
	untilAvailable(t, lws)
	if fewest := film.fewestReady(t); fewest < replicas-1 {
		t.Errorf("only %d groups were ready at a time, want %d", fewest, replicas-1)
	}
	incarnations := film.pods.incarnations(t)
	for index := range int32(replicas - 1) {
		for _, name := range groupNames("restarted", index, size) {
			check(t, "incarnations of "+name, 1, incarnations[name])
		}
	}
	check(t, "revisions", 1, len(revisionsOf(t, lws)))

	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		template := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate
		*template = annotated(*template, restartedAt, "2026-03-01T13:00:00Z")
	})
	untilAvailable(t, lws)
	for name, count := range film.pods.incarnations(t) {
		if count <= incarnations[name] {
			t.Errorf("%s isn't restarted with its template", name)
		}
	}
	if fewest := film.fewestReady(t); fewest < replicas-1 {
		t.Errorf("only %d groups were ready at a time, want %d", fewest, replicas-1)
	}
}
