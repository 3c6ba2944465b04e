// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// The tests of this file change annotations: those for placement, and one of pods within one revision.

// TestLocalPlacementLater asks for exclusive placement of a set that runs, then for another one, and for none. Each
// request replaces the groups one after the other. A group below the partition keeps its placement, also when it is
// recreated.
func TestLocalPlacementLater(t *testing.T) {
	t.Parallel()
	const replicas, size, island = 3, 2, "example.com/later"
	labelNodes(t, island, 2*replicas)
	namespace := newNamespace(t)
	lws := newSet(namespace, "later", replicas, size, readyAfter("500ms"))
	create(t, lws)
	untilAvailable(t, lws)
	film := newFilm(t, namespace, "later")
	place := func(annotations map[string]string) {
		t.Helper()
		before := lws.Status.UpdateRevision
		edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Annotations = annotations })
		eventually(t, func(context.Context) error {
			refresh(t, lws)
			return unless(lws.Status.UpdateRevision != before && isUpdated(lws), "status: %+v", lws.Status)
		})
	}
	place(map[string]string{leaderworkersetv1.ShareTopologyAnnotationKey: island})
	checkTogether(t, listed(t, podsIn(namespace)), island)
	place(map[string]string{
		leaderworkersetv1.ExclusiveKeyAnnotationKey:   island,
		leaderworkersetv1.ExclusiveScopeAnnotationKey: leaderworkersetv1.ExclusiveScopeLeaderWorkerSet,
	})
	running := listed(t, podsIn(namespace))
	check(t, "islands", replicas,
		len(exclusiveDomains(t, running, island, leaderworkersetv1.GroupUniqueHashLabelKey)))
	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Annotations = nil
		lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](1)
	})
	eventually(t, func(context.Context) error {
		refresh(t, lws)
		return unless(lws.Status.UpdatedReplicas == replicas-1 && lws.Status.ReadyReplicas == replicas,
			"status: %+v", lws.Status)
	})
	victim := named(t, listed(t, podsIn(namespace)), "later-0")
	film.disturbed[victim.UID] = true
	remove(t, victim)
	untilDeleted(t, victim.DeepCopy())
	eventually(t, func(context.Context) error {
		refresh(t, lws)
		pods := listed(t, podsIn(namespace)) // The status may be that of before the deletion.
		return unless(len(pods) == replicas*size && lws.Status.ReadyReplicas == replicas,
			"status: %+v, pods: %v", lws.Status, namesOf(pods))
	})
	for index := range replicas {
		checkExclusive(t, lws, fmt.Sprintf("later-%d", index), island, index == 0)
	}
	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = nil
	})
	eventually(t, func(context.Context) error {
		refresh(t, lws)
		return unless(isUpdated(lws), "status: %+v", lws.Status)
	})
	checkExclusive(t, lws, "later-0", island, false)
	check(t, "revisions", 3, len(revisionsOf(t, lws)))
	for _, err := range []error{film.overspent(t, budget{maxUnavailable: "1"}), film.mixed(t)} {
		if err != nil {
			t.Error(err)
		}
	}
}

func scaledTo(replicas int32) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To(replicas) }
}

// labelNodes gives the first nodes a label, each another value of it.
func labelNodes(t *testing.T, label string, count int) {
	t.Helper()
	for i := range count {
		node := &corev1.Node{}
		node.Name = fmt.Sprintf("node-%d", i)
		edit(t, node, func(node *corev1.Node) { node.Labels[label] = node.Name })
	}
}

// isUpdated reports whether the set is available, and all its groups are of the current revision.
func isUpdated(lws *leaderworkersetv1.LeaderWorkerSet) bool {
	return available(lws) && lws.Status.UpdatedReplicas == *lws.Spec.Replicas
}

// checkTogether checks that the pods of each group are in one topology domain.
func checkTogether(t *testing.T, pods []*corev1.Pod, nodeLabel string) {
	t.Helper()
	domains := map[string]string{}
	for _, pod := range pods {
		group, domain := pod.Labels[leaderworkersetv1.GroupIndexLabelKey], domainOf(t, pod, nodeLabel)
		if known, ok := domains[group]; domain == "" || (ok && known != domain) {
			t.Errorf("%s is in %q, others of group %s are in %q", pod.Name, domain, group, known)
		}
		domains[group] = domain
	}
}

// checkExclusive checks whether the group of a leader is placed exclusively: the leader by its affinity, and the worker
// by its nodeSelector.
func checkExclusive(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, leader, nodeLabel string, want bool) {
	t.Helper()
	pods := listed(t, podsIn(lws.Namespace))
	check(t, "affinity of "+leader, want, named(t, pods, leader).Spec.Affinity != nil)
	_, bound := named(t, pods, leader+"-1").Spec.NodeSelector[nodeLabel]
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
