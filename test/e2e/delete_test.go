// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
)

// terminatesAfter makes all pods of the set terminate after a duration. Only simulated pods obey it.
func terminatesAfter(duration string) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		template := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate
		*template = annotated(*template, cluster.TerminateAfterAnnotation, duration)
	}
}

// TestLocalForegroundDeletionWhileDown deletes a set in the foreground while no operator runs. The garbage collector
// deletes all of it.
func TestLocalForegroundDeletionWhileDown(t *testing.T) {
	namespace := newNamespace(t)
	lws := newSet(namespace, "gone", 2, 2)
	create(t, lws)
	untilAvailable(t, lws)
	whileDown(t, func() {
		remove(t, lws, client.PropagationPolicy(metav1.DeletePropagationForeground))
		untilDeleted(t, lws)
	})
	untilNamed(t, statefulSetsIn(namespace))
}

// TestDelete checks that the deletion of a set leaves nothing, creates nothing, and terminates all pods at the same
// time.
func TestDelete(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		policy metav1.DeletionPropagation
		change func(*leaderworkersetv1.LeaderWorkerSet)
	}{
		"background":                     {metav1.DeletePropagationBackground, func(*leaderworkersetv1.LeaderWorkerSet) {}},
		"foreground":                     {metav1.DeletePropagationForeground, func(*leaderworkersetv1.LeaderWorkerSet) {}},
		"background, Service of a group": {metav1.DeletePropagationBackground, uniquePerReplica},
		"foreground, Service of a group": {metav1.DeletePropagationForeground, uniquePerReplica},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			lws := newSet(namespace, "gone", 3, 3, terminatesAfter("3s"), test.change)
			create(t, lws)
			untilAvailable(t, lws)

			pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
			statefulSets := record[*appsv1.StatefulSet](t, namespace, &appsv1.StatefulSetList{})
			remove(t, lws, client.PropagationPolicy(test.policy))
			untilDeleted(t, lws)
			pods.until(t, noneLeft)
			untilNamed(t, statefulSetsIn(namespace))
			untilNamed(t, servicesIn(namespace))
			untilNamed(t, revisionsIn(namespace))

			check(t, "incarnations of the pods", each(podNames("gone", 3, 3), 1), pods.incarnations(t))
			check(t, "incarnations of the StatefulSets", each(statefulSetNames("gone", 3), 1), statefulSets.incarnations(t))
			checkTerminatedTogether(t, pods)
		})
	}
}

// noneLeft returns an error while pods exist.
func noneLeft(state map[string]*corev1.Pod) error {
	return unless(len(state) == 0, "%d pods are still there", len(state))
}

// checkTerminatedTogether checks that every pod terminates before the first one is deleted. The deletion then takes one
// grace period.
func checkTerminatedTogether(t *testing.T, pods *recording[*corev1.Pod]) {
	t.Helper()
	state := pods.atStart()
	for _, change := range pods.soFar(t) {
		if change.kind == watch.Deleted {
			break
		}
		change.apply(state)
	}
	for name, pod := range state {
		if pod.DeletionTimestamp == nil {
			t.Errorf("%s wasn't terminating when the first pod was deleted", name)
		}
	}
}

// TestRecreate creates a set of the same name right after the deletion of the old one, while the old children still
// exist.
func TestRecreate(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*leaderworkersetv1.LeaderWorkerSet){
		"shared Service":       func(*leaderworkersetv1.LeaderWorkerSet) {},
		"Service of the group": uniquePerReplica,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			lws := newSet(namespace, "again", 2, 3, terminatesAfter("1s"), change)
			create(t, lws)
			untilAvailable(t, lws)
			old, err := childrenIn(t.Context(), namespace)
			if err != nil {
				t.Fatal(err)
			}

			remove(t, lws, client.PropagationPolicy(metav1.DeletePropagationBackground))
			next := newSet(namespace, "again", 2, 3, change)
			create(t, next)
			untilAvailable(t, next)
			eventually(t, func(ctx context.Context) error { return noneOf(ctx, old, namespace) })
			untilNamed(t, podsIn(namespace), podNames("again", 2, 3)...)
			untilNamed(t, statefulSetsIn(namespace), statefulSetNames("again", 2)...)

			check(t, "warnings", map[string]int{}, warningsOf(t, next))
			leaders := named(t, listed(t, statefulSetsIn(namespace)), "again")
			check(t, "owners of the leader StatefulSet", []metav1.OwnerReference{ownedBySet(next)}, leaders.OwnerReferences)
		})
	}
}

// noneOf returns an error while one of the old objects exists.
func noneOf(ctx context.Context, old map[string]string, namespace string) error {
	all, err := childrenIn(ctx, namespace)
	if err != nil {
		return err
	}
	for uid, name := range all {
		if old[uid] != "" {
			return fmt.Errorf("%s still exists", name)
		}
	}
	return nil
}

// childrenIn returns the kinds and names of all children of sets and of their StatefulSets, by UID.
func childrenIn(ctx context.Context, namespace string) (map[string]string, error) {
	names := map[string]string{}
	return names, errors.Join(
		addNames(ctx, names, podsIn(namespace)),
		addNames(ctx, names, statefulSetsIn(namespace)),
		addNames(ctx, names, servicesIn(namespace)),
		addNames(ctx, names, revisionsIn(namespace)))
}

func addNames[T client.Object](
	ctx context.Context, names map[string]string, list func(context.Context) ([]T, error),
) error {
	objects, err := list(ctx)
	for _, object := range objects {
		names[string(object.GetUID())] = fmt.Sprintf("%T %s", object, object.GetName())
	}
	return err
}

// TestOrphanWorkers deletes a worker StatefulSet and leaves its pods. The group is recreated as a whole, and the
// orphaned pods are deleted.
func TestOrphanWorkers(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	lws := newSet(namespace, "left", 1, 3)
	create(t, lws)
	untilAvailable(t, lws)
	before := map[string]string{}
	if err := addNames(t.Context(), before, podsIn(namespace)); err != nil {
		t.Fatal(err)
	}
	workers := named(t, listed(t, statefulSetsIn(namespace)), "left-0")
	remove(t, workers, client.PropagationPolicy(metav1.DeletePropagationOrphan))
	eventually(t, func(ctx context.Context) error { return noneOf(ctx, before, namespace) })
	untilAvailable(t, lws)
	untilNamed(t, podsIn(namespace), podNames("left", 1, 3)...)
}
