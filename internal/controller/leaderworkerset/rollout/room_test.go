// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"slices"
	"testing"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
)

// TestRolloutsWithoutRoom rolls out sets of up to 4 groups in a cluster that has room for exactly the groups that are
// asked for. Another revision was pushed just before: any group may be broken, surge may exist, and groups may share
// what is left of the room. After each number of steps, another revision is pushed, or a group fails, or neither
// happens. Every rollout that may make a group unavailable ends, as that of a Deployment does.
func TestRolloutsWithoutRoom(t *testing.T) {
	rollOutWithoutRoom(t, scarcity{visible: true, allocate: shared})
}

// TestRolloutsInTurns does the same where nothing shows that a group lacks room, and each group gets all of it or
// nothing: a quota on StatefulSets, or a queue that admits groups. The lowest group has the first turn, or the last.
func TestRolloutsInTurns(t *testing.T) {
	for _, lowestFirst := range []bool{true, false} {
		rollOutWithoutRoom(t, scarcity{allocate: inTurns(lowestFirst)})
	}
}

// scarcity is how a cluster lacks room.
type scarcity struct {
	// visible says that a decision knows which groups lack room.
	visible bool

	// allocate gives the room to the groups that wait.
	allocate func(groups []rollout.Group, room int32, created map[int]bool, deferred []int32) []rollout.Group
}

// next is the decision on groups in such a cluster.
func (s scarcity) next(in rollout.Input) rollout.Decision {
	if !s.visible {
		in.Groups = slices.Clone(in.Groups)
		for index := range in.Groups {
			in.Groups[index].LacksRoom = false
		}
	}
	return rollout.Next(in)
}

func rollOutWithoutRoom(t *testing.T, world scarcity) {
	t.Helper()
	rollouts := 0
	for replicas := int32(1); replicas < 5; replicas++ {
		forEachBudget(replicas, func(surge, unavailable int32) {
			if unavailable == 0 {
				return // A Deployment would wait for room as well.
			}
			forEachBegin(replicas, surge, func(begin rollout.Input) {
				begin.MaxUnavailable = unavailable
				for at := range 12 {
					rollouts++
					checkRolloutWithoutRoom(t, world, begin, at, pushed)
					for index := range replicas + surge {
						rollouts++
						checkRolloutWithoutRoom(t, world, begin, at, failed(index))
					}
				}
			})
		})
	}
	t.Logf("%d rollouts", rollouts)
}

// forEachBegin calls the function with every set of that many replicas, and of up to that many surge groups, in which
// no group is of the current revision. Those that are ready or broken hold their room, and the others share the rest.
func forEachBegin(replicas, surge int32, call func(rollout.Input)) {
	for partition := range replicas {
		for existing := range surge + 1 {
			forEachGroups(replicas+existing, func(groups []rollout.Group) {
				if slices.Contains(groups, rollout.Group{Ready: true, UpToDate: true}) {
					return
				}
				begin := slices.Clone(groups)
				for index, group := range groups {
					begin[index] = rollout.Group{Ready: group.Ready, LacksRoom: group.UpToDate}
				}
				waiting, all := countWaiting(begin), replicas+existing
				if complete := all - waiting; complete > replicas || (waiting > 0 && waiting <= replicas-complete) {
					return
				}
				call(rollout.Input{
					Replicas: replicas, MaxSurge: surge, UserPartition: partition,
					Current: rollout.Step{Partition: all, Replicas: all}, Groups: begin, MayDefer: true,
				})
			})
		}
	}
}

// checkRolloutWithoutRoom takes steps until nothing changes, checks each of them, and that the rollout is over then.
// Before the step of that number, something happens; 0 is for nothing.
func checkRolloutWithoutRoom(
	t *testing.T, world scarcity, in rollout.Input, at int, happens func(rollout.Input) rollout.Input,
) {
	t.Helper()
	first := in
	for step := 1; step < 100; step++ {
		if step == at {
			in = happens(in)
		}
		decision := world.next(in)
		if problem := violation(in, decision); problem != "" {
			t.Fatalf("Next(%+v) = %+v: %s", in, decision, problem)
		}
		next := world.after(in, decision)
		if in.Current == next.Current && slices.Equal(in.Also, next.Also) &&
			slices.Equal(in.Deferred, next.Deferred) && slices.Equal(in.Groups, next.Groups) {
			checkEnd(t, in, decision)
			broken := func(group rollout.Group) bool { return !group.Ready && !isWaiting(group) }
			protected := slices.ContainsFunc(in.Groups[:min(in.UserPartition, in.Replicas)], broken)
			if waiting := countWaiting(in.Groups[:in.Replicas]); waiting > 0 && !protected {
				t.Fatalf("%d groups never get their room at %+v, after a change before step %d of %+v", waiting, in, at, first)
			}
			return
		}
		in = next
	}
	t.Fatalf("the rollout from %+v with a change before step %d goes on and on, now at %+v", first, at, in)
}

