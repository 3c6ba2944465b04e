// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package group

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// withPodGroups adds to the verdict on the pods the creation of the PodGroups that the pods are in. PodGroups come
// first: the scheduler holds the pods until their PodGroup exists.
func withPodGroups(m *snapshot.GroupMembers, template *revision.Template, verdict Verdict) Verdict {
	if m.LWS.Spec.Scheduling == nil {
		return verdict
	}
	if role := scheduling.LeaderRole(m.LWS.Spec.Scheduling); role != "" && scheduling.NameOf(m.Leader) == "" {
		verdict.Obstacle = fmt.Sprintf("leader pod %s was created without a PodGroup: its pods are scheduled one by one "+
			"until the group is recreated", m.Leader.Name)
		verdict.LacksPodGroup = true
	}
	const reason = "the scheduler waits for the PodGroup"
	var creations []write.Write
	for _, podGroup := range wantedPodGroups(m, template) {
		isIt := func(existing *metav1.PartialObjectMetadata) bool { return existing.Name == podGroup.Name }
		if !slices.ContainsFunc(m.PodGroups, isIt) {
			created := podGroup.Object(m.Scheduling.PodGroups)
			creations = append(creations, write.Write{Create: created, CacheLabels: created.GetLabels(), Reason: reason})
		}
	}
	if len(creations) > 0 {
		verdict.Action, verdict.Writes = CreatePodGroups, slices.Concat(creations, verdict.Writes)
	}
	return verdict
}

// wantedPodGroups returns the PodGroups of the present incarnation, from its own revision.
func wantedPodGroups(m *snapshot.GroupMembers, template *revision.Template) []scheduling.PodGroup {
	incarnation := scheduling.Group{
		Set: m.LWS, Index: identity.FormatIndex(m.Index), Leader: m.Leader,
		Size:              *template.LeaderWorkerTemplate.Size,
		PriorityClassName: template.Leader().Spec.PriorityClassName,
	}
	return incarnation.PodGroups()
}

// podGroupWrites deletes the PodGroups of earlier incarnations, and adopts those of the present one that nobody owns:
// their set was deleted without them.
func podGroupWrites(m *snapshot.GroupMembers) []write.Write {
	if m.LWS == nil {
		return nil
	}
	var writes []write.Write
	for _, podGroup := range m.PodGroups {
		leader := types.UID(podGroup.Annotations[leaderworkersetv1.LeaderUIDAnnotationKey])
		owner := metav1.GetControllerOf(podGroup)
		isPresent := m.Leader != nil && m.Leader.UID == leader
		switch {
		case leader == "" || podGroup.DeletionTimestamp != nil || (owner != nil && owner.UID != m.LWS.UID):
		case isPresent && owner == nil && m.HasLiveSet():
			writes = append(writes, adoptPodGroup(m, podGroup))
		case !isPresent:
			writes = append(writes, deletePodGroup(m, podGroup, leader))
		}
	}
	return writes
}

func adoptPodGroup(m *snapshot.GroupMembers, podGroup *metav1.PartialObjectMetadata) write.Write {
	adopted := podGroup.DeepCopy()
	owner := metav1.NewControllerRef(m.LWS, leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet"))
	adopted.OwnerReferences = append(adopted.OwnerReferences, *owner)
	return write.Write{
		Patch: &write.Patch{From: podGroup, To: adopted}, If: write.SameVersion, OwnerMustLive: owner,
		Reason: "the PodGroup outlived an earlier set",
	}
}

// deletePodGroup deletes the PodGroup of a leader that is gone. A finalizer holds the PodGroup until its pods have
// ended. A late cache may not show the leader yet, so the deletion asks whether it exists.
func deletePodGroup(
	m *snapshot.GroupMembers, podGroup *metav1.PartialObjectMetadata, leader types.UID,
) write.Write {
	return write.Write{
		Delete:          []write.Object{podGroup},
		OwnerMustBeGone: leaderReference(identity.Leader(m.LWS.Name, m.Index), leader),
		Reason:          "the leader of its incarnation is gone",
	}
}

// leaderReference returns a reference to a leader pod.
func leaderReference(name string, uid types.UID) *metav1.OwnerReference {
	return &metav1.OwnerReference{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Pod", Name: name, UID: uid}
}
