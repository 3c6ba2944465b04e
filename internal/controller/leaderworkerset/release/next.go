// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/requeue"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Input is what one decision looks at.
type Input struct {
	// Set is the set as it was observed.
	Set *snapshot.Set

	// Key is the key of the current revision.
	Key string

	// Failed are the groups that have failed in their present incarnation, by index. Such a group doesn't count as ready
	// if it is of the current revision, whatever its pods say. Otherwise a revision that crashes after a while would
	// replace the groups of the earlier one, one after the other.
	Failed map[int32]bool

	// Refused are the missing leaders that the API server refuses, and what it said, by index.
	Refused map[int32]string

	// Unconfirmed says that the API server has refused a leader or worker that doesn't count as refused yet. No further
	// groups are released until the pod exists, or counts. Surge may have taken the room of its group: the surge would
	// have to serve instead of the further groups, and their leaders could take the room that all their workers need.
	Unconfirmed bool

	// Holds are those of the last decision.
	Holds Holds

	// ConfirmAfter is how long no node has to be able to take a pod, or another controller's scheduling gate has to hold
	// one, until its group counts as one that lacks room.
	ConfirmAfter time.Duration

	// Now is the present time.
	Now time.Time
}

// Decision is the next step of a rolling update, as the leader StatefulSet carries it.
type Decision struct {
	Release

	// Replicas is how many groups exist next, surge included.
	Replicas int32

	// Annotation is the release as the StatefulSet is annotated with it; empty if the partition alone says it all.
	Annotation string

	// ScaledFrom is how many groups there were before others were added during this rollout; 0 if none were.
	ScaledFrom int32

	// Strategy is the update strategy of the StatefulSet.
	Strategy appsv1.StatefulSetUpdateStrategyType

	// Replace are the groups whose leader is deleted once the release is written: those that are updated, and those that
	// are deferred. The StatefulSet controller may not have observed the release by then: the webhook rejects a leader at
	// the earlier revision, and that of a deferred group.
	Replace []snapshot.Group

	// Unfinished are the groups that the last step towards an earlier revision released and that aren't deleted yet. Until
	// they are, the release stays as it is.
	Unfinished []int32

	// GaveWay says that surge is reclaimed because it or other groups lack room.
	GaveWay bool

	// Reclaimed are the surge groups that give way and that no earlier decision has reclaimed, lowest first. A decision is
	// made anew if its write fails. LacksRoom is the lowest group that lacks room then.
	Reclaimed []int32
	LacksRoom int32

	// TakenBack are the groups that are no longer released, because the API server refuses their leaders.
	TakenBack []int32

	// Holds are for the next decision, and RequeueAfter is when one of them ends; 0 if none lasts.
	Holds        Holds
	RequeueAfter time.Duration

	// Refusal is what the API server said of a group of the current revision, while no further groups are released for
	// that; empty at other times.
	Refusal string

	// Outdated is how many groups the rollout has yet to update.
	Outdated int32

	// Progress says why no more groups are replaced now.
	Progress rollout.Reason

	// Reason is the progress in words: "4 of 5 groups are ready, 1 may be replaced, and 1 not ready".
	Reason string
}

// Next decides on the next step of the rolling update to the current revision. Without one, it keeps the groups as they
// are.
func Next(in Input) Decision {
	step, scarce := in.step()
	next := Release{Partition: step.Partition, Also: step.Also, Deferred: step.Deferred}
	decision := Decision{
		Release: next, Replicas: step.Replicas,
		Strategy:   appsv1.RollingUpdateStatefulSetStrategyType,
		Unfinished: in.unfinished(),
		GaveWay:    step.GaveWay > 0,
		TakenBack:  step.TakenBack,
		Outdated:   step.Outdated, Progress: step.Reason,
		Reason: in.reason(step),
	}
	if scaledFrom := in.scaledFrom(); scaledFrom < *in.Set.LWS.Spec.Replicas && in.isUnfinished(scaledFrom) {
		decision.ScaledFrom = scaledFrom
	}
	if scarce {
		decision.Reason = "groups were added, for which there is no room until the others are updated"
	}
	if len(next.Also) > 0 || len(next.Deferred) > 0 || in.mayBeOnDelete() {
		decision.Annotation = next.Annotation(in.Key)
		if missing := in.lowestMissing(); slices.Contains(next.Also, missing) && !slices.Contains(next.Deferred, missing) {
			decision.Strategy = appsv1.OnDeleteStatefulSetStrategyType
		}
	}
	decision.Replace = in.replace(slices.Concat(step.Replace, step.Deferred), decision.Unfinished)
	decision.Holds, decision.RequeueAfter = in.holds(step, scarce)
	if step.GaveWay > 0 && !scarce {
		decision.Reclaimed, decision.LacksRoom = in.reclaimed(step)
		decision.Holds.SurgeFrom = step.Replicas
	}
	if step.Outdated > 0 && decision.Holds.Revision.lasts(in.Key, in.Now) {
		decision.Refusal = decision.Holds.Revision.Refusal
	}
	return decision
}

