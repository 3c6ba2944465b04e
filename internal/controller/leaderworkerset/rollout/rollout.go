// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package rollout is the arithmetic of a rolling update over groups: which partition and how many replicas the leader StatefulSet
// gets next, which groups come ahead of the partition, and which may be taken down. Integers only; it knows neither Kubernetes nor time.
package rollout

import "slices"

// Input is what one decision looks at.
type Input struct {
	// Replicas is how many groups are asked for.
	Replicas int32

	// MaxSurge is how many groups may exist on top while updating, 0 to Replicas.
	MaxSurge int32

	// MaxUnavailable is how many of Replicas may be down because of the rollout. At least 1 if MaxSurge is 0.
	MaxUnavailable int32

	// UserPartition is the index below which groups keep their revision. May exceed Replicas.
	UserPartition int32

	// Current is what the leader StatefulSet says now. Its Replicas are those asked for and the surge that there is. When the revision has
	// just changed, its Partition is above all groups, surge included: none is of that revision yet.
	Current Step

	// Ahead are the groups below Current.Partition that earlier decisions let go.
	Ahead []int32

	// Groups are the groups by index, surge included. A group that doesn't exist yet is UpToDate if it will be created so: from
	// Current.Partition on, and Ahead.
	Groups []Group
}

// Group is one group, as far as a rollout is concerned.
type Group struct {
	// Ready says that the group serves.
	Ready bool

	// UpToDate says that the group is, or will be created, of the current revision.
	UpToDate bool
}

// Step is what the leader StatefulSet is told: groups from index Partition on are created at the current revision, those below at
// their previous one; Replicas groups exist, surge included.
type Step struct {
	Partition, Replicas int32
}

// Reason says why no more groups are taken down now.
type Reason string

const (
	// Complete means that every group is up to date.
	Complete Reason = "Complete"

	// HeldByPartition means that every group is up to date but those that the user's partition protects.
	HeldByPartition Reason = "HeldByPartition"

	// WaitingForGroups means that another group may go once more of them are ready.
	WaitingForGroups Reason = "WaitingForGroups"
)

// Decision is the next step of a rollout.
type Decision struct {
	Step

	// Ahead are the indices of groups below Partition that are to come back at the current revision all the same. Highest first.
	Ahead []int32

	// Replace are the indices of groups that are of an earlier revision, not protected by Partition, or Ahead of it, and within the
	// budget: to be taken down now. Highest first.
	Replace []int32

	// Outdated is how many groups the rollout has yet to bring up to date; those below UserPartition don't count.
	Outdated int32

	// Reason says why there are no more of them to replace now.
	Reason Reason
}

// Next decides one step. Taken again and again on what came of the step before, it ends with all groups from UserPartition on up to
// date, as long as updated groups become ready.
//
// Worked example: 5 groups, all ready and of an earlier revision, MaxUnavailable 2, no surge. 5 are ready, 3 have to stay: groups 4
// and 3 go, the partition is 3. When group 4 is ready again, 4 are ready, one more may go: group 2, partition 2. And so on to 0.
//
// Another one, with group 0 broken: 4 are ready, 3 have to stay, so one may go; the broken group takes the second of the two turns.
// It is out of reach for the partition, which comes down group by group from the highest: group 4 goes, the partition is 4, and group 0
// goes ahead of it.
func Next(in Input) Decision {
	replicas := in.Replicas + in.surge()
	going := in.choose(replicas)
	partition := in.lower(replicas, going)
	decision := Decision{
		Step:     Step{Partition: partition, Replicas: replicas},
		Ahead:    in.ahead(partition, replicas, going),
		Outdated: in.outdated(in.UserPartition),
		Reason:   in.reason(),
	}
	for index := replicas - 1; index >= in.UserPartition; index-- {
		if going[index] {
			decision.Replace = append(decision.Replace, index)
		}
	}
	return decision
}

// surge is how many groups to have beyond Replicas: as many as there are groups that the rollout has yet to finish, within MaxSurge.
// None are added once no group is left to update, so that a group that fails later doesn't bring the surge back. A ready one stays for
// as long as it stands in for another group, one that the partition protects or a surge group that failed.
func (in *Input) surge() int32 {
	limit := in.MaxSurge
	kept := min(limit, max(in.Current.Replicas-in.Replicas, 0))
	if in.outdated(in.UserPartition) == 0 {
		limit = kept
	}
	unfinished := int32(0)
	for index := in.UserPartition; index < in.Replicas; index++ {
		if group := in.group(index); !group.Ready || !group.UpToDate {
			unfinished++
		}
	}
	wanted := min(limit, unfinished)
	for kept > wanted && !in.isNeeded(in.Replicas+kept-1) {
		kept--
	}
	return max(kept, wanted)
}

