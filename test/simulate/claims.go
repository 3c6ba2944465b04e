// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// The StatefulSet controller makes the volume claims of a pod before the pod, and finds those again that are there. Those of a pod that
// doesn't run yet it makes again if they are gone. It owns them as far as the retention policy has them go: with the StatefulSet, or
// with a pod that is scaled away. No volumes are bound, and nothing protects a claim that is in use: one that goes too early is gone,
// for the invariants to see.

// claimsFor are the claims of the pod with that ordinal, as they are wished for.
func claimsFor(set *appsv1.StatefulSet, ordinal int) []*corev1.PersistentVolumeClaim {
	var claims []*corev1.PersistentVolumeClaim
	for i := range set.Spec.VolumeClaimTemplates {
		claim := set.Spec.VolumeClaimTemplates[i].DeepCopy()
		claim.Name, claim.Namespace = fmt.Sprintf("%s-%s-%d", claim.Name, set.Name, ordinal), set.Namespace
		if claim.Labels == nil {
			claim.Labels = map[string]string{}
		}
		maps.Copy(claim.Labels, set.Spec.Selector.MatchLabels)
		claims = append(claims, claim)
	}
	return claims
}

// claimed is a step that has a missing pod's claims be there before the pod is created. A claim that waits to go with an earlier pod of the name
// holds the new one up: the StatefulSet is looked at again when it is gone.
func (c *statefulSetController) claimed(set *appsv1.StatefulSet, place int, create func() error) func() error {
	return func() error {
		wanted := claimsFor(set, start(set)+place)
		if slices.ContainsFunc(wanted, c.goesWithPod) {
			return nil
		}
		c.makeClaims(wanted)
		if err := create(); err != nil {
			return err
		}
		return c.ownClaims(set, wanted, nil)
	}
}

// goesWithPod says whether the claim is there and waits to go with a pod.
func (c *statefulSetController) goesWithPod(claim *corev1.PersistentVolumeClaim) bool {
	existing := getOf[*corev1.PersistentVolumeClaim](c.world.API, kindClaim, client.ObjectKeyFromObject(claim))
	return existing != nil && slices.ContainsFunc(existing.OwnerReferences, isPodOf(existing))
}

// makeClaims creates those claims that aren't there.
func (c *statefulSetController) makeClaims(claims []*corev1.PersistentVolumeClaim) {
	for _, claim := range claims {
		if getOf[*corev1.PersistentVolumeClaim](c.world.API, kindClaim, client.ObjectKeyFromObject(claim)) == nil {
			c.world.must(c.world.API.Create(claim))
			c.world.tell("statefulset controller", "creates "+noun(claim), claim.Name)
		}
	}
}

// ownClaims has claims owned as the retention policy asks for: by the pod, if they are those of one that is scaled away, or by the
// StatefulSet. Claims that were owned by another StatefulSet of the name are left alone.
func (c *statefulSetController) ownClaims(set *appsv1.StatefulSet, claims []*corev1.PersistentVolumeClaim, scaledAway *corev1.Pod) error {
	for _, wanted := range claims {
		claim := getOf[*corev1.PersistentVolumeClaim](c.world.API, kindClaim, client.ObjectKeyFromObject(wanted))
		if claim == nil || slices.ContainsFunc(claim.OwnerReferences, func(owner metav1.OwnerReference) bool {
			return owner.Kind == kindStatefulSet && owner.Name == set.Name && owner.UID != set.UID
		}) {
			continue
		}
		owners := slices.DeleteFunc(slices.Clone(claim.OwnerReferences), func(owner metav1.OwnerReference) bool {
			return owner.UID == set.UID || isPodOf(claim)(owner)
		})
		policy := retentionOf(set)
		switch {
		case scaledAway != nil && policy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType:
			owners = append(owners, *metav1.NewControllerRef(scaledAway, corev1.SchemeGroupVersion.WithKind("Pod")))
		case policy.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType:
			owners = append(owners, *metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind(kindStatefulSet)))
		}
		if !equality.Semantic.DeepEqual(claim.OwnerReferences, owners) {
			update(c.world.API, claim, func(claim *corev1.PersistentVolumeClaim) { claim.OwnerReferences = owners })
		}
	}
	return nil
}

// claimKeeping are the steps that have the claims of pods that wait to run, and keep the owners of existing pods' claims as the retention
// policy asks for.
func (c *statefulSetController) claimKeeping(set *appsv1.StatefulSet, replicas, condemned []*corev1.Pod) []func() error {
	if len(set.Spec.VolumeClaimTemplates) == 0 {
		return nil
	}
	var steps []func() error
	for place, pod := range replicas {
		if pod != nil {
			if pod.Status.Phase == corev1.PodPending {
				steps = append(steps, func() error { c.makeClaims(claimsFor(set, start(set)+place)); return nil })
			}
			steps = append(steps, func() error { return c.ownClaims(set, claimsFor(set, start(set)+place), nil) })
		}
	}
	for _, pod := range condemned {
		steps = append(steps, func() error { return c.ownClaims(set, claimsFor(set, ordinalOf(pod)), pod) })
	}
	return steps
}

// isPodOf says of an owner whether it is the pod that the claim was made for.
func isPodOf(claim *corev1.PersistentVolumeClaim) func(metav1.OwnerReference) bool {
	return func(owner metav1.OwnerReference) bool {
		return owner.Kind == kindPod && strings.HasSuffix(claim.Name, "-"+owner.Name)
	}
}

// retentionOf is the retention policy of a StatefulSet's claims.
func retentionOf(set *appsv1.StatefulSet) appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy {
	if set.Spec.PersistentVolumeClaimRetentionPolicy == nil {
		return appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{}
	}
	return *set.Spec.PersistentVolumeClaimRetentionPolicy
}

// checkClaim: a claim goes with its LeaderWorkerSet, or after its pod was scaled away, if the retention policy says so. It never goes while
// its pod is there.
func (w *World) checkClaim(claim *corev1.PersistentVolumeClaim) {
	w.t.Helper()
	lws := getOf[*leaderworkersetv1.LeaderWorkerSet](w.API, kindLeaderWorkerSet, at(claim, claim.Labels[leaderworkersetv1.SetNameLabelKey]))
	if lws == nil || lws.DeletionTimestamp != nil {
		return
	}
	for _, pod := range listOf[*corev1.Pod](w.API, kindPod) {
		for i := range lws.Spec.LeaderWorkerTemplate.VolumeClaimTemplates {
			if claim.Name == lws.Spec.LeaderWorkerTemplate.VolumeClaimTemplates[i].Name+"-"+pod.Name {
				w.fail("claim %s goes while its pod is there", claim.Name)
			}
		}
	}
	policy := lws.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy
	if policy == nil || policy.WhenScaled != appsv1.DeletePersistentVolumeClaimRetentionPolicyType {
		w.fail("claim %s goes, which has to be retained", claim.Name)
	}
}