// step returns the next step of the rollout to the current revision.
//
// scarce says that the step leaves out groups that were added during the rollout, because some group lacks room. Such a
// group would count against maxUnavailable for as long, and share the room of each group that is replaced. It is as if
// the groups were added after the rollout: until then, those that exist are surge.
func (in *Input) step() (step rollout.Decision, scarce bool) {
	input := in.rolloutInput(in.released(), in.Key)
	step = rollout.Next(input)
	before := in.scaledFrom()
	if before == 0 || before == input.Replicas || !in.isUnfinished(before) {
		return step, false
	}
	lacksRoom := func(group rollout.Group) bool { return group.LacksRoom }
	if !slices.ContainsFunc(input.Groups, lacksRoom) && !in.Holds.Added.lasts(in.Key, in.Now) {
		return step, false
	}
	input.Replicas, input.MaxSurge = before, max(ptr.Deref(in.Set.OwnLeaders().Spec.Replicas, 1)-before, 0)
	input.Current.Replicas = before + input.MaxSurge
	return rollout.Next(input), true
}

// reclaimed returns the surge groups that give way by this step and by no earlier one since surge is held. It also
// returns the lowest group that lacks room.
func (in *Input) reclaimed(step rollout.Decision) (groups []int32, lacksRoom int32) {
	end := step.Replicas + step.GaveWay
	if in.Holds.Surge.lasts(in.Key, in.Now) {
		end = min(end, in.Holds.SurgeFrom)
	}
	for index := step.Replicas; index < end; index++ {
		groups = append(groups, index)
	}
	for index, group := range in.rolloutGroups(in.released(), in.Key) {
		if group.LacksRoom {
			return groups, int32(index)
		}
	}
	return groups, step.Replicas
}

// isUnfinished reports whether the rollout has yet to finish one of the first groups: not all are up to date and ready.
func (in *Input) isUnfinished(first int32) bool {
	groups := in.rolloutGroups(in.released(), in.Key)
	for index := in.userPartition(); index < first; index++ {
		if int(index) >= len(groups) || !groups[index].Ready || !groups[index].UpToDate {
			return true
		}
	}
	return false
}

// holds returns the holds after a step, and when one ends that the rollout waits for.
func (in *Input) holds(step rollout.Decision, scarce bool) (holds Holds, requeueAfter time.Duration) {
	holds = in.Holds
	if scarce {
		holds.Added = holds.Added.next(in.Key, "", in.Now)
	}
	if len(step.TakenBack) > 0 {
		holds.Revision = holds.Revision.next(in.Key, in.Refused[step.TakenBack[0]], in.Now)
	}
	if step.GaveWay > 0 {
		holds.Surge = holds.Surge.next(in.Key, "", in.Now)
	}
	holds.Room = holds.Room.during(len(step.Deferred) > 0, in.Key, in.Now)
	holds.Withheld = holds.Withheld.during(step.Withheld, in.Key, in.Now)
	room := requeue.Earliest(in.confirmedIn(), holds.Room.rest(in.Key, in.Now), holds.Room.pause(in.Key, in.Now))
	if step.Outdated == 0 && !scarce {
		return holds, room
	}
	return holds, requeue.Earliest(room, holds.Withheld.rest(in.Key, in.Now), holds.Withheld.pause(in.Key, in.Now),
		holds.Revision.rest(in.Key, in.Now), holds.Surge.rest(in.Key, in.Now), holds.Added.rest(in.Key, in.Now))
}

