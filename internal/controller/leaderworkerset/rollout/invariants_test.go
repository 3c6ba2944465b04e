// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
)

// kinds are all that a group can be.
var kinds = []rollout.Group{
	{},
	{Ready: true},
	{UpToDate: true},
	{Ready: true, UpToDate: true},
}

// TestEveryState takes one step from every state that up to 4 groups can be in, and goes on to the end of the rollout.
func TestEveryState(t *testing.T) {
	states := 0
	for replicas := range int32(5) {
		forEachBudget(replicas, func(surge, unavailable int32) {
			for partition := range replicas + 2 {
				for existing := range int32(5) {
					for current := range max(replicas, existing) + 1 {
						forEachGroups(existing, func(groups []rollout.Group) {
							forEachAlso(partition, current, func(also []int32) {
								states++
								checkRollout(t, rollout.Input{
									Replicas: replicas, MaxSurge: surge, MaxUnavailable: unavailable, UserPartition: partition,
									Current: rollout.Step{Partition: current, Replicas: existing}, Also: also, Groups: groups,
								})
							})
						})
					}
				}
			}
		})
	}
	t.Logf("%d states", states)
}

// FuzzRollout does the same with more groups.
func FuzzRollout(f *testing.F) {
	f.Add(uint8(20), uint8(3), uint8(2), uint8(5), uint8(20), uint8(21), uint64(0b100100), []byte{1, 1, 1, 0, 3, 2, 1})
	f.Add(uint8(7), uint8(0), uint8(1), uint8(0), uint8(7), uint8(7), uint64(0), []byte{1})
	f.Add(uint8(0), uint8(0), uint8(0), uint8(0), uint8(0), uint8(0), uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, replicas, surge, unavailable, partition, current, existing uint8, also uint64, groups []byte) {
		in := rollout.Input{
			Replicas:       int32(replicas % 64),
			MaxUnavailable: int32(unavailable),
			UserPartition:  int32(partition % 70),
		}
		in.MaxSurge = min(int32(surge), in.Replicas)
		if in.MaxSurge == 0 {
			in.MaxUnavailable = max(in.MaxUnavailable, 1)
		}
		in.Current.Replicas = in.Replicas + int32(existing)%(in.MaxSurge+1)
		lowest := min(in.UserPartition, in.Replicas)
		in.Current.Partition = lowest + int32(current)%(in.Replicas-lowest+1)
		for index := range in.Current.Replicas {
			kind := rollout.Group{Ready: true}
			if int(index) < len(groups) {
				kind = kinds[int(groups[index])%len(kinds)]
			}
			in.Groups = append(in.Groups, kind)
		}
		for index := in.Current.Partition - 1; index >= in.UserPartition; index-- {
			if also>>index&1 == 1 {
				in.Also = append(in.Also, index)
			}
		}
		checkRollout(t, in)
	})
}

// checkRollout takes steps until nothing changes, checks each of them, and that the rollout is over then.
func checkRollout(t *testing.T, in rollout.Input) {
	t.Helper()
	// Every step finishes a group, starts one, or adds or reclaims surge.
	for range 4 * (in.Replicas + in.MaxSurge + 2) {
		decision := rollout.Next(in)
		if problem := broken(in, decision); problem != "" {
			t.Fatalf("Next(%+v) = %+v: %s", in, decision, problem)
		}
		next := after(in, decision)
		if in.Current == next.Current && slices.Equal(in.Also, next.Also) && slices.Equal(in.Groups, next.Groups) {
			checkEnd(t, in, decision)
			return
		}
		in = next
	}
	t.Fatalf("the rollout goes on and on, now at %+v", in)
}

