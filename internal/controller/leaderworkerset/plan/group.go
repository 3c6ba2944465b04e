// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/group"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Group is what one pass over a group does.
type Group struct {
	// Verdict is the decision that the rest follows from.
	Verdict group.Verdict

	// Writes are the changes of child objects.
	Writes []Write

	// Failure tells what stands in the way; nil if nothing does.
	Failure *snapshot.Failure
}

// ForGroup plans a pass over a group.
func ForGroup(members *snapshot.GroupMembers) Group {
	verdict := group.Next(members)
	planned := Group{Verdict: verdict}
	switch verdict.Action {
	case group.StopWorkers:
		planned.Writes = []Write{{Delete: members.Workers}}
	case group.StopOrphans:
		for _, pod := range members.Orphans() {
			planned.Writes = append(planned.Writes, Write{Delete: pod})
		}
	case group.RelabelWorkers:
		planned.Writes = []Write{{Relabel: unseenWorkers(members)}}
	case group.ReleaseLeader:
		released := members.Leader.DeepCopy()
		released.Spec.SchedulingGates = slices.DeleteFunc(released.Spec.SchedulingGates, snapshot.IsPreviousGroupGate)
		planned.Writes = []Write{{Patch: &Patch{From: members.Leader, To: released}}}
	case group.CreateService:
		planned.Writes = []Write{{Create: desired.GroupService(members.LWS, desiredGroup(members, verdict))}}
	case group.CreateWorkers:
		planned.Writes = []Write{{Create: wantedWorkers(members, verdict)}}
	case group.UpdateWorkers:
		changed := adjusted(members.Workers, wantedWorkers(members, verdict), false)
		if !equality.Semantic.DeepEqual(members.Workers, changed) {
			planned.Writes = []Write{{Patch: &Patch{From: members.Workers, To: changed}}}
		}
	case group.Blocked, group.BlockedOutOfSight:
		planned.Failure = &snapshot.Failure{
			Group:   members.Index,
			Reason:  leaderworkersetv1.ReasonFailedCreate,
			Message: fmt.Sprintf("group %d: %s", members.Index, verdict.Reason),
		}
	case group.Nothing, group.Wait:
	}
	planned.Writes = append(planned.Writes, claimWrites(members)...)
	return planned
}

// unseenWorkers is what is known of a worker StatefulSet that the cache doesn't show.
func unseenWorkers(members *snapshot.GroupMembers) *appsv1.StatefulSet {
	leader := members.Leader
	return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{
		Name:      leader.Name,
		Namespace: leader.Namespace,
		UID:       members.UnseenWorkers(),
		Labels: map[string]string{
			leaderworkersetv1.SetNameLabelKey:         members.LWS.Name,
			leaderworkersetv1.GroupIndexLabelKey:      identity.FormatIndex(members.Index),
			leaderworkersetv1.GroupUniqueHashLabelKey: identity.GroupKey(leader.Namespace, leader.Name),
		},
	}}
}

func wantedWorkers(members *snapshot.GroupMembers, verdict group.Verdict) *appsv1.StatefulSet {
	key := members.Leader.Labels[leaderworkersetv1.RevisionLabelKey]
	return desired.WorkerStatefulSet(members.LWS, verdict.Template, key, desiredGroup(members, verdict))
}

func desiredGroup(members *snapshot.GroupMembers, verdict group.Verdict) desired.Group {
	return desired.Group{Index: members.Index, Leader: members.Leader, Topology: verdict.Topology}
}
