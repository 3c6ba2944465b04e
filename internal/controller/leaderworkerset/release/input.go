// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/requeue"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// rolloutInput returns the set as the arithmetic of a rollout to the revision of that key looks at it.
func (in *Input) rolloutInput(released Release, key string) rollout.Input {
	replicas := *in.Set.LWS.Spec.Replicas
	surge, unavailable := snapshot.Budget(in.Set.LWS)
	current := rollout.Step{Partition: released.Partition, Replicas: replicas}
	if leaders := in.Set.OwnLeaders(); leaders != nil {
		existing := surgeOf(leaders, replicas)
		current.Replicas += existing
		if !in.mayAddSurge() || in.Holds.Surge.lasts(in.Key, in.Now) {
			surge = min(surge, existing)
		}
	}
	return rollout.Input{
		Replicas:       replicas,
		MaxSurge:       surge,
		MaxUnavailable: unavailable,
		UserPartition:  in.userPartition(),
		Current:        current,
		Also:           released.Also,
		Deferred:       released.Deferred,
		MayDefer:       in.mayDefer(released),
		KeepSurge:      in.Holds.Withheld.pause(in.Key, in.Now) > 0,
		Held:           in.Unconfirmed || in.confirmedIn() > 0 || in.Holds.Revision.lasts(in.Key, in.Now),
		Groups:         in.rolloutGroups(released, key),
	}
}

// rolloutGroups returns the groups as a rollout to a revision looks at them. A terminating leader counts as the one
// that will replace it.
func (in *Input) rolloutGroups(released Release, key string) []rollout.Group {
	var groups []rollout.Group
	addMissing := func(before int32) {
		for next := int32(len(groups)); next < before; next++ { //nolint:gosec // No more than a group's index.
			refused := in.Refused[next] != ""
			lacksRoom := refused || (len(released.Deferred) > 0 && next >= slices.Min(released.Deferred))
			groups = append(groups, rollout.Group{UpToDate: released.Includes(next), LacksRoom: lacksRoom, Refused: refused})
		}
	}
	for _, group := range in.Set.Groups {
		addMissing(group.Index + 1)
		if !group.Terminating() && !in.isCondemned(group) {
			upToDate := group.Revision() == key
			lacksRoom, _ := group.LacksRoom(in.Now, in.ConfirmAfter)
			groups[group.Index] = rollout.Group{
				Ready:     group.Ready() && (!upToDate || !in.Failed[group.Index]),
				UpToDate:  upToDate,
				Failed:    group.Ready() && upToDate && in.Failed[group.Index],
				LacksRoom: lacksRoom,
			}
		}
	}
	for index := range in.Refused { // The rollout package adds the other missing ones.
		addMissing(index + 1)
	}
	for _, index := range released.Deferred {
		addMissing(min(index+1, ptr.Deref(in.Set.OwnLeaders().Spec.Replicas, 1)))
	}
	return groups
}

// confirmedIn returns how long it takes until another group may count as one that lacks room; 0 if none may.
func (in *Input) confirmedIn() time.Duration {
	var wait time.Duration
	for _, group := range in.Set.Groups {
		_, confirmedIn := group.LacksRoom(in.Now, in.ConfirmAfter)
		wait = requeue.Earliest(wait, confirmedIn)
	}
	return wait
}

// mayAddSurge reports whether the rollout may add surge groups. It waits until the StatefulSet controller has observed
// the last change: surge that has just given way would be added again. And it waits for the end of surge groups that
// were reclaimed: their controller deletes them, though they may still look ready.
func (in *Input) mayAddSurge() bool {
	leaders := in.Set.OwnLeaders()
	isReclaimed := func(group snapshot.Group) bool { return in.isCondemned(group) }
	return in.leadersAreOutdated() || leaders == nil ||
		(!in.isUnobserved() && !slices.ContainsFunc(in.Set.Groups, isReclaimed))
}

// mayDefer reports whether groups may be deferred. No group is first deferred while surge that was reclaimed may still
// hold room.
func (in *Input) mayDefer(released Release) bool {
	if len(released.Deferred) > 0 {
		return in.Holds.Room.Key != in.Key || in.Holds.Room.lasts(in.Key, in.Now)
	}
	return in.mayAddSurge() && !in.leadersAreOutdated() && in.Holds.Room.pause(in.Key, in.Now) == 0
}

// isCondemned reports whether the leader StatefulSet has no place for the group: its controller deletes the leader.
func (in *Input) isCondemned(group snapshot.Group) bool {
	leaders := in.Set.OwnLeaders()
	return leaders != nil && group.Index >= ptr.Deref(leaders.Spec.Replicas, 1)
}

// surgeOf returns how many groups the leader StatefulSet has on top of those that the set asked for when it was last
// written. Groups that the set no longer asks for are no surge: they are deleted.
func surgeOf(leaders *appsv1.StatefulSet, replicas int32) int32 {
	if asked, ok := identity.ParseIndex(leaders.Annotations[leaderworkersetv1.ReplicasAnnotationKey]); ok {
		replicas = asked
	}
	return max(ptr.Deref(leaders.Spec.Replicas, 1)-replicas, 0)
}

// released returns what is released to the current revision. If that is new, no group that exists is; those that are
// added begin with it.
func (in *Input) released() Release {
	leaders := in.Set.OwnLeaders()
	switch {
	case leaders == nil:
		return Release{Partition: in.userPartition()}
	case in.leadersAreOutdated():
		return Release{Partition: ptr.Deref(leaders.Spec.Replicas, 1)}
	default:
		return Of(leaders)
	}
}

// scaledFrom returns how many groups there were before others were added during this rollout: the fewest that the
// leader StatefulSet was written for.
func (in *Input) scaledFrom() int32 {
	from := *in.Set.LWS.Spec.Replicas
	if leaders := in.Set.OwnLeaders(); leaders != nil {
		for _, key := range []string{leaderworkersetv1.ReplicasAnnotationKey, leaderworkersetv1.ScaledFromAnnotationKey} {
			if replicas, ok := identity.ParseIndex(leaders.Annotations[key]); ok {
				from = min(from, replicas)
			}
		}
	}
	return from
}

// userPartition returns the index below which groups keep their revision.
func (in *Input) userPartition() int32 {
	return max(*in.Set.LWS.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition, 0)
}

// leadersAreOutdated reports whether the leader StatefulSet is of an earlier revision than the current one.
func (in *Input) leadersAreOutdated() bool {
	leaders := in.Set.OwnLeaders()
	return leaders != nil && leaders.Labels[leaderworkersetv1.RevisionLabelKey] != in.Key
}

// isUnobserved reports whether the StatefulSet controller has yet to observe the last change of the leader StatefulSet.
func (in *Input) isUnobserved() bool {
	leaders := in.Set.OwnLeaders()
	return leaders != nil && leaders.Status.ObservedGeneration < leaders.Generation
}
