// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// GroupMembers is what a pass over one group looks at: everything that carries the group's name, of this life and of earlier ones.
type GroupMembers struct {
	// LWS is the LeaderWorkerSet, with its defaults filled in; nil if it is gone.
	LWS *leaderworkersetv1.LeaderWorkerSet

	// Leaders is the leader StatefulSet; nil if there is none.
	Leaders *appsv1.StatefulSet

	// Index is the group's index.
	Index int32

	// Leader is the pod in the place of the leader; nil if there is none.
	Leader *corev1.Pod

	// Workers is the object in the place of the worker StatefulSet, whoever it belongs to; nil if there is none.
	Workers *appsv1.StatefulSet

	// WorkerPods are the pods labeled as workers of the group, whoever they belong to.
	WorkerPods []*corev1.Pod

	// Service is the object in the place of the group's own headless Service; nil if there is none, or if the group shares one.
	Service *corev1.Service

	// Claims are the volume claims labeled as those of the group's workers.
	Claims []*corev1.PersistentVolumeClaim

	// Revisions are the ControllerRevisions labeled as the set's, whoever they belong to.
	Revisions []*appsv1.ControllerRevision

	// Remembered is the fingerprint of the group's life that was complete when the operator last wrote it down; empty if there is none.
	Remembered string

	// Node is the leader's node: its metadata, if the leader is scheduled and asks for exclusive placement, else nil.
	Node *metav1.PartialObjectMetadata
}

// Belongs says whether the leader pod is part of the LeaderWorkerSet as it is now: controlled by the leader StatefulSet, and that by
// the LeaderWorkerSet.
func (m *GroupMembers) Belongs() bool {
	return m.LWS != nil && m.Leaders != nil && m.Leader != nil &&
		metav1.IsControlledBy(m.Leaders, m.LWS) && metav1.IsControlledBy(m.Leader, m.Leaders)
}

// OwnWorkers is the worker StatefulSet if it belongs to the leader pod that exists, else nil.
func (m *GroupMembers) OwnWorkers() *appsv1.StatefulSet {
	if m.Workers == nil || m.Leader == nil || !metav1.IsControlledBy(m.Workers, m.Leader) {
		return nil
	}
	return m.Workers
}

// UnseenWorkers is the UID of the worker StatefulSet that the worker pods belong to, if the cache doesn't show it: it was deleted a moment
// ago, or has lost its labels. Empty if there is none. Pods that are terminating tell nothing.
func (m *GroupMembers) UnseenWorkers() types.UID {
	if m.Workers != nil || m.Leader == nil {
		return ""
	}
	for _, pod := range m.WorkerPods {
		owner := metav1.GetControllerOf(pod)
		if owner != nil && owner.Kind == "StatefulSet" && owner.Name == m.Leader.Name && pod.DeletionTimestamp == nil {
			return owner.UID
		}
	}
	return ""
}

// Orphans are the worker pods that belong to nobody, such as those of a StatefulSet that was deleted without them. Only pods that were
// made for this group count.
func (m *GroupMembers) Orphans() []*corev1.Pod {
	var orphans []*corev1.Pod
	for _, pod := range m.WorkerPods {
		made := m.Leader != nil && pod.Labels[leaderworkersetv1.GroupUniqueHashLabelKey] == identity.GroupKey(m.Leader.Namespace, m.Leader.Name)
		if made && metav1.GetControllerOf(pod) == nil && pod.DeletionTimestamp == nil {
			orphans = append(orphans, pod)
		}
	}
	return orphans
}

// PreviousWorkers counts the worker pods that belong to an earlier life of the group: not controlled by the worker StatefulSet of
// the leader pod that exists.
func (m *GroupMembers) PreviousWorkers() int {
	own := m.OwnWorkers()
	count := 0
	for _, pod := range m.WorkerPods {
		if own == nil || !metav1.IsControlledBy(pod, own) {
			count++
		}
	}
	return count
}