// MayStop reports whether the StatefulSet controller may delete the leader of a group: there are too many groups, or
// the group is outdated and released.
func (d Decision) MayStop(group snapshot.Group, key string) bool {
	return (group.Revision() != key && d.Includes(group.Index)) ||
		group.Index >= d.Replicas || slices.Contains(d.Unfinished, group.Index)
}

// reason returns how many groups are ready, and how many may be replaced for that.
func (in *Input) reason(step rollout.Decision) string {
	switch {
	case len(step.TakenBack) > 0:
		return "the API server refuses a released group, which comes back at its earlier revision"
	case step.GaveWay > 0 && (len(in.Refused) > 0 || slices.ContainsFunc(in.Set.Groups, lacksWorkers)):
		return "surge gives way, as the API server refuses pods"
	case step.GaveWay > 0:
		return "surge gives way to groups that lack room"
	case len(step.Deferred) > 0:
		return "a group gives its room to another one, as surge has to serve for both"
	}
	if step.Reason != rollout.WaitingForGroups {
		return "no group has to be updated"
	}
	replicas := *in.Set.LWS.Spec.Replicas
	_, unavailable := snapshot.Budget(in.Set.LWS)
	existing, ready, broken := len(in.Set.Groups), int32(0), int32(0)
	for _, group := range in.Set.Groups {
		switch {
		case group.Ready():
			ready++
		case !group.Terminating() && slices.Contains(step.Replace, group.Index):
			broken++
		}
	}
	spare := max(ready-(replicas-unavailable), 0)
	reason := fmt.Sprintf("%d of %d groups are ready, %d may be replaced", ready, max(existing, int(replicas)), spare)
	if broken > 0 {
		reason += fmt.Sprintf(", and %d not ready", broken)
	}
	return reason
}

// lacksWorkers reports whether the API server refuses workers of a group.
func lacksWorkers(group snapshot.Group) bool { return group.RefusedWorkers() != "" }

// unfinished returns the groups that the last step towards an earlier revision released and that aren't deleted yet,
// though they may still look ready. With the next release, nobody could tell that the StatefulSet controller may delete
// them.
func (in *Input) unfinished() []int32 {
	if !in.leadersAreOutdated() {
		return nil
	}
	leaders := in.Set.OwnLeaders()
	released := Of(leaders)
	earlier := rollout.Next(in.rolloutInput(released, leaders.Labels[leaderworkersetv1.RevisionLabelKey]))
	return slices.DeleteFunc(earlier.Replace, func(index int32) bool { return !released.Includes(index) })
}

// mayBeOnDelete reports whether the StatefulSet controller may still use the strategy OnDelete for the current
// revision.
func (in *Input) mayBeOnDelete() bool {
	leaders := in.Set.OwnLeaders()
	return leaders != nil && leaders.Annotations[leaderworkersetv1.AheadAnnotationKey] != "" && !in.leadersAreOutdated() &&
		(leaders.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType || in.isUnobserved())
}

// lowestMissing returns the lowest index of a group without a leader: the one that the StatefulSet controller creates
// next. If that fails because of the wrong strategy, the controller doesn't create those above.
func (in *Input) lowestMissing() int32 {
	missing := int32(0)
	for _, group := range in.Set.Groups {
		if group.Index > missing {
			break
		}
		missing = group.Index + 1
	}
	return missing
}

// replace returns the groups to delete: those of the last step towards an earlier revision, or else those of this step.
func (in *Input) replace(step, unfinished []int32) []snapshot.Group {
	if in.Set.OwnLeaders() == nil {
		return nil
	}
	replaced := step
	if len(unfinished) > 0 {
		replaced = unfinished
	}
	var groups []snapshot.Group
	for _, group := range in.Set.Groups {
		if slices.Contains(replaced, group.Index) && !group.Terminating() {
			groups = append(groups, group)
		}
	}
	return groups
}
