// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

// TestRolloutQuota rolls out sets in namespaces whose quota is exactly what the groups need that are asked for, and
// takes rollouts back. They end: surge gives way to the groups that are asked for.
func TestRolloutQuota(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		replicas, size        int32
		maxUnavailable, surge string
		takesBack             bool
	}{
		"complete":     {replicas: 2, size: 3, maxUnavailable: "1", surge: "1"},
		"taken back":   {replicas: 3, size: 2, maxUnavailable: "1", surge: "1", takesBack: true},
		"much surge":   {replicas: 4, size: 2, maxUnavailable: "2", surge: "2"},
		"leaders only": {replicas: 3, size: 1, maxUnavailable: "1", surge: "3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			lws := newSet(namespace, "full", tc.replicas, tc.size,
				readyAfter("500ms"), budget{maxUnavailable: tc.maxUnavailable, maxSurge: tc.surge}.apply)
			create(t, lws)
			untilAvailable(t, lws)
			limitPods(t, namespace, tc.replicas*tc.size)

			edit(t, lws, withImage(nextImage))
			wanted := nextImage
			if tc.takesBack {
				leader := podsIn(namespace, client.MatchingLabels{leaderworkersetv1.WorkerIndexLabelKey: "0"})
				eventually(t, func(context.Context) error {
					return unless(hasImage(listed(t, leader), nextImage), "no leader is of the new revision")
				})
				edit(t, lws, withImage(image))
				wanted = image
			}
			untilRecovered(t, lws)
			untilNamed(t, podsIn(namespace), podNames("full", tc.replicas, tc.size)...)
			for _, pod := range listed(t, podsIn(namespace)) {
				check(t, "image of pod "+pod.Name, wanted, pod.Spec.Containers[0].Image)
			}
		})
	}
}

// hasImage reports whether any pod has an image.
func hasImage(pods []*corev1.Pod, image string) bool {
	for _, pod := range pods {
		if pod.Spec.Containers[0].Image == image {
			return true
		}
	}
	return false
}

// limitPods creates a quota of pods, and waits until the API server counts.
func limitPods(t *testing.T, namespace string, pods int32) *corev1.ResourceQuota {
	t.Helper()
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pods"},
		Spec: corev1.ResourceQuotaSpec{
			Hard: corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(int64(pods), resource.DecimalSI)},
		},
	}
	create(t, quota)
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil {
			return err
		}
		return unless(len(quota.Status.Used) > 0, "the quota has no status")
	})
	return quota
}

// TestRolloutRefused pushes a revision whose pods a policy refuses, in a set of which group 1 isn't ready. Group 1 is
// updated first, and comes back at its earlier revision. So does group 3 when it fails meanwhile. The set says why the
// rollout doesn't go on. Another revision is rolled out.
func TestRolloutRefused(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	refuseImage(t, namespace, badImage)
	lws := newSet(namespace, "refused", 4, 2, readyAfter("500ms"))
	create(t, lws)
	untilAvailable(t, lws)
	before := uidsOf(listed(t, podsIn(namespace)))

	setUnready(t, namespace, "refused-1")
	edit(t, lws, withImage(badImage))
	untilFailing(t, lws, "no images from here")
	remove(t, named(t, listed(t, podsIn(namespace)), "refused-3-1"))
	eventually(t, func(context.Context) error {
		pods := listed(t, podsIn(namespace))
		now := uidsOf(pods)
		for _, name := range []string{"refused-1", "refused-1-1", "refused-3", "refused-3-1"} {
			if now[name] == "" || now[name] == before[name] {
				return fmt.Errorf("pod %s hasn't come back", name)
			}
		}
		return unless(!hasImage(pods, badImage), "a pod is of the refused revision")
	})

	edit(t, lws, withImage(nextImage))
	untilRecovered(t, lws)
	for _, pod := range listed(t, podsIn(namespace)) {
		check(t, "image of pod "+pod.Name, nextImage, pod.Spec.Containers[0].Image)
	}
}

