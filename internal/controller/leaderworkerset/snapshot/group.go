// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// GroupMembers is what a pass over one group looks at: every object that has the group's name, of this incarnation and
// of earlier ones.
type GroupMembers struct {
	// LWS is the LeaderWorkerSet, with its defaults filled in; nil if it was deleted.
	LWS *leaderworkersetv1.LeaderWorkerSet

	// Leaders is the leader StatefulSet; nil if there is none.
	Leaders *appsv1.StatefulSet

	// Index is the group's index.
	Index int32

	// Leader is the pod that has the leader's name; nil if there is none.
	Leader *corev1.Pod

	// Workers is the object that has the name of the worker StatefulSet, whoever owns it; nil if there is none.
	Workers *appsv1.StatefulSet

	// WorkerPods are the pods labeled as workers of the group, whoever owns them.
	WorkerPods []*corev1.Pod

	// Service is the object that has the name of the group's own headless Service, whoever owns it; nil if there is none.
	Service *corev1.Service

	// Claims are the volume claims labeled as those of the group's workers.
	Claims []*corev1.PersistentVolumeClaim

	// Revisions are the ControllerRevisions that carry the set's label, whoever owns them.
	Revisions []*appsv1.ControllerRevision

	// MissingPods is what is known of missing workers.
	MissingPods

	// Node is the metadata of the leader's node, if the leader is scheduled and asks for exclusive placement, else nil.
	Node *metav1.PartialObjectMetadata
}

// Belongs reports whether the leader pod is part of the LeaderWorkerSet as it is now: the leader StatefulSet controls
// the pod, and the LeaderWorkerSet that StatefulSet.
func (m *GroupMembers) Belongs() bool {
	return m.LWS != nil && m.Leaders != nil && m.Leader != nil &&
		metav1.IsControlledBy(m.Leaders, m.LWS) && metav1.IsControlledBy(m.Leader, m.Leaders)
}

// HasLiveSet reports whether the leader pod is part of a LeaderWorkerSet that isn't being deleted.
func (m *GroupMembers) HasLiveSet() bool {
	return m.Belongs() && m.LWS.DeletionTimestamp == nil && m.Leaders.DeletionTimestamp == nil
}

// IsLeftAlone reports whether the operator leaves the group as it is, because it can't run the LeaderWorkerSet.
func (m *GroupMembers) IsLeftAlone() bool { return m.LWS != nil && len(m.LWS.Spec.Unsupported()) > 0 }

// OwnWorkers returns the worker StatefulSet if the leader pod controls it, else nil.
func (m *GroupMembers) OwnWorkers() *appsv1.StatefulSet {
	if m.Workers == nil || m.Leader == nil || !metav1.IsControlledBy(m.Workers, m.Leader) {
		return nil
	}
	return m.Workers
}

// UnseenWorkers returns the UID of the worker StatefulSet that the worker pods belong to, if the cache doesn't show it.
// It was deleted just before, or has lost its labels. The UID is empty if there is none. Terminating pods don't count.
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

// Orphans returns the worker pods that nobody controls, such as those of a StatefulSet that was deleted without them.
// Only pods that were created for this group and have the name of a worker count.
func (m *GroupMembers) Orphans() []*corev1.Pod {
	if m.Leader == nil {
		return nil
	}
	key := identity.GroupKey(m.Leader.Namespace, m.Leader.Name)
	var orphans []*corev1.Pod
	for _, pod := range m.WorkerPods {
		ofGroup := pod.Labels[leaderworkersetv1.GroupUniqueHashLabelKey] == key
		if ofGroup && m.isWorkerName(pod.Name) && metav1.GetControllerOf(pod) == nil && pod.DeletionTimestamp == nil {
			orphans = append(orphans, pod)
		}
	}
	return orphans
}

// PreviousWorkers returns the worker pods of earlier incarnations of the group: those that have the name of a worker,
// and that the worker StatefulSet of the present leader pod doesn't control. Pods that were taken aside aren't among
// them.
func (m *GroupMembers) PreviousWorkers() []*corev1.Pod {
	workers := m.OwnWorkers()
	var previous []*corev1.Pod
	for _, pod := range m.WorkerPods {
		if m.isWorkerName(pod.Name) && !IsTakenAside(pod) && (workers == nil || !metav1.IsControlledBy(pod, workers)) {
			previous = append(previous, pod)
		}
	}
	return previous
}

// IsTakenAside reports whether somebody took the label with the group's key off a worker. Its StatefulSet has released
// it: nobody controls it, and it is nobody's to delete. The next pod of its name can't be created, which is reported.
func IsTakenAside(worker metav1.Object) bool {
	return worker.GetLabels()[leaderworkersetv1.GroupUniqueHashLabelKey] == "" && metav1.GetControllerOf(worker) == nil
}

// Members returns the pods of the group's present incarnation, by worker index. Other pods may have their labels:
// kubectl debug can copy a pod with its labels. The worker StatefulSet adopts such a copy if its name ends in a number,
// and deletes it if that is no index of a worker.
func (m *GroupMembers) Members() map[int32]*corev1.Pod {
	members := map[int32]*corev1.Pod{0: m.Leader}
	workers, size := m.OwnWorkers(), LeaderSize(m.Leader)
	if workers == nil {
		return members
	}
	for _, pod := range m.WorkerPods {
		if worker, ok := m.workerIndex(pod.Name); ok && worker < size && metav1.IsControlledBy(pod, workers) {
			members[worker] = pod
		}
	}
	return members
}

// MissingWorkers returns the indices of the workers that the worker StatefulSet has yet to create, lowest first,
// MaxMissing at most. There are none of a group that is deleted, or that isn't the operator's to complete.
func (m *GroupMembers) MissingWorkers() []int32 {
	workers := m.OwnWorkers()
	if workers == nil || workers.DeletionTimestamp != nil || m.Leader.DeletionTimestamp != nil ||
		!m.HasLiveSet() || m.IsLeftAlone() {
		return nil
	}
	members := m.Members()
	var missing []int32
	for index := range ptr.Deref(workers.Spec.Replicas, 1) {
		if worker := index + 1; members[worker] == nil {
			missing = append(missing, worker)
		}
		if len(missing) == MaxMissing {
			break
		}
	}
	return missing
}

// Pods returns how many pods of the group exist, of earlier incarnations as well.
func (m *GroupMembers) Pods() int {
	if m.Leader == nil {
		return len(m.WorkerPods)
	}
	return len(m.WorkerPods) + 1
}

// isWorkerName reports whether a worker of the group may have this name, in this incarnation or in an earlier one,
// which may have been larger.
func (m *GroupMembers) isWorkerName(name string) bool {
	_, ok := m.workerIndex(name)
	return ok
}

// workerIndex returns the worker index in the name of a pod. ok is false for a name that no worker of the group has.
func (m *GroupMembers) workerIndex(name string) (worker int32, ok bool) {
	leader, worker, ok := identity.Parse(name)
	return worker, ok && worker > 0 && (m.Leader == nil || leader == m.Leader.Name)
}
