// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package group

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// previousWorkersOutlive deletes the StatefulSet of a leader that was deleted without it, and its pods.
func previousWorkersOutlive(m *snapshot.GroupMembers) *Verdict {
	if m.Workers == nil || (!belongsToEarlierLeader(m.Workers, m) && !wasOrphaned(m)) {
		return nil
	}
	deleted := undeleted(m, m.Workers)
	if len(deleted) == 0 {
		return nil
	}
	return &Verdict{
		Action: StopWorkers, Reason: "the previous workers outlived their leader",
		Writes: []write.Write{{Delete: deleted}},
	}
}

// orphansRemain deletes pods whose StatefulSet was deleted without them. Nobody else would, and the group couldn't be
// created again.
func orphansRemain(m *snapshot.GroupMembers, _ *revision.Template) *Verdict {
	orphans := m.Orphans()
	if m.OwnWorkers() != nil || len(orphans) == 0 {
		return nil
	}
	objects := make([]write.Object, len(orphans))
	for i, orphan := range orphans {
		objects[i] = orphan
	}
	return &Verdict{
		Action: StopOrphans, Reason: "worker pods outlived their StatefulSet",
		Writes: []write.Write{{Delete: objects}},
	}
}

// runningWorkers returns the worker pods of a StatefulSet of the group that aren't marked for deletion. While the
// leader terminates, none of them is of the next incarnation.
func runningWorkers(m *snapshot.GroupMembers) []write.Object {
	var pods []write.Object
	for _, pod := range m.WorkerPods {
		owner := metav1.GetControllerOf(pod)
		ofGroup := owner != nil && owner.Kind == "StatefulSet" && owner.Name == leaderName(m, pod)
		if ofGroup && pod.DeletionTimestamp == nil {
			pods = append(pods, pod)
		}
	}
	return pods
}

// leaderName returns the name of the group's leader, which may be missing. The pod is one of the group.
func leaderName(m *snapshot.GroupMembers, pod *corev1.Pod) string {
	if m.Leader != nil {
		return m.Leader.Name
	}
	return identity.Leader(pod.Labels[leaderworkersetv1.SetNameLabelKey], m.Index)
}

// stopOutlived stops the workers of a leader that is deleted. A leader without a node, or one that has failed, has no
// grace period: no pass sees it terminate. The cache doesn't show a leader without its labels either, so the deletions
// ask whether the owner still exists.
func stopOutlived(m *snapshot.GroupMembers) []write.Write {
	if m.Workers == nil {
		return stopUnowned(m)
	}
	leader := metav1.GetControllerOf(m.Workers)
	if leader == nil || leader.Kind != "Pod" || leader.Name != m.Workers.Name {
		return nil
	}
	if deleted := undeleted(m, m.Workers); len(deleted) > 0 {
		return []write.Write{{Delete: deleted, OwnerMustBeGone: leader}}
	}
	return nil
}

// stopUnowned stops the worker pods of a StatefulSet that is deleted. The garbage collector may have deleted it before
// the operator looked.
func stopUnowned(m *snapshot.GroupMembers) []write.Write {
	var owner *metav1.OwnerReference
	var deleted []write.Object
	for _, pod := range runningWorkers(m) {
		controller := metav1.GetControllerOf(pod)
		if owner == nil {
			owner = controller
		}
		if controller.UID == owner.UID {
			deleted = append(deleted, pod)
		}
	}
	if owner == nil {
		return nil
	}
	return []write.Write{{Delete: deleted, OwnerMustBeGone: owner}}
}

// undeleted returns a worker StatefulSet and its pods without those that are marked for deletion. The StatefulSet is
// the first: its controller creates no other pods then.
func undeleted(m *snapshot.GroupMembers, workers *appsv1.StatefulSet) []write.Object {
	var objects []write.Object
	if workers.DeletionTimestamp == nil {
		objects = append(objects, workers)
	}
	for _, pod := range m.WorkerPods {
		if metav1.IsControlledBy(pod, workers) && pod.DeletionTimestamp == nil {
			objects = append(objects, pod)
		}
	}
	return objects
}

// wasOrphaned reports whether nobody controls the worker StatefulSet and it was created for this group: its leader was
// deleted without it.
func wasOrphaned(m *snapshot.GroupMembers) bool {
	return metav1.GetControllerOf(m.Workers) == nil &&
		m.Workers.Labels[leaderworkersetv1.GroupUniqueHashLabelKey] == identity.GroupKey(m.Leader.Namespace, m.Leader.Name)
}