// setUnready makes a simulated pod unready.
func setUnready(t *testing.T, namespace, name string) {
	t.Helper()
	pod := named(t, listed(t, podsIn(namespace)), name)
	before := pod.DeepCopy()
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}
	if err := suite.client.Status().Patch(t.Context(), pod, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// refuseImage creates a policy that refuses the pods of an image in a namespace, and waits until it does.
func refuseImage(t *testing.T, namespace, image string) {
	t.Helper()
	const message = "no images from here"
	pods := metav1.GroupVersionResource{Version: "v1", Resource: "pods"}
	allowed := fmt.Sprintf("!object.spec.containers.exists(c, c.image == %q)", image)
	for _, object := range objects.Policy(namespace, pods, allowed, message) {
		create(t, object)
		t.Cleanup(func() {
			if err := suite.client.Delete(context.WithoutCancel(t.Context()), object); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, func(ctx context.Context) error {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "probe-"}}
		pod.Spec = podTemplate().Spec
		pod.Spec.Containers[0].Image = image
		err := suite.client.Create(ctx, pod, client.DryRunAll)
		refused := err != nil && strings.Contains(err.Error(), message)
		return unless(refused, "the policy isn't in force: %v", err)
	})
}

// TestRefusedPods creates sets whose leader or workers the API server refuses for a service account that doesn't exist.
// Once it exists, the groups are complete soon.
func TestRefusedPods(t *testing.T) {
	t.Parallel()
	for role, change := range map[string]func(*leaderworkersetv1.LeaderWorkerSet, *corev1.PodTemplateSpec){
		"leader": func(lws *leaderworkersetv1.LeaderWorkerSet, refused *corev1.PodTemplateSpec) {
			lws.Spec.LeaderWorkerTemplate.LeaderTemplate = refused
		},
		"workers": func(lws *leaderworkersetv1.LeaderWorkerSet, refused *corev1.PodTemplateSpec) {
			leader := podTemplate()
			lws.Spec.LeaderWorkerTemplate.LeaderTemplate = &leader
			lws.Spec.LeaderWorkerTemplate.WorkerTemplate = *refused
		},
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			namespace, refused := newNamespace(t), podTemplate()
			refused.Spec.ServiceAccountName = "nobody"
			lws := newSet(namespace, role, 1, 3)
			change(lws, &refused)
			create(t, lws)
			untilFailing(t, lws, `serviceaccount "nobody" not found`)
			refresh(t, lws)
			if unready := lws.Status.UnreadyGroups; len(unready) != 1 || !strings.Contains(unready[0].Message, "nobody") {
				t.Errorf("unready groups %+v", unready)
			}
			create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "nobody"}})
			untilRecovered(t, lws)
		})
	}
}

// TestPodTakenAside removes the labels of a leader, as people do to look into a pod. The pod keeps the name that its
// group needs: it is reported, and the group comes back soon after its deletion.
func TestPodTakenAside(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	lws := newSet(namespace, "aside", 3, 2)
	create(t, lws)
	untilAvailable(t, lws)
	leader := named(t, listed(t, podsIn(namespace)), "aside-1")
	edit(t, leader, func(pod *corev1.Pod) { delete(pod.Labels, leaderworkersetv1.SetNameLabelKey) })
	untilFailing(t, lws, `pod "aside-1" exists`)
	remove(t, leader)
	untilRecovered(t, lws)
}

// TestUpdateAndScaleFull changes the image and the replicas in one edit, in a namespace whose quota has room for no
// further group. The groups that exist are updated; the others come once there is room.
func TestUpdateAndScaleFull(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	lws := newSet(namespace, "full", 3, 2, readyAfter("500ms"))
	create(t, lws)
	untilAvailable(t, lws)
	quota := limitPods(t, namespace, 6)

	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		withImage(nextImage)(lws)
		withReplicas(5)(lws)
	})
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
			return err
		}
		return unless(lws.Status.UpdatedReplicas >= 3 && lws.Status.ReadyReplicas >= 3 &&
			!hasImage(listed(t, podsIn(namespace)), image), "status %+v", lws.Status)
	})
	edit(t, quota, func(quota *corev1.ResourceQuota) {
		quota.Spec.Hard[corev1.ResourcePods] = resource.MustParse("10")
	})
	untilRecovered(t, lws)
	untilNamed(t, podsIn(namespace), podNames("full", 5, 2)...)
}
