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
	"github.com/leaderworkerset/lws-operator/internal/controller/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/snapshot"
)

// claimWrites keeps the retention policy for the claims of a group's workers. Their StatefulSet can't: it is deleted whenever the group is
// recreated, and the claims have to outlive that. A claim that goes with the LeaderWorkerSet has it as an owner; one whose pod was scaled
// away for good is deleted. Those of leaders are the leader StatefulSet's business.
func claimWrites(m *snapshot.GroupMembers) []Write {
	if m.LWS == nil || m.LWS.DeletionTimestamp != nil {
		return nil
	}
	policy := desired.ClaimRetention(m.LWS)
	var writes []Write
	for _, claim := range m.Claims {
		switch {
		case claim.DeletionTimestamp != nil:
		case policy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType && scaledAway(m, claim):
			writes = append(writes, Write{Delete: claim})
		default:
			owned := claim.DeepCopy()
			setOwner(owned, m.LWS, policy.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType)
			if !equality.Semantic.DeepEqual(claim, owned) {
				writes = append(writes, Write{Patch: &Patch{From: claim, To: owned}})
			}
		}
	}
	return writes
}

// scaledAway says whether the pod of the claim is gone and won't come back: the whole group is gone and not asked for, or the group has
// become smaller.
func scaledAway(m *snapshot.GroupMembers, claim *corev1.PersistentVolumeClaim) bool {
	if m.Leaders == nil || !metav1.IsControlledBy(m.Leaders, m.LWS) {
		return false
	}
	if m.Leader == nil {
		return len(m.WorkerPods) == 0 && m.Index >= max(ptr.Deref(m.Leaders.Spec.Replicas, 1), *m.LWS.Spec.Replicas)
	}
	_, worker, ok := identity.Parse(claim.Name)
	return ok && m.Leader.DeletionTimestamp == nil && worker >= snapshot.LeaderSize(m.Leader) &&
		!slices.ContainsFunc(m.WorkerPods, func(pod *corev1.Pod) bool { return pod.Name == identity.Worker(m.Leader.Name, worker) })
}

// setOwner makes the set an owner of the claim, or makes it none.
func setOwner(claim *corev1.PersistentVolumeClaim, lws *leaderworkersetv1.LeaderWorkerSet, owner bool) {
	isSet := func(reference metav1.OwnerReference) bool { return reference.UID == lws.UID }
	switch owned := slices.ContainsFunc(claim.OwnerReferences, isSet); {
	case !owner:
		claim.OwnerReferences = slices.DeleteFunc(claim.OwnerReferences, isSet)
	case !owned:
		claim.OwnerReferences = append(claim.OwnerReferences, desired.ClaimOwner(lws))
	}
}
