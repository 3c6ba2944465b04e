// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/group"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// TestClaimOwners checks the owners of a worker's claim, with which it is deleted.
func TestClaimOwners(t *testing.T) {
	const (
		retain        = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
		deleteWithSet = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	)
	leaders := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "llama", UID: "leaders"}
	set := metav1.OwnerReference{
		APIVersion: "leaderworkerset.x-k8s.io/v1", Kind: "LeaderWorkerSet", Name: "llama", UID: "set",
	}
	other := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "llama-1", UID: "other"}
	type owners = []metav1.OwnerReference
	unchanged := func(*snapshot.GroupMembers) {}
	setDeleted := func(m *snapshot.GroupMembers) { m.LWS = nil }
	for _, tc := range []struct {
		name         string
		whenDeleted  appsv1.PersistentVolumeClaimRetentionPolicyType
		change       func(*snapshot.GroupMembers)
		before, want owners
	}{
		{"is retained", retain, unchanged, nil, nil},
		{"is new", deleteWithSet, unchanged, owners{leaders}, owners{set}},
		{"is new, without an owner", deleteWithSet, unchanged, nil, owners{set}},
		{"is deleted with the set", deleteWithSet, unchanged, owners{set}, owners{set}},
		{"has another owner", deleteWithSet, unchanged, owners{set, other}, owners{set, other}},
		{"is retained from now on", retain, unchanged, owners{set, other}, owners{other}},
		{"was created by templates from before it is retained", retain, unchanged, owners{leaders}, nil},
		{
			"the set terminates", deleteWithSet,
			func(m *snapshot.GroupMembers) { m.LWS.DeletionTimestamp = &now }, owners{leaders}, owners{leaders},
		},
		{
			"the set isn't supported", deleteWithSet,
			func(m *snapshot.GroupMembers) { m.LWS.Spec.GroupIdentity = "Hash" }, owners{leaders}, owners{leaders},
		},
		{"the set is deleted, and its groups will be", deleteWithSet, setDeleted, owners{leaders}, owners{leaders}},
		{
			"the set is deleted, and its groups are orphaned", deleteWithSet,
			func(m *snapshot.GroupMembers) { m.LWS, m.Leaders.OwnerReferences = nil, nil }, owners{leaders, other},
			owners{other},
		},
		{
			"another set has the name, and can't adopt the orphaned groups", deleteWithSet,
			func(m *snapshot.GroupMembers) { m.Leaders.OwnerReferences = nil }, owners{leaders, other}, owners{other},
		},
		{
			"the set is deleted, and the orphaned groups terminate", deleteWithSet,
			func(m *snapshot.GroupMembers) {
				m.LWS, m.Leaders.OwnerReferences, m.Leaders.DeletionTimestamp = nil, nil, &now
			},
			owners{leaders}, owners{leaders},
		},
		{
			"the set and the leader StatefulSet are deleted", deleteWithSet,
			func(m *snapshot.GroupMembers) { m.LWS, m.Leaders = nil, nil }, owners{leaders}, owners{leaders},
		},
		{
			"terminates", deleteWithSet,
			func(m *snapshot.GroupMembers) { m.Claims[0].DeletionTimestamp = &now }, owners{leaders}, owners{leaders},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMembers(t, newSet())
			policy := &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenDeleted: tc.whenDeleted}
			m.LWS.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy = policy
			m.Claims = []*corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{
				Name: "data-llama-1-1", OwnerReferences: tc.before,
				Labels: map[string]string{leaderworkersetv1.SetNameLabelKey: "llama", leaderworkersetv1.GroupIndexLabelKey: "1"},
			}}}
			tc.change(m)
			got := tc.before
			for _, write := range group.Next(m).Writes {
				if write.Patch != nil {
					if claim, ok := write.Patch.To.(*corev1.PersistentVolumeClaim); ok {
						got = claim.OwnerReferences
					}
				}
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("owners (-want +got):\n%s", diff)
			}
		})
	}
}

// TestClaimsScaledDown checks that a claim is deleted once its pod was scaled down, if the policy says so.
func TestClaimsScaledDown(t *testing.T) {
	m := newMembers(t, newSet())
	policy := &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
		WhenScaled: appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
	}
	m.LWS.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy = policy
	m.Claims = []*corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data-llama-1-1"}}}
	wantWrites(t, "while the group exists", group.Next(m).Writes)
	m.LWS.Spec.Replicas, m.Leaders.Spec.Replicas, m.Leader, m.Workers = ptr.To[int32](1), ptr.To[int32](1), nil, nil
	wantWrites(t, "once it is scaled down and deleted", group.Next(m).Writes,
		"delete *v1.PersistentVolumeClaim data-llama-1-1")
	m.LWS = nil
	wantWrites(t, "once the set is deleted", group.Next(m).Writes)
}
