// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package group

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

func groupHasNoWorkers(_ *snapshot.GroupMembers, template *revision.Template) *Verdict {
	if *template.LeaderWorkerTemplate.Size != 1 {
		return nil
	}
	return &Verdict{Action: Nothing, Reason: "the group is its leader alone"}
}

func workersExist(m *snapshot.GroupMembers, template *revision.Template) *Verdict {
	switch {
	case m.Workers == nil:
		return nil
	case m.Workers.DeletionTimestamp != nil:
		return wait("the StatefulSet of the previous workers is still there")
	case m.OwnWorkers() == nil:
		return &Verdict{Action: Blocked, Reason: snapshot.NameTaken("StatefulSet", m.Workers.Name)}
	}
	verdict := &Verdict{Action: UpdateWorkers, Reason: "the workers are there"}
	updated := desired.Adjust(m.Workers, desiredWorkers(m, template, desired.Topology{}), false)
	if !equality.Semantic.DeepEqual(m.Workers, updated) {
		precondition := write.Weakest(m.Workers, updated, "")
		verdict.Writes = []write.Write{{Patch: &write.Patch{From: m.Workers, To: updated}, If: precondition}}
	}
	return verdict
}

// workersAreUnseen restores the labels of a StatefulSet that somebody took them off. It looks like one that was deleted
// just before, whose pods nobody has deleted yet. Then the first write changes nothing, and the second deletes them.
func workersAreUnseen(m *snapshot.GroupMembers) *Verdict {
	uid := m.UnseenWorkers()
	if uid == "" {
		return nil
	}
	unseen := &metav1.PartialObjectMetadata{
		ObjectMeta: metav1.ObjectMeta{Name: m.Leader.Name, Namespace: m.Leader.Namespace, UID: uid},
	}
	unseen.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
	relabeled := unseen.DeepCopy()
	relabeled.Labels = selectingLabels(m)
	return &Verdict{
		Action: RelabelWorkers, Reason: "worker pods are there, and their StatefulSet isn't seen",
		Writes: append([]write.Write{{Patch: &write.Patch{From: unseen, To: relabeled}, If: write.SameUID}},
			stopUnowned(m)...),
	}
}

// previousWorkersRemain delays the next workers while pods of their names exist: the StatefulSet controller could only
// fail.
func previousWorkersRemain(m *snapshot.GroupMembers, _ *revision.Template) *Verdict {
	previous := len(m.PreviousWorkers())
	if previous == 0 {
		return nil
	}
	return wait(fmt.Sprintf("%d previous workers are still there", previous))
}

// workersAreMissing creates the workers, once it is known where the leader runs: exclusive placement binds them to that
// topology for life.
func workersAreMissing(m *snapshot.GroupMembers, template *revision.Template) Verdict {
	topology, unknown := topologyOf(m)
	if unknown != nil {
		return *unknown
	}
	workers := desiredWorkers(m, template, topology)
	return Verdict{
		Action: CreateWorkers, Reason: "the workers are missing",
		Writes: []write.Write{{Create: workers, CacheLabels: selectingLabels(m)}},
	}
}

// topologyOf returns the node label and value that exclusive placement binds the workers to, or why they aren't known.
func topologyOf(m *snapshot.GroupMembers) (desired.Topology, *Verdict) {
	key := m.Leader.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey]
	node := m.Leader.Spec.NodeName
	switch {
	case key == "":
		return desired.Topology{}, nil
	case node == "":
		return desired.Topology{}, wait("the leader pod isn't scheduled")
	case m.Node == nil:
		reason := fmt.Sprintf("node %s of leader pod %s doesn't exist", node, m.Leader.Name)
		return desired.Topology{}, &Verdict{Action: BlockedUnwatched, Reason: reason}
	case m.Node.Labels[key] == "":
		reason := fmt.Sprintf("node %s of leader pod %s has no label %s, which %s asks for",
			m.Node.Name, m.Leader.Name, key, leaderworkersetv1.ExclusiveKeyAnnotationKey)
		return desired.Topology{}, &Verdict{Action: BlockedUnwatched, Reason: reason}
	}
	return desired.Topology{Key: key, Value: m.Node.Labels[key]}, nil
}

func desiredWorkers(
	m *snapshot.GroupMembers, template *revision.Template, topology desired.Topology,
) *appsv1.StatefulSet {
	key := m.Leader.Labels[leaderworkersetv1.RevisionLabelKey]
	podGroup := scheduling.WorkersName(m.LWS.Spec.Scheduling, m.Leader)
	of := desired.Group{Index: m.Index, Leader: m.Leader, Topology: topology, PodGroup: podGroup}
	return desired.WorkerStatefulSet(m.LWS, template, key, of)
}

// selectingLabels returns the labels by which the cache selects the objects of the group and finds their group.
func selectingLabels(m *snapshot.GroupMembers) map[string]string {
	return map[string]string{
		leaderworkersetv1.SetNameLabelKey:         m.LWS.Name,
		leaderworkersetv1.GroupIndexLabelKey:      identity.FormatIndex(m.Index),
		leaderworkersetv1.GroupUniqueHashLabelKey: identity.GroupKey(m.Leader.Namespace, m.Leader.Name),
	}
}
