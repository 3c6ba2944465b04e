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

// terminatesAfter has all pods of the set take a time to terminate, in simulation. Real ones take their own.
func terminatesAfter(duration string) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		template := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate
		*template = annotated(*template, cluster.TerminateAfterAnnotation, duration)
	}
}

// TestDelete leaves nothing behind, creates nothing on the way, and has all pods terminate at the same time.
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
			untilGone(t, lws)
			pods.until(t, noneLeft)
			untilNamed(t, statefulSetsIn(namespace))
			untilNamed(t, servicesIn(namespace))
			untilNamed(t, revisionsIn(namespace))

			check(t, "pods that were there", each(podNames("gone", 3, 3), 1), pods.lives(t))
			check(t, "StatefulSets that were there", each(statefulSetNames("gone", 3), 1), statefulSets.lives(t))
			checkTerminatedTogether(t, pods)
		})
	}
}

// noneLeft is the state without pods.
func noneLeft(state map[string]*corev1.Pod) error {
	return unless(len(state) == 0, "%d pods are still there", len(state))
}

// checkTerminatedTogether checks that every pod was terminating before the first one was gone: it all takes one grace period.
func checkTerminatedTogether(t *testing.T, pods *recording[*corev1.Pod]) {
	t.Helper()
	state := pods.atStart()
	for _, change := range pods.sofar(t) {
		if change.kind == watch.Deleted {
			break
		}
		change.apply(state)
	}
	for name, pod := range state {
		if pod.DeletionTimestamp == nil {
			t.Errorf("%s wasn't terminating yet when the first pod was gone", name)
		}
	}
}

// TestRecreate makes a set of the same name as soon as the old one is gone, while everything that belonged to it still is there.
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

// noneOf is an error as long as one of the old objects is there.
func noneOf(ctx context.Context, old map[string]string, namespace string) error {
	all, err := childrenIn(ctx, namespace)
	if err != nil {
		return err
	}
	for uid, name := range all {
		if old[uid] != "" {
			return fmt.Errorf("%s is still there", name)
		}
	}
	return nil
}

// childrenIn are the names of all objects that sets, and their StatefulSets, have made, by UID.
func childrenIn(ctx context.Context, namespace string) (map[string]string, error) {
	names := map[string]string{}
	return names, errors.Join(
		addNames(ctx, names, podsIn(namespace)),
		addNames(ctx, names, statefulSetsIn(namespace)),
		addNames(ctx, names, servicesIn(namespace)),
		addNames(ctx, names, revisionsIn(namespace)))
}

func addNames[T client.Object](ctx context.Context, names map[string]string, list func(context.Context) ([]T, error)) error {
	objects, err := list(ctx)
	for _, object := range objects {
		names[string(object.GetUID())] = fmt.Sprintf("%T %s", object, object.GetName())
	}
	return err
}

// TestOrphanWorkers deletes a worker StatefulSet and leaves its pods: the group comes back whole, and the pods don't stand in its way.
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
