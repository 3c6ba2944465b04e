// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

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
)

// claimWrites keeps the retention policy for the claims of a group's workers. Their StatefulSet can't: it is deleted whenever the group is
// recreated, and the claims have to outlive that. A claim that goes with the LeaderWorkerSet has it as an owner; one whose pod was scaled
// away for good is deleted. Those of leaders are the leader StatefulSet's business.
func claimWrites(m *snapshot.GroupMembers) []Write {
	if !leftBehind(m) && (m.LWS == nil || m.LWS.DeletionTimestamp != nil) {
		return nil
	}
	var writes []Write
	for _, claim := range m.Claims {
		switch {
		case claim.DeletionTimestamp != nil:
		case scaledAway(m, claim):
			writes = append(writes, Write{Delete: claim})
		default:
			owned := claim.DeepCopy()
			owned.OwnerReferences = claimOwners(m, claim)
			if !equality.Semantic.DeepEqual(claim, owned) {
				writes = append(writes, Write{Patch: &Patch{From: claim, To: owned}})
			}
		}
	}
	return writes
}

// leftBehind says whether the set was deleted without its groups, and no other one has adopted them: nobody is to take their claims then.
func leftBehind(m *snapshot.GroupMembers) bool {
	return m.Leaders != nil && m.Leaders.DeletionTimestamp == nil && metav1.GetControllerOf(m.Leaders) == nil
}

// scaledAway says whether the claim has to go because its pod is gone and won't come back: the whole group is gone and not asked for, or
// the group has become smaller.
func scaledAway(m *snapshot.GroupMembers, claim *corev1.PersistentVolumeClaim) bool {
	if m.LWS == nil || desired.ClaimRetention(m.LWS).WhenScaled != appsv1.DeletePersistentVolumeClaimRetentionPolicyType ||
		m.Leaders == nil || !metav1.IsControlledBy(m.Leaders, m.LWS) {
		return false
	}
	if m.Leader == nil {
		return len(m.WorkerPods) == 0 && m.Index >= max(ptr.Deref(m.Leaders.Spec.Replicas, 1), *m.LWS.Spec.Replicas)
	}
	_, worker, ok := identity.Parse(claim.Name)
	return ok && m.Leader.DeletionTimestamp == nil && worker >= snapshot.LeaderSize(m.Leader) &&
		!slices.ContainsFunc(m.WorkerPods, func(pod *corev1.Pod) bool { return pod.Name == identity.Worker(m.Leader.Name, worker) })
}

// claimOwners are the owners that the claim has to have: the set, if it goes with it, and those that others gave it. The leader StatefulSet
// isn't one: it stands in for the set until the claim is seen. The set isn't the controller: claims have none, and any workload may use them.
func claimOwners(m *snapshot.GroupMembers, claim *corev1.PersistentVolumeClaim) []metav1.OwnerReference {
	goes := m.LWS != nil && !leftBehind(m) && desired.ClaimRetention(m.LWS).WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	leaders := identity.LeaderStatefulSet(claim.Labels[leaderworkersetv1.SetNameLabelKey])
	isSet := func(owner metav1.OwnerReference) bool { return m.LWS != nil && owner.UID == m.LWS.UID }
	owners := slices.DeleteFunc(slices.Clone(claim.OwnerReferences), func(owner metav1.OwnerReference) bool {
		return (owner.Kind == "StatefulSet" && owner.Name == leaders) || (isSet(owner) && !goes)
	})
	if goes && !slices.ContainsFunc(owners, isSet) {
		owners = append(owners, metav1.OwnerReference{
			APIVersion: leaderworkersetv1.GroupVersion.String(), Kind: "LeaderWorkerSet", Name: m.LWS.Name, UID: m.LWS.UID,
		})
	}
	return owners
}
