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

// TestClaimOwners follows who owns the claim of a worker, by whom it goes in the end.
func TestClaimOwners(t *testing.T) {
	const keep, drop = appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	standIn := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "llama", UID: "leaders"}
	set := metav1.OwnerReference{APIVersion: "leaderworkerset.x-k8s.io/v1", Kind: "LeaderWorkerSet", Name: "llama", UID: "set"}
	other := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "llama-1", UID: "other"}
	type owners = []metav1.OwnerReference
	unchanged := func(*snapshot.GroupMembers) {}
	setIsGone := func(m *snapshot.GroupMembers) { m.LWS = nil }
	for _, tc := range []struct {
		name         string
		whenDeleted  appsv1.PersistentVolumeClaimRetentionPolicyType
		change       func(*snapshot.GroupMembers)
		before, want owners
	}{
		{"is retained", keep, unchanged, nil, nil},
		{"is seen for the first time", drop, unchanged, owners{standIn}, owners{set}},
		{"was made without an owner", drop, unchanged, nil, owners{set}},
		{"goes with the set", drop, unchanged, owners{set}, owners{set}},
		{"has another owner, too", drop, unchanged, owners{set, other}, owners{set, other}},
		{"is to be retained from now on", keep, unchanged, owners{set, other}, owners{other}},
		{"was made by templates from before it was to be retained", keep, unchanged, owners{standIn}, nil},
		{"the set is going", drop, func(m *snapshot.GroupMembers) { m.LWS.DeletionTimestamp = &now }, owners{standIn}, owners{standIn}},
		{"the set is gone, and its groups are going", drop, setIsGone, owners{standIn}, owners{standIn}},
		{
			"the set is gone, and has left its groups behind", drop,
			func(m *snapshot.GroupMembers) { m.LWS, m.Leaders.OwnerReferences = nil, nil }, owners{standIn, other}, owners{other},
		},
		{
			"another set has the name, and can't adopt the groups that were left behind", drop,
			func(m *snapshot.GroupMembers) { m.Leaders.OwnerReferences = nil }, owners{standIn, other}, owners{other},
		},
		{
			"the set is gone, and the groups that it left behind are going", drop,
			func(m *snapshot.GroupMembers) {
				m.LWS, m.Leaders.OwnerReferences, m.Leaders.DeletionTimestamp = nil, nil, &now
			},
			owners{standIn}, owners{standIn},
		},
		{
			"the leader StatefulSet is gone, too", drop,
			func(m *snapshot.GroupMembers) { m.LWS, m.Leaders = nil, nil }, owners{standIn}, owners{standIn},
		},
		{"is going", drop, func(m *snapshot.GroupMembers) { m.Claims[0].DeletionTimestamp = &now }, owners{standIn}, owners{standIn}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMembers(t, newSet())
			m.LWS.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenDeleted: tc.whenDeleted}
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

// A claim is deleted once its pod was scaled away, if it is to go then.
func TestClaimsScaledAway(t *testing.T) {
	m := newMembers(t, newSet())
	m.LWS.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
		WhenScaled: appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
	}
	m.Claims = []*corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data-llama-1-1"}}}
	wantWrites(t, "while the group is there", group.Next(m).Writes)
	m.LWS.Spec.Replicas, m.Leaders.Spec.Replicas, m.Leader, m.Workers = ptr.To[int32](1), ptr.To[int32](1), nil, nil
	wantWrites(t, "once it isn't asked for, and gone", group.Next(m).Writes, "delete *v1.PersistentVolumeClaim data-llama-1-1")
	m.LWS = nil
	wantWrites(t, "once the set is gone", group.Next(m).Writes)
}
