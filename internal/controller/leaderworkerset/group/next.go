// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package group decides what one group needs next. The decision is an ordered list of named checks; the first one that has
// something to say ends it.
package group

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Action is what to do with a group now.
type Action string

const (
	// Nothing means that the group has what it needs.
	Nothing Action = "Nothing"

	// Wait means that something has to happen first. It is watched, and the group is looked at again when it does.
	Wait Action = "Wait"

	// Blocked means that something outside of the operator's reach is wrong, and the user has to be told.
	Blocked Action = "Blocked"

	// BlockedOutOfSight is Blocked by something that nothing watches: the group has to be looked at again now and then.
	BlockedOutOfSight Action = "BlockedOutOfSight"

	// StopWorkers has the workers go: at the same time as their leader, or because they outlived it.
	StopWorkers Action = "StopWorkers"

	// StopOrphans has worker pods go that belong to nobody and have the names that the next workers need.
	StopOrphans Action = "StopOrphans"

	// RelabelWorkers has the worker StatefulSet get its labels back, if it exists: the cache doesn't show it, and its pods are there.
	RelabelWorkers Action = "RelabelWorkers"

	// ReleaseLeader lets the leader be scheduled: the pods of the group's previous life are gone.
	ReleaseLeader Action = "ReleaseLeader"

	// CreateService makes up for the group's own headless Service, which is missing.
	CreateService Action = "CreateService"

	// CreateWorkers makes up for the worker StatefulSet, which is missing.
	CreateWorkers Action = "CreateWorkers"

	// UpdateWorkers compares the worker StatefulSet, which is there, with the wished one.
	UpdateWorkers Action = "UpdateWorkers"
)

// Verdict is a decision and its reason, in words for logs and events.
type Verdict struct {
	Action Action
	Reason string

	// Template is that of the group's own revision, set with the actions that create or update.
	Template *revision.Template

	// Topology is where exclusive placement binds the workers to, set with CreateWorkers.
	Topology desired.Topology
}

// Next decides what the group needs now.
func Next(members *snapshot.GroupMembers) Verdict {
	var verdict Verdict
	for _, check := range []func(*snapshot.GroupMembers, *Verdict) bool{
		leaderIsMissing,
		leaderIsTerminating,
		setIsGoneOrGoing,
		leaderHasWaited,
		revisionIsUnreadable,
		serviceIsMissing,
		previousWorkersOutlive,
		orphansRemain,
		groupHasNoWorkers,
		workersExist,
		workersAreUnseen,
		previousWorkersRemain,
		leaderHasToBeReady,
		topologyIsUnknown,
	} {
		if check(members, &verdict) {
			return verdict
		}
	}
	verdict.Action, verdict.Reason = CreateWorkers, "the workers are missing"
	return verdict
}

func leaderIsMissing(m *snapshot.GroupMembers, v *Verdict) bool {
	v.Action, v.Reason = Wait, "there is no leader pod"
	return m.Leader == nil
}

// leaderIsTerminating stops the workers together with the leader, so that the whole group is gone after one termination grace
// period. Garbage collection would start on them only once the leader is gone, and never on those that it was told to leave alone, which
// the next leader can't use.
func leaderIsTerminating(m *snapshot.GroupMembers, v *Verdict) bool {
	v.Action, v.Reason = Wait, "the leader pod is terminating"
	ours := m.OwnWorkers() != nil || (m.Belongs() && m.Workers != nil && wasOrphaned(m))
	if ours && m.Workers.DeletionTimestamp == nil {
		v.Action = StopWorkers
	}
	return m.Leader.DeletionTimestamp != nil
}

// setIsGoneOrGoing creates nothing for a pod that isn't, or soon won't be, anyone's leader.
func setIsGoneOrGoing(m *snapshot.GroupMembers, v *Verdict) bool {
	v.Action, v.Reason = Wait, "the leader pod doesn't belong to a LeaderWorkerSet, or to one that is being deleted"
	return !m.Belongs() || m.LWS.DeletionTimestamp != nil || m.Leaders.DeletionTimestamp != nil
}

// leaderHasWaited ends the leader's wait for the pods of the group's previous life. Until their StatefulSet is gone, too, it could make
// another one.
func leaderHasWaited(m *snapshot.GroupMembers, v *Verdict) bool {
	v.Action, v.Reason = ReleaseLeader, "the pods of the group's previous life are gone"
	previous := m.Workers != nil && (belongsToEarlierLeader(m.Workers, m) || wasOrphaned(m))
	return snapshot.WaitsForPreviousGroup(m.Leader) && m.PreviousWorkers() == 0 && !previous
}

func revisionIsUnreadable(m *snapshot.GroupMembers, v *Verdict) bool {
	key := m.Leader.Labels[leaderworkersetv1.RevisionLabelKey]
	found := revision.Find(snapshot.OwnedRevisions(m.LWS, m.Revisions), key)
	if found == nil {
		v.Action, v.Reason = BlockedOutOfSight, fmt.Sprintf("leader pod %s is of revision %q, which doesn't exist", m.Leader.Name, key)
		return true
	}
	template, err := revision.Parse(found)
	if err != nil {
		v.Action, v.Reason = BlockedOutOfSight, err.Error()
		return true
	}
	v.Template = &template
	return false
}

