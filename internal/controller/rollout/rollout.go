// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package rollout is the arithmetic of a rolling update over groups: which partition and how many replicas the leader StatefulSet
// gets next, and which groups may be taken down. Integers only; it knows neither Kubernetes nor time.
package rollout

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

	// Groups are the groups by index, surge included. A group that doesn't exist yet is UpToDate if it will be created so: from
	// Current.Partition on.
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

	// Replace are the indices of groups that are of an earlier revision, not protected by Partition, and within the budget:
	// to be taken down now. Highest first.
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
func Next(in Input) Decision {
	replicas := in.Replicas + in.surge()
	partition, replace := in.takeDown(replicas)
	return Decision{
		Step:     Step{Partition: partition, Replicas: replicas},
		Replace:  replace,
		Outdated: in.outdated(in.UserPartition),
		Reason:   in.reason(),
	}
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

// isNeeded says whether the highest group is ready, and too few others are.
func (in *Input) isNeeded(highest int32) bool {
	return in.group(highest).Ready && in.ready(highest) < in.Replicas-in.MaxUnavailable
}

// takeDown moves the partition down, from where it is, over all groups that may go: those that are up to date anyway, those that
// aren't ready and so cost nothing, and ready ones for as long as Replicas - MaxUnavailable others remain ready.
func (in *Input) takeDown(replicas int32) (partition int32, replace []int32) {
	budget := in.ready(replicas) - (in.Replicas - in.MaxUnavailable)
	partition = max(in.UserPartition, min(in.Current.Partition, replicas))
	for index := replicas - 1; index >= in.UserPartition; index-- {
		group := in.group(index)
		if !group.UpToDate && group.Ready {
			if budget <= 0 {
				if index < partition {
					break
				}
				continue // An earlier decision let it go, and before it went another group failed.
			}
			budget-- // Also for a group that an earlier decision let go: it may not have gone yet.
		}
		partition = min(partition, index)
		if !group.UpToDate {
			replace = append(replace, index)
		}
	}
	return partition, replace
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

// ready counts the ready groups among the first replicas.
func (in *Input) ready(replicas int32) int32 {
	count := int32(0)
	for index := range replicas {
		if in.group(index).Ready {
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
	return Group{UpToDate: index >= in.Current.Partition}
}
