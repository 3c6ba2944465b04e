// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestScale scales a set up and down, to 0 and back. Scaling down deletes the groups with the highest indices. The
// other groups don't restart.
func TestScale(t *testing.T) {
	t.Parallel()
	const size = 3
	namespace := newNamespace(t)
	pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
	statefulSets := record[*appsv1.StatefulSet](t, namespace, &appsv1.StatefulSetList{})
	lws := newSet(namespace, "web", 3, size)
	create(t, lws)

	uids := map[string]string{}
	for _, replicas := range []int32{3, 5, 2, 0, 2} {
		edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To(replicas) })
		untilNamed(t, podsIn(namespace), podNames("web", replicas, size)...)
		untilNamed(t, statefulSetsIn(namespace), statefulSetNames("web", replicas)...)
		untilAvailable(t, lws)
		untilCounted(t, lws, replicas)

		now := uidsOf(listed(t, podsIn(namespace)))
		for name, uid := range now {
			if before, existed := uids[name]; existed && before != uid {
				t.Errorf("%s was replaced when scaling to %d", name, replicas)
			}
		}
		uids = now
	}

	wantPods, wantSets := each(podNames("web", 5, size), 1), each(statefulSetNames("web", 5), 1)
	for _, twice := range podNames("web", 2, size) {
		wantPods[twice] = 2
	}
	for _, twice := range podNames("web", 2, 1) {
		wantSets[twice] = 2
	}
	check(t, "incarnations of the pods", wantPods, pods.incarnations(t))
	check(t, "incarnations of the StatefulSets", wantSets, statefulSets.incarnations(t))
}

// untilCounted waits until the status counts this number of groups, all of them ready and updated.
func untilCounted(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, replicas int32) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
			return err
		}
		got := []int32{lws.Status.Replicas, lws.Status.ReadyReplicas, lws.Status.UpdatedReplicas}
		return unless(slices.Equal(got, []int32{replicas, replicas, replicas}),
			"%v groups exist, are ready and are updated", got)
	})
}

// TestScaleSubresource reads and updates the scale subresource as an autoscaler does.
func TestScaleSubresource(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	lws, other := newSet(namespace, "auto", 2, 3), newSet(namespace, "other", 1, 2)
	create(t, lws, other)
	untilAvailable(t, lws)
	untilAvailable(t, other)

	scale := scaleOf(t, lws)
	check(t, "desired and existing replicas", []int32{2, 2}, []int32{scale.Spec.Replicas, scale.Status.Replicas})
	selector, err := labels.Parse(scale.Status.Selector)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "pods of the selector", []string{"auto-0", "auto-1"},
		namesOf(listed(t, podsIn(namespace, client.MatchingLabelsSelector{Selector: selector}))))

	scale.Spec.Replicas = 4
	if err := suite.client.SubResource("scale").Update(t.Context(), lws, client.WithSubResourceBody(scale)); err != nil {
		t.Fatal(err)
	}
	untilNamed(t, podsIn(namespace, client.MatchingLabelsSelector{Selector: selector}), podNames("auto", 4, 1)...)
	untilAvailable(t, lws)
	check(t, "existing replicas", int32(4), scaleOf(t, lws).Status.Replicas)
}

// TestHorizontalPodAutoscaler makes an autoscaler raise the replicas to its minimum, which needs no metrics.
func TestHorizontalPodAutoscaler(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	lws := newSet(namespace, "load", 1, 2)
	create(t, lws)
	untilAvailable(t, lws)
	autoscaler := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "load"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
				APIVersion: leaderworkersetv1.GroupVersion.String(), Kind: "LeaderWorkerSet", Name: "load",
			},
			MinReplicas: ptr.To(int32(3)),
			MaxReplicas: 5,
		},
	}
	create(t, autoscaler)
	untilNamed(t, podsIn(namespace), podNames("load", 3, 2)...)
	untilAvailable(t, lws)
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(autoscaler), autoscaler); err != nil {
			return err
		}
		return unless(autoscaler.Status.CurrentReplicas == 3, "status of the autoscaler: %+v", autoscaler.Status)
	})
}

func scaleOf(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) *autoscalingv1.Scale {
	t.Helper()
	scale := &autoscalingv1.Scale{}
	if err := suite.client.SubResource("scale").Get(t.Context(), lws, scale); err != nil {
		t.Fatal(err)
	}
	return scale
}
