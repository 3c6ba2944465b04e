// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"strconv"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestClaims gives each pod a claim. The retention policy decides which claims outlive their groups. No volume is ever
// bound, so the pods exist but never run.
func TestClaims(t *testing.T) {
	t.Parallel()
	const (
		keep = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
		drop = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	)
	all, ofFirst := claimNames(2), claimNames(1)
	tests := map[string]struct {
		policy                      *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy
		afterScaling, afterDeletion []string
	}{
		"retained by default": {nil, all, all},
		"retained":            {retention(keep, keep), all, all},
		"deleted":             {retention(drop, drop), ofFirst, nil},
		"deleted when scaled": {retention(drop, keep), ofFirst, ofFirst},
		"deleted at the end":  {retention(keep, drop), all, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			lws := newSet(namespace, "disk", 2, 3, withClaims(test.policy))
			create(t, lws)
			untilNamed(t, podsIn(namespace), podNames("disk", 2, 3)...)
			untilNamed(t, claimsIn(namespace), all...)
			for _, claim := range listed(t, claimsIn(namespace)) {
				checkClaim(t, claim)
			}

			edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To(int32(1)) })
			untilNamed(t, podsIn(namespace), podNames("disk", 1, 3)...)
			untilNamed(t, claimsIn(namespace), test.afterScaling...)
			remove(t, lws)
			untilNamed(t, podsIn(namespace))
			untilNamed(t, statefulSetsIn(namespace))
			untilNamed(t, claimsIn(namespace), test.afterDeletion...)
			for _, claim := range listed(t, claimsIn(namespace)) {
				check(t, "owners of "+claim.Name+", which would delete the claim with them", 0, len(claim.OwnerReferences))
			}
		})
	}
}

// TestClaimsOfWaitingPods deletes a set whose workers were never scheduled and keep existing for a while. Nothing
// protects the claims of such pods. The claims are deleted at once, and the StatefulSet controller creates them again
// at each change of a pod. In the end, no claim is left.
func TestClaimsOfWaitingPods(t *testing.T) {
	t.Parallel()
	const held = "example.com/held"
	namespace := newNamespace(t)
	lws := newSet(namespace, "disk", 1, 3, withClaims(retention(
		appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType)))
	create(t, lws)
	untilNamed(t, podsIn(namespace), podNames("disk", 1, 3)...)
	untilNamed(t, claimsIn(namespace), claimNames(1)...)
	leaders, worker := &appsv1.StatefulSet{}, &corev1.Pod{}
	leaders.Namespace, leaders.Name, worker.Namespace, worker.Name = namespace, "disk", namespace, "disk-0-1"
	edit(t, leaders, func(set *appsv1.StatefulSet) { set.Finalizers = append(set.Finalizers, held) })

	claims := record[*corev1.PersistentVolumeClaim](t, namespace, &corev1.PersistentVolumeClaimList{})
	remove(t, lws)
	edits := 0
	eventually(t, func(context.Context) error {
		edits++
		edit(t, worker, func(pod *corev1.Pod) {
			metav1.SetMetaDataAnnotation(&pod.ObjectMeta, "example.com/edits", strconv.Itoa(edits))
		})
		return unless(claims.incarnations(t)["data-disk-0-1"] > 1, "the claim wasn't created again")
	})
	edit(t, leaders, func(set *appsv1.StatefulSet) { set.Finalizers = nil })
	untilNamed(t, podsIn(namespace))
	untilNamed(t, statefulSetsIn(namespace))
	untilNamed(t, claimsIn(namespace))
}

// TestClaimsSurviveUpdates checks that the pods of a new revision keep the claims of the old pods, whatever the
// retention policy.
func TestClaimsSurviveUpdates(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	// No group ever becomes ready, so a rollout of one group at a time would stop at the first group.
	bothAtOnce := budget{maxUnavailable: "2"}
	lws := newSet(namespace, "disk", 2, 3, bothAtOnce.apply, withClaims(retention(
		appsv1.DeletePersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType)))
	create(t, lws)
	untilNamed(t, podsIn(namespace), podNames("disk", 2, 3)...)
	untilNamed(t, claimsIn(namespace), claimNames(2)...)
	before := uidsOf(listed(t, claimsIn(namespace)))

	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = nextImage
	})
	eventually(t, func(ctx context.Context) error {
		pods, err := podsIn(namespace)(ctx)
		if err != nil {
			return err
		}
		updated := 0
		for _, pod := range pods {
			if pod.Spec.Containers[0].Image == nextImage {
				updated++
			}
		}
		return unless(updated == 6, "%d pods are updated", updated)
	})
	check(t, "claims", before, uidsOf(listed(t, claimsIn(namespace))))
}

// claimNames returns the names of all claims of the set.
func claimNames(replicas int32) []string {
	var names []string
	for _, pod := range podNames("disk", replicas, 3) {
		names = append(names, "data-"+pod)
	}
	return names
}

// withClaims gives each pod a claim and sets the retention policy of the claims.
func withClaims(
	policy *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy,
) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claimTemplate()}
		lws.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy = policy
	}
}

func retention(
	whenScaled, whenDeleted appsv1.PersistentVolumeClaimRetentionPolicyType,
) *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy {
	return &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenScaled: whenScaled, WhenDeleted: whenDeleted}
}

// claimTemplate returns a claim template whose labels, annotations and spec each claim must have.
func claimTemplate() corev1.PersistentVolumeClaim {
	return corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "data",
			Labels:      map[string]string{"tier": "fast"},
			Annotations: map[string]string{"example.com/backup": "daily"},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod},
			StorageClassName: ptr.To("nobody-provisions-it"),
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("3Gi")},
			},
		},
	}
}

func checkClaim(t *testing.T, claim *corev1.PersistentVolumeClaim) {
	t.Helper()
	template := claimTemplate()
	check(t, "label of "+claim.Name, "fast", claim.Labels["tier"])
	check(t, "label of the set of "+claim.Name, "disk", claim.Labels[leaderworkersetv1.SetNameLabelKey])
	check(t, "annotation of "+claim.Name, "daily", claim.Annotations["example.com/backup"])
	check(t, "access modes of "+claim.Name, template.Spec.AccessModes, claim.Spec.AccessModes)
	check(t, "storage class of "+claim.Name, template.Spec.StorageClassName, claim.Spec.StorageClassName)
	check(t, "request of "+claim.Name, "3Gi", claim.Spec.Resources.Requests.Storage().String())
}