// pushed is the set right after another revision was pushed: no group is of it.
func pushed(in rollout.Input) rollout.Input {
	in.Groups = slices.Clone(in.Groups)
	for index, group := range in.Groups {
		in.Groups[index] = rollout.Group{Ready: group.Ready, LacksRoom: isWaiting(group)}
	}
	in.Current.Partition = max(in.Replicas, in.Current.Replicas)
	in.Also, in.Deferred = nil, nil
	return in
}

// failed makes a group fail, if it exists: its pods are deleted, and their room is for all that wait.
func failed(index int32) func(rollout.Input) rollout.Input {
	return func(in rollout.Input) rollout.Input {
		if int(index) < len(in.Groups) && !slices.Contains(in.Deferred, index) {
			in.Groups = slices.Clone(in.Groups)
			upToDate := in.Groups[index].UpToDate || isReleased(in.Current.Partition, in.Also, index)
			in.Groups[index] = rollout.Group{UpToDate: upToDate, LacksRoom: true}
		}
		return in
	}
}

// after is what a decision leads to in a cluster with room for Replicas groups. A group is created in one
// step and becomes ready in the next, if there is room for all that wait.
func (s scarcity) after(in rollout.Input, decision rollout.Decision) rollout.Input {
	groups, created := make([]rollout.Group, decision.Replicas), map[int]bool{}
	for index := range groups {
		created[index] = index >= len(in.Groups) || slices.Contains(decision.Replace, int32(index)) ||
			slices.Contains(slices.Concat(in.Deferred, decision.Deferred), int32(index))
		switch released := isReleased(decision.Partition, decision.Also, int32(index)); {
		case !created[index]:
			groups[index] = in.Groups[index]
		case released:
			groups[index] = rollout.Group{UpToDate: true}
		default:
			groups[index] = rollout.Group{LacksRoom: true} // Of the earlier revision. It is ready once it has room.
		}
	}
	in.Current, in.Also, in.Deferred = decision.Step, decision.Also, decision.Deferred
	in.Groups = s.allocate(groups, in.Replicas, created, in.Deferred)
	return in
}

// shared gives the room to the groups, pod by pod. Complete groups hold theirs, deferred ones get none. If there is
// room for all others that wait, they become ready, or begin to if they were just created. Otherwise each gets a part
// of what it needs, and none is complete.
func shared(groups []rollout.Group, room int32, created map[int]bool, deferred []int32) []rollout.Group {
	groups = slices.Clone(groups)
	complete := int32(len(groups)) - countWaiting(groups)  //nolint:gosec // A few groups.
	sharing := countWaiting(groups) - int32(len(deferred)) //nolint:gosec // A few groups.
	fit := sharing <= room-complete
	for index, group := range groups {
		if slices.Contains(deferred, int32(index)) {
			groups[index] = rollout.Group{UpToDate: group.UpToDate, LacksRoom: true}
		} else if isWaiting(group) {
			groups[index].LacksRoom = !fit
			groups[index].Ready = fit && (!created[index] || !group.UpToDate)
		}
	}
	return groups
}

// inTurns gives the room to one group after the other that waits, as long as there is room for another group.
func inTurns(
	lowestFirst bool,
) func(groups []rollout.Group, room int32, created map[int]bool, deferred []int32) []rollout.Group {
	return func(groups []rollout.Group, room int32, created map[int]bool, _ []int32) []rollout.Group {
		groups = slices.Clone(groups)
		left := room - int32(len(groups)) + countWaiting(groups) //nolint:gosec // A few groups.
		for turn := range groups {
			index := turn
			if !lowestFirst {
				index = len(groups) - 1 - turn
			}
			if isWaiting(groups[index]) {
				groups[index].LacksRoom = left <= 0
				groups[index].Ready = left > 0 && (!created[index] || !groups[index].UpToDate)
				left--
			}
		}
		return groups
	}
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