// isNeeded says whether the highest group is ready, and too few others are that stay. Those that were let go may go at any time.
func (in *Input) isNeeded(highest int32) bool {
	staying := int32(0)
	for index := range highest {
		if group := in.group(index); group.Ready && (group.UpToDate || !in.wasLetGo(index)) {
			staying++
		}
	}
	return in.group(highest).Ready && staying < in.Replicas-in.MaxUnavailable
}

// choose says which groups of an earlier revision are to go now.
//
// A ready one only goes while Replicas - MaxUnavailable others remain ready. One that isn't ready costs nothing, but until the current
// revision has proven itself in one group, no more groups are on their way to it than may be surge or unavailable: else a revision that
// never becomes ready would get hold of every group that restarts for another reason. Groups that aren't ready have the first turns.
//
// Worked example: 5 groups, MaxUnavailable 2, group 4 updated and not ready yet, group 1 broken. 3 are ready, and 3 have to stay: no
// ready one may go. One group is on its way, and one more may be: group 1 goes.
func (in *Input) choose(replicas int32) map[int32]bool {
	going := map[int32]bool{}
	spare := in.count(replicas, isReady) - (in.Replicas - in.MaxUnavailable)
	turns := spare + in.count(replicas, isBroken)
	if in.count(replicas, isProof) > 0 {
		turns = replicas
	}
	take := func(wanted func(index int32, ready bool) bool) {
		for index := replicas - 1; index >= in.UserPartition; index-- {
			ready := in.group(index).Ready
			if in.group(index).UpToDate || (ready && spare <= 0) || !wanted(index, ready) {
				continue
			}
			if ready {
				spare--
			}
			turns--
			going[index] = true
		}
	}
	take(func(index int32, _ bool) bool { return in.wasLetGo(index) }) // First: they may go at any time, and take up the budget.
	take(func(index int32, ready bool) bool { return !ready && turns > 0 && !going[index] })
	take(func(index int32, ready bool) bool { return ready && !going[index] })
	return going
}

// wasLetGo says whether an earlier decision let the group go.
func (in *Input) wasLetGo(index int32) bool {
	return index >= in.Current.Partition || slices.Contains(in.Ahead, index)
}

// lower moves the partition down, from where it is, over all groups that are up to date anyway or are to go.
func (in *Input) lower(replicas int32, going map[int32]bool) int32 {
	partition := max(in.UserPartition, min(in.Current.Partition, replicas))
	for partition > in.UserPartition && (going[partition-1] || in.wasLetGo(partition-1) || in.group(partition-1).UpToDate) {
		partition--
	}
	return partition
}

// ahead are the groups below the partition that are to go, and those that were let go before: they stay ahead until it has come down to them.
func (in *Input) ahead(partition, replicas int32, going map[int32]bool) []int32 {
	var ahead []int32
	for index := min(partition, replicas) - 1; index >= in.UserPartition; index-- {
		if going[index] || slices.Contains(in.Ahead, index) {
			ahead = append(ahead, index)
		}
	}
	return ahead
}

// reason looks at what is left to update.
func (in *Input) reason() Reason {
	switch {
	case in.outdated(in.UserPartition) > 0:
		return WaitingForGroups
	case in.outdated(0) > 0:
		return HeldByPartition
	default:
		return Complete
	}
}

// outdated counts the groups from an index on, surge left aside, that are of an earlier revision.
func (in *Input) outdated(from int32) int32 {
	count := int32(0)
	for index := from; index < in.Replicas; index++ {
		if !in.group(index).UpToDate {
			count++
		}
	}
	return count
}

func isReady(group Group) bool  { return group.Ready }
func isBroken(group Group) bool { return !group.Ready && !group.UpToDate }
func isProof(group Group) bool  { return group.Ready && group.UpToDate }

// count counts among the first groups those that are so.
func (in *Input) count(first int32, so func(Group) bool) int32 {
	count := int32(0)
	for index := range first {
		if so(in.group(index)) {
			count++
		}
	}
	return count
}

// group is the group with that index; beyond those that are known, one that will be created.
func (in *Input) group(index int32) Group {
	if int(index) < len(in.Groups) {
		return in.Groups[index]
	}
	return Group{UpToDate: in.wasLetGo(index)}
}
