// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
)

// groups returns a group for each character, by index. Outdated groups are o if ready, else x. Updated groups are n if
// ready, else w.
func groups(kinds string) []rollout.Group {
	all := make([]rollout.Group, 0, len(kinds))
	for _, kind := range kinds {
		all = append(all, rollout.Group{Ready: kind == 'o' || kind == 'n', UpToDate: kind == 'n' || kind == 'w'})
	}
	return all
}

func TestNext(t *testing.T) {
	type step = rollout.Step
	for _, tc := range []struct {
		name                                              string
		replicas, maxSurge, maxUnavailable, userPartition int32
		current                                           rollout.Step
		also                                              []int32
		groups                                            string
		want                                              rollout.Decision
	}{
		{
			name: "no groups at all", maxUnavailable: 1,
			want: rollout.Decision{Reason: rollout.Complete},
		},
		{
			name: "first creation, whatever surge and partition say", replicas: 3, maxSurge: 2, maxUnavailable: 1,
			userPartition: 2,
			current:       step{Partition: 2, Replicas: 3},
			want:          rollout.Decision{Step: step{Partition: 2, Replicas: 3}, Reason: rollout.HeldByPartition},
		},
		{
			name: "at rest", replicas: 3, maxSurge: 1, maxUnavailable: 1,
			current: step{Replicas: 3}, groups: "nnn",
			want: rollout.Decision{Step: step{Replicas: 3}, Reason: rollout.Complete},
		},
		{
			name: "a group fails while nothing is to be updated", replicas: 3, maxSurge: 1, maxUnavailable: 1,
			current: step{Replicas: 3}, groups: "nwn",
			want: rollout.Decision{Step: step{Replicas: 3}, Reason: rollout.Complete},
		},
		{
			name: "the worked example begins", replicas: 5, maxUnavailable: 2,
			current: step{Partition: 5, Replicas: 5}, groups: "ooooo",
			want: rollout.Decision{
				Step: step{Partition: 3, Replicas: 5}, Replace: []int32{4, 3}, Outdated: 5,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "the worked example goes on", replicas: 5, maxUnavailable: 2,
			current: step{Partition: 3, Replicas: 5}, groups: "ooown",
			want: rollout.Decision{
				Step: step{Partition: 2, Replicas: 5}, Replace: []int32{2}, Outdated: 3,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "a repeated decision releases no more groups", replicas: 5, maxUnavailable: 2,
			current: step{Partition: 3, Replicas: 5}, groups: "ooooo",
			want: rollout.Decision{
				Step: step{Partition: 3, Replicas: 5}, Replace: []int32{4, 3}, Outdated: 5,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name:     "a group fails before the released ones are deleted: one of them waits, the failed one is replaced",
			replicas: 5, maxUnavailable: 2,
			current: step{Partition: 3, Replicas: 5}, groups: "xoooo",
			want: rollout.Decision{
				Step: step{Partition: 3, Replicas: 5}, Also: []int32{0}, Replace: []int32{4, 0}, Outdated: 5,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "the budget is spent", replicas: 3, maxUnavailable: 1,
			current: step{Partition: 2, Replicas: 3}, groups: "oow",
			want: rollout.Decision{Step: step{Partition: 2, Replicas: 3}, Outdated: 2, Reason: rollout.WaitingForGroups},
		},
		{
			name: "all outdated groups are broken: one is a trial", replicas: 4, maxUnavailable: 1,
			current: step{Partition: 4, Replicas: 4}, groups: "xxxx",
			want: rollout.Decision{
				Step: step{Partition: 3, Replicas: 4}, Replace: []int32{3}, Outdated: 4,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "all outdated groups are broken: the trial has yet to succeed", replicas: 4, maxUnavailable: 1,
			current: step{Partition: 3, Replicas: 4}, groups: "xxxw",
			want: rollout.Decision{Step: step{Partition: 3, Replicas: 4}, Outdated: 3, Reason: rollout.WaitingForGroups},
		},
		{
			name: "all outdated groups are broken: the trial has succeeded", replicas: 4, maxUnavailable: 1,
			current: step{Partition: 3, Replicas: 4}, groups: "xxxn",
			want: rollout.Decision{
				Step: step{Partition: 0, Replicas: 4}, Replace: []int32{2, 1, 0}, Outdated: 3,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "a group restarts while an update that isn't proven has the only turn", replicas: 4, maxUnavailable: 1,
			current: step{Partition: 3, Replicas: 4}, groups: "ooxw",
			want: rollout.Decision{Step: step{Partition: 3, Replicas: 4}, Outdated: 3, Reason: rollout.WaitingForGroups},
		},
		{
			name: "a broken outdated group is released below the partition, which can't reach it", replicas: 4,
			maxUnavailable: 1,
			current:        step{Partition: 4, Replicas: 4}, groups: "xooo",
			want: rollout.Decision{
				Step: step{Partition: 4, Replicas: 4}, Also: []int32{0}, Replace: []int32{0}, Outdated: 4,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "it stays released until the partition has reached it", replicas: 4, maxUnavailable: 1,
			current: step{Partition: 4, Replicas: 4}, also: []int32{0}, groups: "nooo",
			want: rollout.Decision{
				Step: step{Partition: 3, Replicas: 4}, Also: []int32{0}, Replace: []int32{3}, Outdated: 3,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "the partition has reached it", replicas: 4, maxUnavailable: 1,
			current: step{Partition: 2, Replicas: 4}, also: []int32{0}, groups: "nonn",
			want: rollout.Decision{
				Step: step{Partition: 0, Replicas: 4}, Replace: []int32{1}, Outdated: 1,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "a released group that became ready after all is replaced within the budget", replicas: 4, maxUnavailable: 1,
			current: step{Partition: 4, Replicas: 4}, also: []int32{0}, groups: "ooxo",
			want: rollout.Decision{
				Step: step{Partition: 4, Replicas: 4}, Also: []int32{2, 0}, Replace: []int32{2}, Outdated: 4,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "a surge group that didn't exist takes the first turn of broken ones", replicas: 2, maxSurge: 1,
			current: step{Partition: 2, Replicas: 2}, groups: "xo",
			want: rollout.Decision{Step: step{Partition: 2, Replicas: 3}, Outdated: 2, Reason: rollout.WaitingForGroups},
		},
		{
			name: "a broken outdated group counts against the budget, and is replaced first", replicas: 4, maxUnavailable: 2,
			current: step{Partition: 4, Replicas: 4}, groups: "xooo",
			want: rollout.Decision{
				Step: step{Partition: 3, Replicas: 4}, Also: []int32{0}, Replace: []int32{3, 0}, Outdated: 4,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "surge comes first", replicas: 1, maxSurge: 1,
			current: step{Partition: 1, Replicas: 1}, groups: "o",
			want: rollout.Decision{Step: step{Partition: 1, Replicas: 2}, Outdated: 1, Reason: rollout.WaitingForGroups},
		},
		{
			name: "an unready surge group stops no other group", replicas: 1, maxSurge: 1,
			current: step{Partition: 1, Replicas: 2}, groups: "ow",
			want: rollout.Decision{Step: step{Partition: 1, Replicas: 2}, Outdated: 1, Reason: rollout.WaitingForGroups},
		},
		{
			name: "a ready surge group replaces another one in the budget", replicas: 1, maxSurge: 1,
			current: step{Partition: 1, Replicas: 2}, groups: "on",
			want: rollout.Decision{
				Step: step{Partition: 0, Replicas: 2}, Replace: []int32{0}, Outdated: 1,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "a surge group fails before the released group is deleted", replicas: 1, maxSurge: 1,
			current: step{Partition: 0, Replicas: 2}, groups: "ow",
			want: rollout.Decision{Step: step{Partition: 0, Replicas: 2}, Outdated: 1, Reason: rollout.WaitingForGroups},
		},
		{
			name: "surge stays until the last group is ready", replicas: 1, maxSurge: 1,
			current: step{Partition: 0, Replicas: 2}, groups: "wn",
			want: rollout.Decision{Step: step{Partition: 0, Replicas: 2}, Reason: rollout.Complete},
		},
		{
			name: "surge is reclaimed at the end", replicas: 1, maxSurge: 1,
			current: step{Partition: 0, Replicas: 2}, groups: "nn",
			want: rollout.Decision{Step: step{Partition: 0, Replicas: 1}, Reason: rollout.Complete},
		},
		{
			name: "surge is reclaimed as fewer groups are left", replicas: 4, maxSurge: 2,
			current: step{Partition: 0, Replicas: 6}, groups: "wnnnnn",
			want: rollout.Decision{Step: step{Partition: 0, Replicas: 5}, Reason: rollout.Complete},
		},
		{
			name: "a ready surge group stays for another one that failed", replicas: 3, maxSurge: 2,
			current: step{Partition: 0, Replicas: 5}, groups: "wnnwn",
			want: rollout.Decision{Step: step{Partition: 0, Replicas: 5}, Reason: rollout.Complete},
		},
		{
			name: "another push replaces the surge groups of the last push within the budget", replicas: 1, maxSurge: 1,
			current: step{Partition: 2, Replicas: 2}, groups: "oo",
			want: rollout.Decision{
				Step: step{Partition: 1, Replicas: 2}, Replace: []int32{1}, Outdated: 1,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "another push protects a surge group that serves alone", replicas: 1, maxSurge: 1,
			current: step{Partition: 2, Replicas: 2}, groups: "xo",
			want: rollout.Decision{
				Step: step{Partition: 2, Replicas: 2}, Also: []int32{0}, Replace: []int32{0}, Outdated: 1,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "the user's partition stops it", replicas: 3, maxUnavailable: 3, userPartition: 2,
			current: step{Partition: 3, Replicas: 3}, groups: "ooo",
			want: rollout.Decision{
				Step: step{Partition: 2, Replicas: 3}, Replace: []int32{2}, Outdated: 1,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "a finished canary", replicas: 3, maxSurge: 1, maxUnavailable: 1, userPartition: 2,
			current: step{Partition: 2, Replicas: 3}, groups: "oon",
			want: rollout.Decision{Step: step{Partition: 2, Replicas: 3}, Reason: rollout.HeldByPartition},
		},
		{
			name: "a protected group that is broken isn't replaced", replicas: 3, maxSurge: 1, maxUnavailable: 1,
			userPartition: 2,
			current:       step{Partition: 2, Replicas: 3}, groups: "xon",
			want: rollout.Decision{Step: step{Partition: 2, Replicas: 3}, Reason: rollout.HeldByPartition},
		},
		{
			name: "a partition that is raised", replicas: 3, maxUnavailable: 1, userPartition: 2,
			current: step{Partition: 1, Replicas: 3}, groups: "onn",
			want: rollout.Decision{Step: step{Partition: 2, Replicas: 3}, Reason: rollout.HeldByPartition},
		},
		{
			name: "a partition beyond replicas", replicas: 2, maxUnavailable: 1, userPartition: 5,
			current: step{Partition: 5, Replicas: 2}, groups: "oo",
			want: rollout.Decision{Step: step{Partition: 5, Replicas: 2}, Reason: rollout.HeldByPartition},
		},
		{
			name: "scaled up in the middle: new groups are created up to date", replicas: 4, maxUnavailable: 1,
			current: step{Partition: 1, Replicas: 2}, groups: "ow",
			want: rollout.Decision{Step: step{Partition: 1, Replicas: 4}, Outdated: 1, Reason: rollout.WaitingForGroups},
		},
		{
			name: "scaled down in the middle", replicas: 2, maxUnavailable: 1,
			current: step{Partition: 3, Replicas: 4}, groups: "oown",
			want: rollout.Decision{
				Step: step{Partition: 1, Replicas: 2}, Replace: []int32{1}, Outdated: 2,
				Reason: rollout.WaitingForGroups,
			},
		},
		{
			name: "scaled to 0", maxUnavailable: 1,
			current: step{Partition: 0, Replicas: 2}, groups: "nn",
			want: rollout.Decision{Reason: rollout.Complete},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := rollout.Next(rollout.Input{
				Replicas: tc.replicas, MaxSurge: tc.maxSurge, MaxUnavailable: tc.maxUnavailable, UserPartition: tc.userPartition,
				Current: tc.current, Also: tc.also, Groups: groups(tc.groups),
			})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Next (-want +got):\n%s", diff)
			}
		})
	}
}
