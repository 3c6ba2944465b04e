// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"slices"
	"testing"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
)

// TestRolloutsWithoutRoom rolls out sets of up to 4 groups, of which any may be broken, in a cluster that has room for
// exactly the groups that are asked for. Another revision is pushed after each number of steps, or none. Every rollout
// that may make a group unavailable ends, as that of a Deployment does.
func TestRolloutsWithoutRoom(t *testing.T) {
	rollouts := 0
	for replicas := int32(1); replicas < 5; replicas++ {
		forEachBudget(replicas, func(surge, unavailable int32) {
			if unavailable == 0 {
				return // A Deployment would wait for room as well.
			}
			for partition := range replicas {
				forEachGroups(replicas, func(groups []rollout.Group) {
					if slices.ContainsFunc(groups, func(group rollout.Group) bool { return group.UpToDate }) {
						return
					}
					for push := range 12 {
						rollouts++
						checkRolloutWithoutRoom(t, push, rollout.Input{
							Replicas: replicas, MaxSurge: surge, MaxUnavailable: unavailable, UserPartition: partition,
							Current: rollout.Step{Partition: replicas, Replicas: replicas}, Groups: groups,
						})
					}
				})
			}
		})
	}
	t.Logf("%d rollouts", rollouts)
}

// checkRolloutWithoutRoom takes steps until nothing changes, checks each of them, and that the rollout is over then.
// Before the step with the number push, another revision comes; 0 is for none.
func checkRolloutWithoutRoom(t *testing.T, push int, in rollout.Input) {
	t.Helper()
	first := in
	for step := 1; step < 100; step++ {
		if step == push {
			in = pushed(in)
		}
		decision := rollout.Next(in)
		if problem := violation(in, decision); problem != "" {
			t.Fatalf("Next(%+v) = %+v: %s", in, decision, problem)
		}
		next := afterWithoutRoom(in, decision)
		if in.Current == next.Current && slices.Equal(in.Also, next.Also) && slices.Equal(in.Groups, next.Groups) {
			checkEnd(t, in, decision)
			return
		}
		in = next
	}
	t.Fatalf("the rollout from %+v with a push before step %d goes on and on, now at %+v", first, push, in)
}

// pushed is the set right after another revision was pushed: no group is of it.
func pushed(in rollout.Input) rollout.Input {
	in.Groups = slices.Clone(in.Groups)
	for index, group := range in.Groups {
		in.Groups[index] = rollout.Group{Ready: group.Ready, LacksRoom: isWaiting(group)}
	}
	in.Current.Partition = max(in.Replicas, in.Current.Replicas)
	in.Also = nil
	return in
}

// afterWithoutRoom is what a decision leads to in a cluster with room for Replicas groups. A group is created in one
// step and becomes ready in the next, if there is room for all that wait.
func afterWithoutRoom(in rollout.Input, decision rollout.Decision) rollout.Input {
	groups, created := make([]rollout.Group, decision.Replicas), map[int]bool{}
	for index := range groups {
		created[index] = index >= len(in.Groups) || slices.Contains(decision.Replace, int32(index))
		switch released := isReleased(decision.Partition, decision.Also, int32(index)); {
		case !created[index]:
			groups[index] = in.Groups[index]
		case released:
			groups[index] = rollout.Group{UpToDate: true}
		default:
			groups[index] = rollout.Group{LacksRoom: true} // Of the earlier revision. It is ready once it has room.
		}
	}
	in.Current, in.Also = decision.Step, decision.Also
	in.Groups = allocated(groups, in.Replicas, created)
	return in
}

// allocated gives the room to the groups. Complete groups hold theirs. If there is room for all that wait, they become
// ready, or begin to if they were just created. Otherwise each gets a part of what it needs, and none is complete.
func allocated(groups []rollout.Group, room int32, created map[int]bool) []rollout.Group {
	groups = slices.Clone(groups)
	complete := int32(len(groups)) - countWaiting(groups) //nolint:gosec // A few groups.
	fit := countWaiting(groups) <= room-complete
	for index, group := range groups {
		if isWaiting(group) {
			groups[index].LacksRoom = !fit
			groups[index].Ready = fit && (!created[index] || !group.UpToDate)
		}
	}
	return groups
}

func countWaiting(groups []rollout.Group) int32 {
	count := int32(0)
	for _, group := range groups {
		if isWaiting(group) {
			count++
		}
	}
	return count
}

// isWaiting reports whether a group isn't complete. Groups of an earlier revision that aren't ready are complete and
// broken, unless they lack room.
func isWaiting(group rollout.Group) bool { return !group.Ready && (group.UpToDate || group.LacksRoom) }
