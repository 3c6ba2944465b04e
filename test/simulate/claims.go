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

// The StatefulSet controller creates the volume claims of a pod before the pod, and reuses those that exist. It creates
// deleted claims of a pod that doesn't run yet once more. The retention policy says who owns the claims: the
// StatefulSet, or a pod that is scaled down. No volumes are bound, and a claim in use isn't protected: the invariants
// find one that is deleted too early.

// claimsFor returns the desired claims of the pod with that ordinal.
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

// claimed returns a step that creates the claims of a missing pod, the i-th of the set, and then the pod. A claim that
// is deleted with an earlier pod of the name delays the new pod: the deletion of the claim starts another pass.
func (c *statefulSetController) claimed(set *appsv1.StatefulSet, i int, create func() error) func() error {
	return func() error {
		wanted := claimsFor(set, start(set)+i)
		if slices.ContainsFunc(wanted, c.isDeletedWithPod) {
			return nil
		}
		c.createClaims(wanted)
		if err := create(); err != nil {
			return err
		}
		return c.ownClaims(set, wanted, nil)
	}
}

// isDeletedWithPod reports whether the claim exists and is deleted together with a pod.
func (c *statefulSetController) isDeletedWithPod(claim *corev1.PersistentVolumeClaim) bool {
	existing := getOf[*corev1.PersistentVolumeClaim](c.world.API, kindClaim, client.ObjectKeyFromObject(claim))
	return existing != nil && slices.ContainsFunc(existing.OwnerReferences, isPodOf(existing))
}

// createClaims creates the claims that don't exist.
func (c *statefulSetController) createClaims(claims []*corev1.PersistentVolumeClaim) {
	for _, claim := range claims {
		if getOf[*corev1.PersistentVolumeClaim](c.world.API, kindClaim, client.ObjectKeyFromObject(claim)) == nil {
			c.world.must(c.world.API.Create(claim))
			c.world.record("statefulset controller", "creates "+noun(claim), claim.Name)
		}
	}
}

// ownClaims sets the owners of claims by the retention policy: the pod that is scaled down, if there is one, or the
// StatefulSet. It skips claims that another StatefulSet of the name owned.
func (c *statefulSetController) ownClaims(
	set *appsv1.StatefulSet, claims []*corev1.PersistentVolumeClaim, scaledDown *corev1.Pod,
) error {
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
		case scaledDown != nil && policy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType:
			owners = append(owners, *metav1.NewControllerRef(scaledDown, corev1.SchemeGroupVersion.WithKind("Pod")))
		case policy.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType:
			owners = append(owners, *metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind(kindStatefulSet)))
		}
		if !equality.Semantic.DeepEqual(claim.OwnerReferences, owners) {
			update(c.world.API, claim, func(claim *corev1.PersistentVolumeClaim) { claim.OwnerReferences = owners })
		}
	}
	return nil
}

// claimSteps returns the steps that create missing claims of pending pods, and set the owners of existing pods' claims.
func (c *statefulSetController) claimSteps(set *appsv1.StatefulSet, replicas, condemned []*corev1.Pod) []func() error {
	if len(set.Spec.VolumeClaimTemplates) == 0 {
		return nil
	}
	var steps []func() error
	for i, pod := range replicas {
		if pod != nil {
			if pod.Status.Phase == corev1.PodPending {
				steps = append(steps, func() error { c.createClaims(claimsFor(set, start(set)+i)); return nil })
			}
			steps = append(steps, func() error { return c.ownClaims(set, claimsFor(set, start(set)+i), nil) })
		}
	}
	for _, pod := range condemned {
		steps = append(steps, func() error { return c.ownClaims(set, claimsFor(set, ordinalOf(pod)), pod) })
	}
	return steps
}

// isPodOf returns a function that reports whether an owner is the pod that the claim was created for.
func isPodOf(claim *corev1.PersistentVolumeClaim) func(metav1.OwnerReference) bool {
	return func(owner metav1.OwnerReference) bool {
		return owner.Kind == kindPod && strings.HasSuffix(claim.Name, "-"+owner.Name)
	}
}

// retentionOf returns the retention policy of a StatefulSet's claims.
func retentionOf(set *appsv1.StatefulSet) appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy {
	if set.Spec.PersistentVolumeClaimRetentionPolicy == nil {
		return appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{}
	}
	return *set.Spec.PersistentVolumeClaimRetentionPolicy
}

// checkClaim: a claim is deleted only with its LeaderWorkerSet or after its pod was scaled down, and only if the
// retention policy says so. It is never deleted while its pod exists.
func (w *World) checkClaim(claim *corev1.PersistentVolumeClaim) {
	w.t.Helper()
	set := at(claim, claim.Labels[leaderworkersetv1.SetNameLabelKey])
	lws := getOf[*leaderworkersetv1.LeaderWorkerSet](w.API, kindLeaderWorkerSet, set)
	if lws == nil || lws.DeletionTimestamp != nil {
		return
	}
	for _, pod := range listOf[*corev1.Pod](w.API, kindPod) {
		for i := range lws.Spec.LeaderWorkerTemplate.VolumeClaimTemplates {
			if claim.Name == lws.Spec.LeaderWorkerTemplate.VolumeClaimTemplates[i].Name+"-"+pod.Name {
				w.fail("claim %s is deleted while its pod exists", claim.Name)
			}
		}
	}
	policy := lws.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy
	if policy == nil || policy.WhenScaled != appsv1.DeletePersistentVolumeClaimRetentionPolicyType {
		w.fail("claim %s is deleted, and has to be retained", claim.Name)
	}
}
