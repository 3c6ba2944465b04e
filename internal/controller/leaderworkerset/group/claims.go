// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package group

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// claimWrites keeps the retention policy for the volume claims of a group's workers. Their StatefulSet can't: it is
// deleted whenever the group restarts, and the claims have to outlive that. A claim that is deleted with the
// LeaderWorkerSet has it as an owner. A claim whose pod was scaled away for good is deleted. The claims of leaders are
// the leader StatefulSet's business.
func claimWrites(m *snapshot.GroupMembers) []write.Write {
	if m.IsLeftAlone() || (!leftBehind(m) && (m.LWS == nil || m.LWS.DeletionTimestamp != nil)) {
		return nil
	}
	var writes []write.Write
	for _, claim := range m.Claims {
		switch {
		case claim.DeletionTimestamp != nil:
		case scaledAway(m, claim):
			writes = append(writes, write.Write{Delete: []write.Object{claim}, Reason: "its pod was scaled away"})
		default:
			writes = append(writes, ownClaim(m, claim)...)
		}
	}
	return writes
}

// ownClaim gives a claim the owners that it has to have.
func ownClaim(m *snapshot.GroupMembers, claim *corev1.PersistentVolumeClaim) []write.Write {
	owned := claim.DeepCopy()
	owned.OwnerReferences = claimOwners(m, claim)
	if equality.Semantic.DeepEqual(claim, owned) {
		return nil
	}
	change := write.Write{
		Patch: &write.Patch{From: claim, To: owned}, If: write.SameVersion,
		Reason: "persistentVolumeClaimRetentionPolicy says whether it is deleted with the LeaderWorkerSet",
	}
	known := slices.ContainsFunc(claim.OwnerReferences, isSet(m))
	if i := slices.IndexFunc(owned.OwnerReferences, isSet(m)); i >= 0 && !known {
		change.OwnerMustLive = &owned.OwnerReferences[i]
	}
	return []write.Write{change}
}

// leftBehind reports whether the set was deleted without its groups, and no other one has adopted them: then nobody
// takes their claims.
func leftBehind(m *snapshot.GroupMembers) bool {
	return m.Leaders != nil && m.Leaders.DeletionTimestamp == nil && metav1.GetControllerOf(m.Leaders) == nil
}

// scaledAway reports whether the claim has to be deleted because its pod won't come back: the whole group is deleted
// and not asked for, or the group has become smaller.
func scaledAway(m *snapshot.GroupMembers, claim *corev1.PersistentVolumeClaim) bool {
	if m.LWS == nil || desired.ClaimRetention(m.LWS).WhenScaled != appsv1.DeletePersistentVolumeClaimRetentionPolicyType ||
		m.Leaders == nil || !metav1.IsControlledBy(m.Leaders, m.LWS) {
		return false
	}
	if m.Leader == nil {
		asked := max(ptr.Deref(m.Leaders.Spec.Replicas, 1), *m.LWS.Spec.Replicas)
		return len(m.WorkerPods) == 0 && m.Index >= asked
	}
	_, worker, ok := identity.Parse(claim.Name)
	if !ok || m.Leader.DeletionTimestamp != nil || worker < snapshot.LeaderSize(m.Leader) {
		return false
	}
	name := identity.Worker(m.Leader.Name, worker)
	return !slices.ContainsFunc(m.WorkerPods, func(pod *corev1.Pod) bool { return pod.Name == name })
}

// isSet reports whether an owner is the set.
func isSet(m *snapshot.GroupMembers) func(metav1.OwnerReference) bool {
	return func(owner metav1.OwnerReference) bool { return m.LWS != nil && owner.UID == m.LWS.UID }
}

// claimOwners returns the owners that the claim has to have: the set, if the claim is deleted with it, and those that
// others gave it. The leader StatefulSet isn't one: it stands in for the set until the claim is observed. The set isn't
// the controller: claims have none, and any workload may use them.
func claimOwners(m *snapshot.GroupMembers, claim *corev1.PersistentVolumeClaim) []metav1.OwnerReference {
	goes := m.LWS != nil && !leftBehind(m) &&
		desired.ClaimRetention(m.LWS).WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	leaders := identity.LeaderStatefulSet(claim.Labels[leaderworkersetv1.SetNameLabelKey])
	owners := slices.DeleteFunc(slices.Clone(claim.OwnerReferences), func(owner metav1.OwnerReference) bool {
		return (owner.Kind == "StatefulSet" && owner.Name == leaders) || (isSet(m)(owner) && !goes)
	})
	if goes && !slices.ContainsFunc(owners, isSet(m)) {
		owners = append(owners, metav1.OwnerReference{
			APIVersion: leaderworkersetv1.GroupVersion.String(), Kind: "LeaderWorkerSet", Name: m.LWS.Name, UID: m.LWS.UID,
		})
	}
	return owners
}
