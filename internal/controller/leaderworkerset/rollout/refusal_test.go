// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
)

// refused returns groups of which some don't exist, because the API server refuses their leaders.
func refused(kinds string, indices ...int) []rollout.Group {
	all := groups(kinds)
	for _, index := range indices {
		all[index].LacksRoom, all[index].Refused = true, true
	}
	return all
}

func TestNextWithRefusedGroups(t *testing.T) {
	type step = rollout.Step
	for _, tc := range []struct {
		name                     string
		maxSurge, maxUnavailable int32
		current                  rollout.Step
		also                     []int32
		held                     bool
		groups                   []rollout.Group
		want                     rollout.Decision
	}{
		{
			name: "a refused group below the partition is taken back", maxUnavailable: 1,
			current: step{Partition: 3, Replicas: 3}, also: []int32{1}, groups: refused("owo", 1),
			want: rollout.Decision{
				Step: step{Partition: 3, Replicas: 3}, TakenBack: []int32{1}, Outdated: 2, Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "no other is released for a while", maxUnavailable: 1, held: true,
			current: step{Partition: 3, Replicas: 3}, groups: groups("oxo"),
			want: rollout.Decision{Step: step{Partition: 3, Replicas: 3}, Outdated: 3, Reason: rollout.WaitingForGroups},
		},
		{
			name: "those that are released already go on", maxUnavailable: 1, held: true,
			current: step{Partition: 2, Replicas: 3}, groups: groups("oox"),
			want: rollout.Decision{
				Step: step{Partition: 2, Replicas: 3}, Replace: []int32{2}, Outdated: 3, Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "a refused group from the partition on stays released", maxUnavailable: 1,
			current: step{Partition: 2, Replicas: 3}, groups: refused("oow", 2),
			want: rollout.Decision{Step: step{Partition: 2, Replicas: 3}, Outdated: 2, Reason: rollout.WaitingForGroups},
		},
		{
			name: "surge gives way to a refused group", maxSurge: 1, maxUnavailable: 1,
			current: step{Partition: 2, Replicas: 4}, groups: refused("ooww", 2),
			want: rollout.Decision{
				Step: step{Partition: 2, Replicas: 3}, GaveWay: 1, Withheld: true, Outdated: 2, Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "refused surge gives its turn back", maxSurge: 1, maxUnavailable: 1,
			current: step{Partition: 2, Replicas: 4}, groups: refused("ooww", 3),
			want: rollout.Decision{
				Step: step{Partition: 2, Replicas: 3}, GaveWay: 1, Outdated: 2, Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "refused surge stays if no group may be unavailable", maxSurge: 1,
			current: step{Partition: 3, Replicas: 4}, groups: refused("ooow", 3),
			want: rollout.Decision{Step: step{Partition: 3, Replicas: 4}, Outdated: 3, Reason: rollout.WaitingForGroups},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := rollout.Next(rollout.Input{
				Replicas: 3, MaxSurge: tc.maxSurge, MaxUnavailable: tc.maxUnavailable,
				Current: tc.current, Also: tc.also, Held: tc.held, Groups: tc.groups,
			})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Next (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRefusedRevision rolls out to a revision whose leaders the API server refuses, from every state of up to 4 groups
// of the earlier revision. No step leaves fewer groups ready than the budget allows, or than there were.
func TestRefusedRevision(t *testing.T) {
	for replicas := int32(1); replicas < 5; replicas++ {
		forEachBudget(replicas, func(surge, unavailable int32) {
			forEachGroups(replicas, func(groups []rollout.Group) {
				if slices.ContainsFunc(groups, func(group rollout.Group) bool { return group.UpToDate }) {
					return
				}
				checkRefusedRevision(t, rollout.Input{
					Replicas: replicas, MaxSurge: surge, MaxUnavailable: unavailable,
					Current: rollout.Step{Partition: replicas, Replicas: replicas}, Groups: groups,
				})
			})
		})
	}
}

func checkRefusedRevision(t *testing.T, in rollout.Input) {
	t.Helper()
	first := in
	countReady := func(groups []rollout.Group) int32 {
		count := int32(0)
		for _, group := range groups {
			if group.Ready {
				count++
			}
		}
		return count
	}
	fewest := min(countReady(in.Groups), in.Replicas-in.MaxUnavailable)
	for range 20 {
		decision := rollout.Next(in)
		next := make([]rollout.Group, decision.Replicas)
		for index := range decision.Replicas {
			released := isReleased(decision.Partition, decision.Also, index)
			switch exists := int(index) < len(in.Groups) && !in.Groups[index].Refused; {
			case exists && !slices.Contains(decision.Replace, index):
				next[index] = in.Groups[index]
			case released:
				next[index] = rollout.Group{UpToDate: true, LacksRoom: true, Refused: true}
			default:
				next[index] = rollout.Group{Ready: true} // It comes back at the earlier revision.
			}
		}
		in.Held = in.Held || len(decision.TakenBack) > 0
		in.Current, in.Also, in.Groups = decision.Step, decision.Also, next
		if ready := countReady(next); ready < fewest {
			t.Fatalf("the rollout from %+v leaves %d of %d groups ready, at %+v", first, ready, fewest, in)
		}
		if len(decision.Also) == 0 && countReady(next) < min(in.Replicas-in.MaxUnavailable, fewest) {
			t.Fatalf("a group of the earlier revision doesn't come back: %+v", in)
		}
	}
}
