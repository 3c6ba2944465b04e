// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"maps"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestServiceOfUser creates a Service with the name of the set, and one with the name of a group, through which the
// pods find each other. The sets run without a warning, and leave the Services alone.
func TestServiceOfUser(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		service string
		change  func(*leaderworkersetv1.LeaderWorkerSet)
	}{
		"of the set":   {"mine", func(*leaderworkersetv1.LeaderWorkerSet) {}},
		"of the group": {"mine-1", uniquePerReplica},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			service := &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: namespace, Name: test.service,
					Labels: map[string]string{leaderworkersetv1.SetNameLabelKey: "mine", "app": "of-the-user"},
				},
				Spec: corev1.ServiceSpec{
					ClusterIP: corev1.ClusterIPNone,
					Selector:  map[string]string{leaderworkersetv1.SetNameLabelKey: "mine"},
					Ports:     []corev1.ServicePort{{Name: "http", Port: 8000}},
				},
			}
			create(t, service)
			version := service.ResourceVersion
			lws := newSet(namespace, "mine", 2, 2, test.change)
			create(t, lws)
			untilAvailable(t, lws)
			edit(t, lws, withNextImage)
			untilAvailable(t, lws)
			check(t, "warnings", map[string]int{}, warningsOf(t, lws))

			remove(t, lws)
			untilNamed(t, podsIn(namespace))
			untilNamed(t, servicesIn(namespace), test.service)
			refresh(t, service)
			check(t, "version of the Service", version, service.ResourceVersion)
		})
	}
}

// TestServiceInTheWay creates a Service that has the name of the set and selects other pods. The operator reports it,
// and creates and updates the groups.
func TestServiceInTheWay(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	service := foreignService("mine", nil)
	service.Namespace = namespace
	create(t, service)
	lws := newSet(namespace, "mine", 2, 2)
	create(t, lws)
	untilFailing(t, lws, `Service "mine"`)
	untilAvailable(t, lws)
	edit(t, lws, withNextImage)
	untilAvailable(t, lws)
	untilFailing(t, lws, `Service "mine"`)
	remove(t, service)
	untilRecovered(t, lws)
	untilNamed(t, servicesIn(namespace), "mine")
}

// TestMarksOfDeployment creates a set with the labels of an applyset and of kapp. No StatefulSet gets them. One that an
// earlier version of the operator gave them to loses them, and no pod restarts.
func TestMarksOfDeployment(t *testing.T) {
	t.Parallel()
	const key = "applyset.kubernetes.io/part-of"
	marks := map[string]string{key: "applyset-x-v1", "kapp.k14s.io/app": "1", "team": "inference"}
	namespace := newNamespace(t)
	lws := newSet(namespace, "applied", 2, 2, func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Labels = marks })
	create(t, lws)
	untilAvailable(t, lws)
	withoutMarks := func(ctx context.Context) error {
		all, err := statefulSetsIn(namespace)(ctx)
		if err != nil {
			return err
		}
		for _, sts := range all {
			if sts.Labels[key] != "" || sts.Labels["kapp.k14s.io/app"] != "" || sts.Labels["team"] != "inference" {
				return unless(false, "StatefulSet %s has the labels %v", sts.Name, sts.Labels)
			}
		}
		return unless(len(all) == 3, "there are %d StatefulSets", len(all))
	}
	if err := withoutMarks(t.Context()); err != nil {
		t.Error(err)
	}

	pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
	for _, sts := range listed(t, statefulSetsIn(namespace)) {
		edit(t, sts, func(sts *appsv1.StatefulSet) { maps.Copy(sts.Labels, marks) })
	}
	eventually(t, withoutMarks)
	untilAvailable(t, lws)
	checkNothingReplaced(t, pods)
}

// TestCopyOfWorker copies a worker with its labels, as kubectl debug does on request, under a name that ends in a
// number. The StatefulSet controller adopts the copy and deletes it. The group stays as it is.
func TestCopyOfWorker(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	lws := newSet(namespace, "copied", 2, 3)
	create(t, lws)
	untilAvailable(t, lws)
	pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
	worker := named(t, listed(t, podsIn(namespace)), "copied-1-1")
	copied := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "copied-1-9", Labels: worker.Labels, Annotations: worker.Annotations,
		},
		Spec: worker.Spec,
	}
	copied.Spec.NodeName = ""
	create(t, copied)
	untilDeleted(t, copied)
	consistently(t, 2*time.Second, func() error {
		want := with(each(podNames("copied", 2, 3), 1), each([]string{"copied-1-9"}, 1))
		return differs("incarnations of the pods", want, pods.incarnations(t))
	})
	untilAvailable(t, lws)
}

// TestClaimTemplatesOfOthers applies the claim templates as another controller does, which names the namespace. The API
// server refuses any change of them.
func TestClaimTemplatesOfOthers(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	claim := claimTemplate()
	claim.Labels, claim.Annotations = nil, nil
	lws := newSet(namespace, "claims", 1, 2, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claim}
	})
	create(t, lws)
	untilNamed(t, statefulSetsIn(namespace), "claims", "claims-0")
	for _, name := range []string{"claims", "claims-0"} {
		applied := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apps/v1", "kind": "StatefulSet",
			"metadata": map[string]any{"name": name, "namespace": namespace},
			"spec": map[string]any{"volumeClaimTemplates": []any{map[string]any{
				"apiVersion": "v1", "kind": "PersistentVolumeClaim",
				"metadata": map[string]any{"name": "data", "namespace": namespace},
				"spec": map[string]any{
					"accessModes": []any{"ReadWriteOncePod"}, "storageClassName": "nobody-provisions-it",
					"resources": map[string]any{"requests": map[string]any{"storage": "3Gi"}},
				},
			}}},
		}}
		err := suite.client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(applied),
			client.FieldOwner("another-controller"), client.ForceOwnership, client.DryRunAll)
		if err != nil {
			t.Errorf("StatefulSet %s: %v", name, err)
		}
	}
}

// TestLocalTakeoverWithoutRevisions starts the operator in a cluster where another controller has created the groups of
// two sets, and where somebody has deleted its revisions. Nothing restarts, and the groups keep their keys.
func TestLocalTakeoverWithoutRevisions(t *testing.T) {
	namespace := newNamespace(t)
	outage := startOutage(t)
	var sets []*leaderworkersetv1.LeaderWorkerSet
	keys := map[string]string{}
	for _, name := range []string{"plain", "full"} {
		lws := createAsOtherController(t, namespace, name)
		deleted := revisionsOf(t, lws)[0]
		keys[name] = keyOf(deleted)
		remove(t, deleted)
		untilDeleted(t, deleted)
		sets = append(sets, lws)
	}
	pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
	outage.end(t)

	for _, lws := range sets {
		untilAvailable(t, lws)
	}
	untilOperatorIdle(t)
	checkNothingReplaced(t, pods)
	for _, lws := range sets {
		revisions := revisionsOf(t, lws)
		check(t, "revisions of "+lws.Name, 1, len(revisions))
		check(t, "key of "+lws.Name, keys[lws.Name], keyOf(revisions[0]))
	}
	remove(t, named(t, listed(t, podsIn(namespace)), "full-1-1")) // The group comes back from the new revision.
	eventually(t, func(context.Context) error {
		want := with(takeoverIncarnations(1), each(groupNames("full", 1, takeoverSize), 2))
		return differs("incarnations of the pods", want, incarnationsInGroups(t, pods))
	})
	untilAvailable(t, sets[1])
}