func serviceIsMissing(m *snapshot.GroupMembers, v *Verdict) bool {
	if v.Template.Subdomain() != leaderworkersetv1.SubdomainUniquePerReplica {
		return false
	}
	switch {
	case m.Service == nil:
		v.Action, v.Reason = CreateService, "the group's Service is missing"
	case m.Service.DeletionTimestamp != nil || belongsToEarlierLeader(m.Service, m):
		v.Action, v.Reason = Wait, "the Service of the group's previous leader is still there"
	case !metav1.IsControlledBy(m.Service, m.Leader):
		v.Action, v.Reason = Blocked, snapshot.InTheWay("Service", m.Service.Name)
	default:
		return false
	}
	return true
}

// previousWorkersOutlive takes the StatefulSet away of a leader that was deleted without it.
func previousWorkersOutlive(m *snapshot.GroupMembers, v *Verdict) bool {
	v.Action, v.Reason = StopWorkers, "the previous workers outlived their leader"
	return m.Workers != nil && m.Workers.DeletionTimestamp == nil && (belongsToEarlierLeader(m.Workers, m) || wasOrphaned(m))
}

func groupHasNoWorkers(_ *snapshot.GroupMembers, v *Verdict) bool {
	v.Action, v.Reason = Nothing, "the group is its leader alone"
	return *v.Template.LeaderWorkerTemplate.Size == 1
}

func workersExist(m *snapshot.GroupMembers, v *Verdict) bool {
	switch {
	case m.Workers == nil:
		return false
	case m.OwnWorkers() != nil && m.Workers.DeletionTimestamp == nil:
		v.Action, v.Reason = UpdateWorkers, "the workers are there"
	case m.Workers.DeletionTimestamp != nil:
		v.Action, v.Reason = Wait, "the StatefulSet of the previous workers is still there"
	default:
		v.Action, v.Reason = Blocked, snapshot.InTheWay("StatefulSet", m.Workers.Name)
	}
	return true
}

// orphansRemain takes away pods whose StatefulSet was deleted without them: nobody else would, and the group couldn't come back.
func orphansRemain(m *snapshot.GroupMembers, v *Verdict) bool {
	v.Action, v.Reason = StopOrphans, "worker pods outlived their StatefulSet"
	return m.OwnWorkers() == nil && len(m.Orphans()) > 0
}

// workersAreUnseen looks after a StatefulSet that someone took the labels of. It is no different from one that was deleted a moment ago,
// whose pods the garbage collector has yet to delete: then nothing comes of it.
func workersAreUnseen(m *snapshot.GroupMembers, v *Verdict) bool {
	v.Action, v.Reason = RelabelWorkers, "worker pods are there, and their StatefulSet isn't seen"
	return m.UnseenWorkers() != ""
}

// previousWorkersRemain holds the next workers back while pods of their names exist: the StatefulSet controller could only fail.
func previousWorkersRemain(m *snapshot.GroupMembers, v *Verdict) bool {
	v.Action, v.Reason = Wait, fmt.Sprintf("%d previous workers are still there", m.PreviousWorkers())
	return m.PreviousWorkers() > 0
}

func leaderHasToBeReady(m *snapshot.GroupMembers, v *Verdict) bool {
	v.Action, v.Reason = Wait, "the leader pod isn't ready, which startupPolicy LeaderReady waits for"
	return m.LWS.Spec.StartupPolicy == leaderworkersetv1.LeaderReadyStartupPolicy && !snapshot.PodReady(m.Leader)
}

// topologyIsUnknown holds the workers back until it is known where the leader runs: they are bound to that place for life.
func topologyIsUnknown(m *snapshot.GroupMembers, v *Verdict) bool {
	key := m.Leader.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey]
	if key == "" {
		return false
	}
	switch {
	case m.Leader.Spec.NodeName == "":
		v.Action, v.Reason = Wait, "the leader pod isn't scheduled"
	case m.Node == nil:
		v.Action, v.Reason = BlockedOutOfSight, fmt.Sprintf("node %s of leader pod %s doesn't exist", m.Leader.Spec.NodeName, m.Leader.Name)
	case m.Node.Labels[key] == "":
		v.Action, v.Reason = BlockedOutOfSight, fmt.Sprintf("node %s of leader pod %s has no label %s, which %s asks for",
			m.Node.Name, m.Leader.Name, key, leaderworkersetv1.ExclusiveKeyAnnotationKey)
	default:
		v.Topology = desired.Topology{Key: key, Value: m.Node.Labels[key]}
		return false
	}
	return true
}

// wasOrphaned says whether the worker StatefulSet belongs to nobody and was made for this group: its leader was deleted without it.
func wasOrphaned(m *snapshot.GroupMembers) bool {
	return metav1.GetControllerOf(m.Workers) == nil &&
		m.Workers.Labels[leaderworkersetv1.GroupUniqueHashLabelKey] == identity.GroupKey(m.Leader.Namespace, m.Leader.Name)
}

// belongsToEarlierLeader says whether the object's controller is a pod of the leader's name that has since been replaced: the garbage
// collector is about to delete it.
func belongsToEarlierLeader(object metav1.Object, m *snapshot.GroupMembers) bool {
	owner := metav1.GetControllerOf(object)
	return owner != nil && owner.Kind == "Pod" && owner.Name == m.Leader.Name && owner.UID != m.Leader.UID
}
