// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
)

// kinds are all kinds of groups.
var kinds = []rollout.Group{
	{},
	{Ready: true},
	{UpToDate: true},
	{Ready: true, UpToDate: true},
}

// TestEveryState runs a rollout to its end from every state that up to 4 groups can be in.
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

// FuzzRollout runs rollouts of more groups to their ends.
func FuzzRollout(f *testing.F) {
	f.Add(uint8(20), uint8(3), uint8(2), uint8(5), uint8(20), uint8(21), uint64(0b100100), []byte{1, 1, 1, 0, 3, 2, 1})
	f.Add(uint8(7), uint8(0), uint8(1), uint8(0), uint8(7), uint8(7), uint64(0), []byte{1})
	f.Add(uint8(0), uint8(0), uint8(0), uint8(0), uint8(0), uint8(0), uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, replicas, surge, unavailable, partition, current, existing uint8, also uint64,
		groups []byte) {
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

// checkRollout takes and checks steps until none changes anything, and checks that the rollout is complete then.
func checkRollout(t *testing.T, in rollout.Input) {
	t.Helper()
	// Every step finishes a group, starts one, or adds or reclaims surge.
	for range 4 * (in.Replicas + in.MaxSurge + 2) {
		decision := rollout.Next(in)
		if problem := violation(in, decision); problem != "" {
			t.Fatalf("Next(%+v) = %+v: %s", in, decision, problem)
		}
		if got := ofKnown(in, rollout.Next(withAll(in))); !reflect.DeepEqual(decision, got) {
			t.Fatalf("Next(%+v) = %+v, but %+v with all groups listed", in, decision, got)
		}
		next := after(in, decision)
		if in.Current == next.Current && slices.Equal(in.Also, next.Also) && slices.Equal(in.Groups, next.Groups) {
			checkEnd(t, in, decision)
			return
		}
		in = next
	}
	t.Fatalf("the rollout doesn't end, it is at %+v", in)
}

// withAll lists the groups that don't exist as well.
func withAll(in rollout.Input) rollout.Input {
	groups := slices.Clone(in.Groups)
	for index := int32(len(groups)); index < in.Replicas+in.MaxSurge; index++ { //nolint:gosec // A few groups.
		groups = append(groups, groupAt(in, index))
	}
	in.Groups = groups
	return in
}

// ofKnown leaves out of a decision the replacement of groups that the input doesn't list.
func ofKnown(in rollout.Input, decision rollout.Decision) rollout.Decision {
	decision.Replace = slices.DeleteFunc(decision.Replace, func(index int32) bool { return int(index) >= len(in.Groups) })
	if len(decision.Replace) == 0 {
		decision.Replace = nil
	}
	return decision
}

// violation returns the first invariant that a decision breaks; empty if it breaks none.
func violation(in rollout.Input, decision rollout.Decision) string {
	switch {
	case decision.Replicas < in.Replicas || decision.Replicas > in.Replicas+in.MaxSurge:
		return "replicas out of bounds"
	case decision.Partition > max(in.Current.Partition, in.UserPartition):
		return "the partition rises"
	case decision.Partition < in.UserPartition:
		return "the partition falls below the user's"
	case !slices.IsSortedFunc(decision.Replace, func(a, b int32) int { return int(b - a) }):
		return "not highest first"
	case len(slices.Compact(slices.Clone(decision.Replace))) != len(decision.Replace):
		return "a group is replaced twice"
	}
	for _, index := range decision.Also {
		if index < in.UserPartition || index >= decision.Partition {
			return fmt.Sprintf("group %d is released, though the partition includes it", index)
		}
	}
	for _, index := range in.Also {
		if index >= in.UserPartition && index < decision.Replicas && !isReleased(decision.Partition, decision.Also, index) {
			return fmt.Sprintf("group %d was released, and no longer is", index)
		}
	}
	for _, index := range decision.Replace {
		switch {
		case !isReleased(decision.Partition, decision.Also, index) || index >= decision.Replicas:
			return fmt.Sprintf("group %d would not be created up to date", index)
		case groupAt(in, index).UpToDate:
			return fmt.Sprintf("group %d is up to date already", index)
		}
	}
	released, fewer := false, in.Current.Replicas > decision.Replicas
	reclaimed := fewer && in.Current.Replicas <= in.Replicas+in.MaxSurge && groupAt(in, decision.Replicas).Ready
	for index := in.UserPartition; index < decision.Replicas; index++ {
		before := isReleased(in.Current.Partition, in.Also, index)
		if groupAt(in, index).UpToDate || before || !isReleased(decision.Partition, decision.Also, index) {
			continue
		}
		released = true
		exists := int(index) < len(in.Groups)
		if exists && !slices.Contains(decision.Replace, index) { // The StatefulSet controller would delete it.
			return fmt.Sprintf("group %d is released, and not replaced", index)
		}
	}
	existing := in.Groups[:min(len(in.Groups), int(decision.Replicas))]
	proven := slices.Contains(existing, rollout.Group{Ready: true, UpToDate: true})
	most, updating := decision.Replicas-in.Replicas+in.MaxUnavailable, updating(in, decision)
	if released && !proven && updating > most {
		return fmt.Sprintf("%d groups are updating at once, of at most %d", updating, most)
	}
	if reclaimed && staying(in, decision) < in.Replicas-in.MaxUnavailable {
		return fmt.Sprintf("surge is reclaimed, %d ready groups stay", staying(in, decision))
	}
	if stopsReady(in, decision) && readyAfter(in, decision) < in.Replicas-in.MaxUnavailable {
		return fmt.Sprintf("a ready group is stopped, %d remain ready", readyAfter(in, decision))
	}
	return ""
}

// isReleased reports whether a group is created at the current revision, with that partition and those groups also
// released.
func isReleased(partition int32, also []int32, index int32) bool {
	return index >= partition || slices.Contains(also, index)
}

// updating counts the groups that are up to date and not ready, or that the decision replaces.
func updating(in rollout.Input, decision rollout.Decision) int32 {
	count := int32(0)
	for index := range decision.Replicas {
		group := groupAt(in, index)
		created := int(index) >= len(in.Groups) && isReleased(decision.Partition, decision.Also, index)
		if created || (group.UpToDate && !group.Ready) || slices.Contains(decision.Replace, index) {
			count++
		}
	}
	return count
}

// stopsReady reports whether the decision stops a ready group. Groups that a user scaled down don't count.
func stopsReady(in rollout.Input, decision rollout.Decision) bool {
	for index := range min(int32(len(in.Groups)), in.Replicas+in.MaxSurge) { //nolint:gosec // A few groups.
		if in.Groups[index].Ready && stops(decision, index) {
			return true
		}
	}
	return false
}

func readyAfter(in rollout.Input, decision rollout.Decision) int32 {
	count := int32(0)
	for index, group := range in.Groups {
		if group.Ready && !stops(decision, int32(index)) {
			count++
		}
	}
	return count
}

// staying counts the ready groups that neither this decision nor an earlier one stops.
func staying(in rollout.Input, decision rollout.Decision) int32 {
	count := int32(0)
	for index, group := range in.Groups[:min(len(in.Groups), int(decision.Replicas))] {
		released := isReleased(decision.Partition, decision.Also, int32(index))
		if group.Ready && (group.UpToDate || !released || int32(index) < in.UserPartition) {
			count++
		}
	}
	return count
}

// stops reports whether the decision replaces the group, or reclaims it as surge.
func stops(decision rollout.Decision, index int32) bool {
	return index >= decision.Replicas || slices.Contains(decision.Replace, index)
}

// groupAt returns the group with that index, or the one that the StatefulSet controller will create.
func groupAt(in rollout.Input, index int32) rollout.Group {
	if int(index) < len(in.Groups) {
		return in.Groups[index]
	}
	return rollout.Group{UpToDate: isReleased(in.Current.Partition, in.Also, index)}
}

// after returns the state after a decision. Created groups become ready, and broken groups of earlier revisions never
// do.
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

// checkEnd checks that a rollout without another step is complete. Otherwise, broken groups that the user's partition
// protects have to use up the budget.
func checkEnd(t *testing.T, in rollout.Input, decision rollout.Decision) {
	t.Helper()
	if isComplete(in, decision) {
		return
	}
	protected := int32(0)
	for index := range min(in.UserPartition, in.Replicas) {
		if !in.Groups[index].Ready {
			protected++
		}
	}
	if protected == 0 || readyAfter(in, decision) > in.Replicas-in.MaxUnavailable ||
		decision.Reason != rollout.WaitingForGroups {
		t.Fatalf("the rollout stops at %+v: %+v", in, decision)
	}
}

// isComplete reports whether all groups are up to date, but for protected ones, and no surge is left that isn't needed.
func isComplete(in rollout.Input, decision rollout.Decision) bool {
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

// forEachBudget calls the function with every small budget of a set of that many replicas.
func forEachBudget(replicas int32, call func(surge, unavailable int32)) {
	for surge := range min(2, replicas) + 1 {
		for unavailable := range int32(3) {
			if surge+unavailable > 0 {
				call(surge, unavailable)
			}
		}
	}
}

// forEachGroups calls the function with every combination of that many groups.
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

// forEachAlso calls the function with every combination of groups, highest first, that may be released below a
// partition.
func forEachAlso(lowest, partition int32, call func(also []int32)) {
	if lowest >= partition {
		call(nil)
		return
	}
	forEachAlso(lowest+1, partition, call)
	forEachAlso(lowest+1, partition, func(also []int32) { call(append(slices.Clone(also), lowest)) })
}
