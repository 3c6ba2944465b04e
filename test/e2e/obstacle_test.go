// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestObstacle creates an object that has the name of a child but belongs to no set. The operator reports the object
// and never changes it. After the object's deletion, the operator completes the set.
func TestObstacle(t *testing.T) {
	t.Parallel()
	byName := map[string]string{leaderworkersetv1.SetNameLabelKey: "mine"}
	byGroup := map[string]string{leaderworkersetv1.SetNameLabelKey: "mine", leaderworkersetv1.GroupIndexLabelKey: "0"}
	none := func(*leaderworkersetv1.LeaderWorkerSet) {}
	tests := map[string]struct {
		object client.Object
		change func(*leaderworkersetv1.LeaderWorkerSet)
	}{
		"leader StatefulSet":                     {foreignStatefulSet("mine", nil), none},
		"leader StatefulSet with the set's name": {foreignStatefulSet("mine", byName), none},
		"worker StatefulSet":                     {foreignStatefulSet("mine-0", nil), none},
		"worker StatefulSet with the set's name": {foreignStatefulSet("mine-0", byName), none},
		"worker StatefulSet with the group":      {foreignStatefulSet("mine-0", byGroup), none},
		"Service":                                {foreignService("mine", nil), none},
		"Service with the set's name":            {foreignService("mine", byName), none},
		"Service of a group":                     {foreignService("mine-0", nil), uniquePerReplica},
		"Service of a group with the group":      {foreignService("mine-0", byGroup), uniquePerReplica},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			obstacle := test.object
			obstacle.SetNamespace(namespace)
			create(t, obstacle)
			untilObserved(t, obstacle)
			version := obstacle.GetResourceVersion()

			lws := newSet(namespace, "mine", 2, 2, test.change)
			create(t, lws)
			untilFailing(t, lws, obstacle.GetName())
			refresh(t, obstacle)
			check(t, "version of the obstacle", version, obstacle.GetResourceVersion())

			remove(t, obstacle)
			untilRecovered(t, lws)
			untilNamed(t, podsIn(namespace), podNames("mine", 2, 2)...)
			untilNamed(t, statefulSetsIn(namespace), statefulSetNames("mine", 2)...)
		})
	}
}

// foreignStatefulSet returns a StatefulSet without pods that belongs to no set.
func foreignStatefulSet(name string, labels map[string]string) *appsv1.StatefulSet {
	template := podTemplate()
	template.Labels = map[string]string{"app": "foreign"}
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.StatefulSetSpec{
			Replicas: ptr.To(int32(0)),
			Selector: &metav1.LabelSelector{MatchLabels: template.Labels},
			Template: template,
		},
	}
}

// foreignService returns a Service that belongs to no set.
func foreignService(name string, labels map[string]string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"app": "foreign"}},
	}
}

// untilObserved waits until the StatefulSet controller has written the status of a StatefulSet without pods. It returns
// at once for other kinds.
func untilObserved(t *testing.T, object client.Object) {
	t.Helper()
	sts, ok := object.(*appsv1.StatefulSet)
	if !ok {
		return
	}
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(sts), sts); err != nil {
			return err
		}
		return unless(sts.Status.ObservedGeneration == sts.Generation, "StatefulSet %s hasn't been observed", sts.Name)
	})
}

// TestQuota sets a quota that allows the leader StatefulSet and one worker StatefulSet.
func TestQuota(t *testing.T) {
	t.Parallel()
	const counted = "count/statefulsets.apps"
	namespace := newNamespace(t)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "few"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{counted: resource.MustParse("2")}},
	}
	create(t, quota)
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil {
			return err
		}
		return unless(len(quota.Status.Hard) > 0, "the quota has no status")
	})

	lws := newSet(namespace, "many", 3, 2)
	create(t, lws)
	untilFailing(t, lws, "exceeded quota: few")
	untilNamed(t, podsIn(namespace, client.MatchingLabels{leaderworkersetv1.WorkerIndexLabelKey: "0"}),
		podNames("many", 3, 1)...)
	check(t, "StatefulSets", 2, len(listed(t, statefulSetsIn(namespace))))

	edit(t, quota, func(quota *corev1.ResourceQuota) { quota.Spec.Hard[counted] = resource.MustParse("10") })
	untilRecovered(t, lws)
	untilNamed(t, podsIn(namespace), podNames("many", 3, 2)...)
}