// broken names the first invariant that a decision breaks; empty if it breaks none.
func broken(in rollout.Input, decision rollout.Decision) string {
	switch {
	case decision.Replicas < in.Replicas || decision.Replicas > in.Replicas+in.MaxSurge:
		return "replicas out of bounds"
	case decision.Partition > max(in.Current.Partition, in.UserPartition):
		return "the partition rises"
	case decision.Partition < in.UserPartition:
		return "the partition goes below the user's"
	case !slices.IsSortedFunc(decision.Replace, func(a, b int32) int { return int(b - a) }):
		return "not highest first"
	case len(slices.Compact(slices.Clone(decision.Replace))) != len(decision.Replace):
		return "a group goes twice"
	}
	for _, index := range decision.Also {
		if index < in.UserPartition || index >= decision.Partition {
			return fmt.Sprintf("group %d is released in vain: the partition reaches it", index)
		}
	}
	for _, index := range in.Also {
		if index >= in.UserPartition && index < decision.Replicas && !isReleased(decision.Partition, decision.Also, index) {
			return fmt.Sprintf("group %d was released, and is held again", index)
		}
	}
	for _, index := range decision.Replace {
		switch {
		case !isReleased(decision.Partition, decision.Also, index) || index >= decision.Replicas:
			return fmt.Sprintf("group %d would not come back up to date", index)
		case groupAt(in, index).UpToDate:
			return fmt.Sprintf("group %d is up to date already", index)
		}
	}
	released, reclaimed := false, in.Current.Replicas > decision.Replicas && in.Current.Replicas <= in.Replicas+in.MaxSurge &&
		groupAt(in, decision.Replicas).Ready
	for index := in.UserPartition; index < decision.Replicas; index++ {
		if groupAt(in, index).UpToDate || isReleased(in.Current.Partition, in.Also, index) || !isReleased(decision.Partition, decision.Also, index) {
			continue
		}
		released = true
		if !slices.Contains(decision.Replace, index) { // The StatefulSet controller would take it down all the same.
			return fmt.Sprintf("group %d is released, and not replaced", index)
		}
	}
	proven := slices.Contains(in.Groups[:min(len(in.Groups), int(decision.Replicas))], rollout.Group{Ready: true, UpToDate: true})
	if most := decision.Replicas - in.Replicas + in.MaxUnavailable; released && !proven && onTheirWay(in, decision) > most {
		return fmt.Sprintf("%d groups are on their way at once, of at most %d", onTheirWay(in, decision), most)
	}
	if reclaimed && staying(in, decision) < in.Replicas-in.MaxUnavailable {
		return fmt.Sprintf("surge is reclaimed, %d ready groups stay", staying(in, decision))
	}
	if readyGroupGoes(in, decision) && readyAfter(in, decision) < in.Replicas-in.MaxUnavailable {
		return fmt.Sprintf("a ready group goes, %d remain ready", readyAfter(in, decision))
	}
	return ""
}

// isReleased reports whether a group is created at the current revision, with that partition and those groups also released.
func isReleased(partition int32, also []int32, index int32) bool {
	return index >= partition || slices.Contains(also, index)
}

// onTheirWay counts the groups that are updated and not ready, or about to be updated.
func onTheirWay(in rollout.Input, decision rollout.Decision) int32 {
	count := int32(0)
	for index := range decision.Replicas {
		group := groupAt(in, index)
		if (group.UpToDate && !group.Ready) || slices.Contains(decision.Replace, index) {
			count++
		}
	}
	return count
}

// readyGroupGoes says whether a ready group is replaced, or is of a surge that is reclaimed. Groups that a user scaled down don't count.
func readyGroupGoes(in rollout.Input, decision rollout.Decision) bool {
	for index := range min(int32(len(in.Groups)), in.Replicas+in.MaxSurge) { //nolint:gosec // A few groups.
		if in.Groups[index].Ready && goes(decision, index) {
			return true
		}
	}
	return false
}

func readyAfter(in rollout.Input, decision rollout.Decision) int32 {
	count := int32(0)
	for index, group := range in.Groups {
		if group.Ready && !goes(decision, int32(index)) {
			count++
		}
	}
	return count
}

// staying counts the ready groups that the decision neither reclaims nor lets go, nor an earlier one did.
func staying(in rollout.Input, decision rollout.Decision) int32 {
	count := int32(0)
	for index, group := range in.Groups[:min(len(in.Groups), int(decision.Replicas))] {
		if group.Ready && (group.UpToDate || !isReleased(decision.Partition, decision.Also, int32(index)) || int32(index) < in.UserPartition) {
			count++
		}
	}
	return count
}

