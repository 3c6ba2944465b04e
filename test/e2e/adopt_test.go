// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestAdopt deletes a set without its children and creates the set again. The new set adopts the children without a
// change. After that, an update is rolled out to them, and the deletion of the set deletes them all.
func TestAdopt(t *testing.T) {
	t.Parallel()
	const replicas, size = 3, 2
	for name, change := range map[string]func(*leaderworkersetv1.LeaderWorkerSet){
		"shared Service":       func(*leaderworkersetv1.LeaderWorkerSet) {},
		"Service of the group": uniquePerReplica,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			lws := newSet(namespace, "left", replicas, size, change)
			create(t, lws)
			untilAvailable(t, lws)
			before := listed(t, statefulSetsIn(namespace))
			film := newFilm(t, namespace, "left")
			pods, statefulSets := film.pods, film.statefulSets
			services := record[*corev1.Service](t, namespace, &corev1.ServiceList{})
			revisions := record[*appsv1.ControllerRevision](t, namespace, &appsv1.ControllerRevisionList{})

			orphan(t, lws)
			next := newSet(namespace, "left", replicas, size, change)
			create(t, next)
			untilAvailable(t, next)
			checkNothingReplaced(t, pods)
			checkNothingReplaced(t, statefulSets)
			checkNothingReplaced(t, services)
			checkNothingReplaced(t, revisions)
			check(t, "generations of StatefulSets", generations(before), generations(listed(t, statefulSetsIn(namespace))))
			leaders := named(t, listed(t, statefulSetsIn(namespace)), "left")
			check(t, "owners of the leader StatefulSet", []metav1.OwnerReference{ownedBySet(next)}, leaders.OwnerReferences)
			check(t, "warnings", map[string]int{}, warningsOf(t, next))

			edit(t, next, withNextImage)
			untilAvailable(t, next)
			pods.until(t, exactlyReady(podNames("left", replicas, size), nextImage))
			check(t, "incarnations of the pods", each(podNames("left", replicas, size), 2), pods.incarnations(t))
			check(t, "fewest ready groups", replicas-1, film.fewestReady(t))

			remove(t, next)
			untilNamed(t, podsIn(namespace))
			untilNamed(t, statefulSetsIn(namespace))
			untilNamed(t, servicesIn(namespace))
			untilNamed(t, revisionsIn(namespace))
		})
	}
}

// TestAdoptChanged creates a set again with another image and one more group. The new set adopts the children and
// updates them by a rollout.
func TestAdoptChanged(t *testing.T) {
	t.Parallel()
	const replicas, size = 3, 2
	namespace := newNamespace(t)
	lws := newSet(namespace, "left", replicas, size, readyAfter("500ms"))
	create(t, lws)
	untilAvailable(t, lws)
	film := newFilm(t, namespace, "left")

	orphan(t, lws)
	next := newSet(namespace, "left", replicas+1, size, readyAfter("500ms"), withNextImage)
	create(t, next)
	untilAvailable(t, next)
	film.pods.until(t, exactlyReady(podNames("left", replicas+1, size), nextImage))
	want := with(each(podNames("left", replicas+1, size), 1), each(podNames("left", replicas, size), 2))
	check(t, "incarnations of the pods", want, film.pods.incarnations(t))
	if fewest := film.fewestReady(t); fewest < replicas-1 {
		t.Errorf("only %d groups were ready at a time, want %d", fewest, replicas-1)
	}
	check(t, "warnings", map[string]int{}, warningsOf(t, next))
}

// TestAdoptRefused creates a set again with other volume claims, which are immutable in a StatefulSet. The operator
// reports this and adopts nothing. A set with equal volume claims adopts the children.
func TestAdoptRefused(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	claims := func(size string) func(*leaderworkersetv1.LeaderWorkerSet) {
		return func(lws *leaderworkersetv1.LeaderWorkerSet) {
			claim := claimTemplate()
			claim.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse(size)
			lws.Spec.LeaderWorkerTemplate.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claim}
		}
	}
	lws := newSet(namespace, "left", 2, 2, claims("1Gi"))
	create(t, lws)
	untilNamed(t, podsIn(namespace), podNames("left", 2, 2)...)
	before := uidsOf(listed(t, podsIn(namespace)))

	orphan(t, lws)
	next := newSet(namespace, "left", 2, 2, claims("2Gi"))
	create(t, next)
	untilFailing(t, next, "its volumeClaimTemplates can't be made like this LeaderWorkerSet's")
	leaders := named(t, listed(t, statefulSetsIn(namespace)), "left")
	check(t, "owners of the leader StatefulSet", 0, len(leaders.OwnerReferences))

	remove(t, next)
	untilDeleted(t, next)
	last := newSet(namespace, "left", 2, 2, claims("1024Mi"))
	create(t, last)
	untilAdopted(t, last)
	check(t, "pods", before, uidsOf(listed(t, podsIn(namespace))))
}

// TestLostLabels removes the labels by which the operator finds a set's children. The operator restores the labels and
// restarts no pod.
func TestLostLabels(t *testing.T) {
	t.Parallel()
	for name, object := range map[string]client.Object{
		"leader StatefulSet": &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "bare"}},
		"worker StatefulSet": &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "bare-1"}},
		"Service":            &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "bare"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			lws := newSet(namespace, "bare", 2, 3)
			create(t, lws)
			untilAvailable(t, lws)
			pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})

			object.SetNamespace(namespace)
			refresh(t, object)
			labels, uid := object.GetLabels(), object.GetUID()
			edit(t, object, func(object client.Object) { object.SetLabels(nil) })
			eventually(t, func(ctx context.Context) error {
				if err := suite.client.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
					return err
				}
				for key, value := range labels {
					if got := object.GetLabels()[key]; got != value {
						return fmt.Errorf("label %s is %q, want %q", key, got, value)
					}
				}
				return nil
			})
			check(t, "UID", uid, object.GetUID())

			edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To(int32(3)) })
			untilAvailable(t, lws)
			pods.until(t, exactlyReady(podNames("bare", 3, 3), image))
			check(t, "incarnations of the pods", each(podNames("bare", 3, 3), 1), pods.incarnations(t))
		})
	}
}

// orphan deletes a set and leaves its children.
func orphan(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) {
	t.Helper()
	remove(t, lws, client.PropagationPolicy(metav1.DeletePropagationOrphan))
	untilDeleted(t, lws)
}

// untilAdopted waits until the set controls the leader StatefulSet.
func untilAdopted(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) {
	t.Helper()
	leaders := &appsv1.StatefulSet{}
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lws), leaders); err != nil {
			return err
		}
		return unless(metav1.IsControlledBy(leaders, lws), "owners of the leader StatefulSet: %v", leaders.OwnerReferences)
	})
}

// checkNothingReplaced checks that no object was created or deleted since the recording began.
func checkNothingReplaced[T client.Object](t *testing.T, recorded *recording[T]) {
	t.Helper()
	var names []string
	for name := range recorded.atStart() {
		names = append(names, name)
	}
	check(t, fmt.Sprintf("incarnations of %T objects", *new(T)), each(names, 1), recorded.incarnations(t))
}

// generations returns the generations of objects, by name. Each change of a spec raises an object's generation.
func generations[T client.Object](objects []T) map[string]int64 {
	result := map[string]int64{}
	for _, object := range objects {
		result[object.GetName()] = object.GetGeneration()
	}
	return result
}

func withNextImage(lws *leaderworkersetv1.LeaderWorkerSet) {
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = nextImage
}