func goes(decision rollout.Decision, index int32) bool {
	return index >= decision.Replicas || slices.Contains(decision.Replace, index)
}

// groupAt is the group with that index, or the one that the StatefulSet controller will create there.
func groupAt(in rollout.Input, index int32) rollout.Group {
	if int(index) < len(in.Groups) {
		return in.Groups[index]
	}
	return rollout.Group{UpToDate: isReleased(in.Current.Partition, in.Also, index)}
}

// after is what comes of a decision when groups become ready after they were created, and broken old ones never do.
func after(in rollout.Input, decision rollout.Decision) rollout.Input {
	groups := make([]rollout.Group, decision.Replicas)
	for index := range decision.Replicas {
		created := int(index) >= len(in.Groups)
		switch {
		case slices.Contains(decision.Replace, index) || (created && isReleased(decision.Partition, decision.Also, index)):
			groups[index] = rollout.Group{UpToDate: true}
		case created:
			groups[index] = rollout.Group{Ready: true}
		case in.Groups[index].UpToDate:
			groups[index] = rollout.Group{UpToDate: true, Ready: true}
		default:
			groups[index] = in.Groups[index]
		}
	}
	in.Current, in.Also, in.Groups = decision.Step, decision.Also, groups
	return in
}

// checkEnd checks that a rollout in which nothing moves any more is over, or can't go on because groups that the user's partition
// protects are broken, and with them as many are down as may be.
func checkEnd(t *testing.T, in rollout.Input, decision rollout.Decision) {
	t.Helper()
	if isOver(in, decision) {
		return
	}
	protected := int32(0)
	for index := range min(in.UserPartition, in.Replicas) {
		if !in.Groups[index].Ready {
			protected++
		}
	}
	if protected == 0 || readyAfter(in, decision) > in.Replicas-in.MaxUnavailable || decision.Reason != rollout.WaitingForGroups {
		t.Fatalf("nothing moves any more at %+v: %+v", in, decision)
	}
}

// isOver says whether all groups that may be are up to date, and no surge is left that could be reclaimed.
func isOver(in rollout.Input, decision rollout.Decision) bool {
	held := false
	for index, group := range in.Groups[:in.Replicas] {
		switch {
		case group.UpToDate:
		case int32(index) < in.UserPartition:
			held = true
		default:
			return false
		}
	}
	reason := rollout.Complete
	if held {
		reason = rollout.HeldByPartition
	}
	surgeIsNeeded := readyAfter(in, decision) <= in.Replicas-in.MaxUnavailable
	return decision.Outdated == 0 && decision.Reason == reason && (decision.Replicas == in.Replicas || surgeIsNeeded)
}

// forEachBudget calls with every small budget that a set of that many replicas can have.
func forEachBudget(replicas int32, call func(surge, unavailable int32)) {
	for surge := range min(2, replicas) + 1 {
		for unavailable := range int32(3) {
			if surge+unavailable > 0 {
				call(surge, unavailable)
			}
		}
	}
}

// forEachGroups calls with every combination of that many groups.
func forEachGroups(count int32, call func(groups []rollout.Group)) {
	indices := make([]int, count)
	for {
		groups := make([]rollout.Group, count)
		for i, kind := range indices {
			groups[i] = kinds[kind]
		}
		call(groups)
		i := 0
		for ; i < len(indices); i++ {
			indices[i]++
			if indices[i] < len(kinds) {
				break
			}
			indices[i] = 0
		}
		if i == len(indices) {
			return
		}
	}
}

// forEachAlso calls with every combination of groups, highest first, that may be released below a partition.
func forEachAlso(lowest, partition int32, call func(also []int32)) {
	if lowest >= partition {
		call(nil)
		return
	}
	forEachAlso(lowest+1, partition, call)
	forEachAlso(lowest+1, partition, func(also []int32) { call(append(slices.Clone(also), lowest)) })
}
