// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package rollout is the arithmetic of a rolling update over groups: which partition and how many replicas the leader
// StatefulSet gets next, which groups below the partition are released as well, and which are replaced now. Integers
// only; it knows neither Kubernetes nor time.
package rollout

import (
	"maps"
	"math"
	"slices"
)

// Input is what one decision looks at.
type Input struct {
	// Replicas is how many groups are asked for.
	Replicas int32

	// MaxSurge is how many groups may exist on top while updating, 0 to Replicas.
	MaxSurge int32

	// MaxUnavailable is how many of Replicas may be unavailable because of the rollout. At least 1 if MaxSurge is 0.
	MaxUnavailable int32

	// UserPartition is the index below which groups keep their revision. It may exceed Replicas.
	UserPartition int32

	// Current is the step that the leader StatefulSet has. Its Replicas are Replicas and the surge that exists. When the
	// revision has just changed, its Partition is above all groups, surge included: none is of that revision yet.
	Current Step

	// Also are the groups below Current.Partition that earlier decisions released.
	Also []int32

	// Deferred are the groups that the last decision deferred.
	Deferred []int32

	// MayDefer says that groups may be deferred. If none is, then nothing is under way that gives room to others.
	MayDefer bool

	// KeepSurge says that surge doesn't give way to other groups that lack room. It did for a while, and they lack room
	// nevertheless: only one node has a group's volume, for example.
	KeepSurge bool

	// Held says that no further groups are released: the API server has refused a pod just before.
	Held bool

	// Groups are the groups by index, surge included. A group that doesn't exist yet is UpToDate if it will be created so:
	// from Current.Partition on, and if it is among Also. The groups beyond the last of Groups don't exist, and no room is
	// known to lack for them. A set may ask for a million: a decision doesn't look at each of them.
	Groups []Group
}

// Group is one group, as far as a rollout is concerned.
type Group struct {
	// Ready says that the group serves.
	Ready bool

	// UpToDate says that the group is of the current revision, or will be created so.
	UpToDate bool

	// Failed says that the group waits for its restart, though its pods are ready. Such a group isn't Ready.
	Failed bool

	// LacksRoom says that no node can take a pod of the group, that a queue holds one, that the API server refuses one, or
	// that the group doesn't exist because it or a lower one is deferred.
	LacksRoom bool

	// Refused says that the group doesn't exist because the API server refuses its leader.
	Refused bool
}

// Step is how far a rollout is. Groups from index Partition on are created at the current revision, those below at
// their previous one. Replicas groups exist, surge included.
type Step struct {
	Partition, Replicas int32
}

// Reason says why no more groups are replaced now.
type Reason string

const (
	// Complete means that every group is up to date.
	Complete Reason = "Complete"

	// HeldByPartition means that every group is up to date but those that the user's partition protects.
	HeldByPartition Reason = "HeldByPartition"

	// WaitingForGroups means that another group may be replaced once more of them are ready.
	WaitingForGroups Reason = "WaitingForGroups"
)

// Decision is the next step of a rollout.
type Decision struct {
	Step

	// Also are the indices of groups below Partition that are released as well: they are created at the current revision.
	// Highest first.
	Also []int32

	// Replace are the indices of groups to delete now, of those in Groups. They are of an earlier revision, released, and
	// within the budget. Highest first.
	Replace []int32

	// GaveWay is how many surge groups are reclaimed because they or other groups lack room.
	GaveWay int32

	// Withheld says that surge groups are reclaimed or not added because other groups lack room.
	Withheld bool

	// Deferred are the groups that get no pods for now: others share their room. Those that exist are deleted. Highest
	// first.
	Deferred []int32

	// TakenBack are the groups below Partition that are no longer released: the API server refuses their leaders. They
	// are created at their earlier revision again. Highest first.
	TakenBack []int32

	// Outdated is how many groups the rollout has yet to update. Those below UserPartition don't count.
	Outdated int32

	// Reason says why no more groups are replaced now.
	Reason Reason
}

// Next decides one step. Repeated on the result of the step before, it ends with all groups from UserPartition on up to
// date, if updated groups become ready.
//
// Worked example: 5 groups, all ready and of an earlier revision, MaxUnavailable 2, no surge. 5 are ready, 3 have to
// stay: groups 4 and 3 are replaced, the partition is 3. When group 4 is ready again, 4 are ready, one more may be
// replaced: group 2, partition 2. And so on to 0.
//
// Another one, with group 0 broken: 4 are ready, 3 have to stay, so one ready group may be replaced, and the broken one
// as well. The partition can't reach group 0, since it falls group by group from the highest. So group 4 is replaced,
// the partition is 4, and group 0 is released as well.
func Next(in Input) Decision {
	surge, gaveWay, withheld := in.surge()
	replicas := in.Replicas + surge
	replaced := in.choose(replicas)
	partition := in.lower(replicas, replaced)
	also, takenBack := in.also(partition, replicas, replaced)
	decision := Decision{
		Step:      Step{Partition: partition, Replicas: replicas},
		Also:      also,
		Deferred:  in.deferred(surge),
		GaveWay:   gaveWay,
		Withheld:  withheld,
		TakenBack: takenBack,
		Outdated:  in.outdated(in.UserPartition),
		Reason:    in.reason(),
	}
	for index := in.known(replicas) - 1; index >= in.UserPartition; index-- {
		if replaced.includes(index) {
			decision.Replace = append(decision.Replace, index)
		}
	}
	return decision
}

// known returns how many of the first groups are in Groups. The others don't exist.
func (in *Input) known(first int32) int32 {
	return min(first, int32(len(in.Groups))) //nolint:gosec // No more groups than indices.
}

// unreleased counts the groups from one index up to another that no earlier decision released.
func (in *Input) unreleased(from, to int32) int32 {
	to = min(to, in.Current.Partition)
	count := max(to-from, 0)
	for _, index := range in.Also {
		if index >= from && index < to {
			count--
		}
	}
	return count
}

// choose returns which groups of an earlier revision are replaced now.
//
// A ready group is replaced only while Replicas - MaxUnavailable others remain ready. One that isn't ready costs
// nothing. But until one group of the current revision is ready, no more groups move to it at a time than may be surge
// or unavailable. Otherwise a revision that never becomes ready would spread over every group that restarts for another
// reason. Groups that aren't ready have the first turns.
//
// Worked example: 5 groups, MaxUnavailable 2, group 4 updated and not ready yet, group 1 broken. 3 are ready, and 3
// have to stay: no ready group may be replaced. One group is moving, and one more may: group 1 is replaced.
func (in *Input) choose(replicas int32) replacement {
	known := in.known(replicas)
	replaced := replacement{groups: map[int32]bool{}, from: none}
	missing := in.unreleased(max(known, in.UserPartition), replicas)
	spare := in.count(replicas, isReady) - (in.Replicas - in.MaxUnavailable)
	turns := spare + in.count(replicas, isBroken) + in.unreleased(known, replicas)
	if in.count(replicas, isProof) > 0 {
		turns = replicas
	}
	take := func(wanted func(index int32, ready bool) bool) {
		for index := known - 1; index >= in.UserPartition; index-- {
			ready := in.Groups[index].Ready
			if in.Groups[index].UpToDate || (ready && spare <= 0) || !wanted(index, ready) {
				continue
			}
			if ready {
				spare--
			}
			turns--
			replaced.groups[index] = true
		}
	}
	take(func(index int32, _ bool) bool { return in.isReleased(index) }) // First: they may be deleted at any time.
	if in.Held {
		return replaced
	}
	if taken := min(max(turns, 0), missing); taken > 0 { // They are the highest.
		replaced.from = in.highestUnreleased(known, replicas, taken)
		turns -= taken
	}
	take(func(index int32, ready bool) bool { return !ready && turns > 0 && !replaced.groups[index] })
	take(func(index int32, ready bool) bool { return ready && !replaced.groups[index] })
	return replaced
}

// replacement is the groups that are replaced: single ones, and all from an index on that aren't released before.
type replacement struct {
	groups map[int32]bool
	from   int32
}

// none is the from of a replacement of single groups only.
const none = math.MaxInt32

func (r replacement) any() bool { return r.from < none || len(r.groups) > 0 }

func (r replacement) includes(index int32) bool { return index >= r.from || r.groups[index] }

// highestUnreleased returns the highest index, of those from one up to another, from which on that many groups aren't
// released.
func (in *Input) highestUnreleased(from, to, many int32) int32 {
	lowest, highest := from, to
	for lowest < highest {
		if middle := lowest + (highest-lowest+1)/2; in.unreleased(middle, to) >= many {
			lowest = middle
		} else {
			highest = middle - 1
		}
	}
	return lowest
}

// isReleased reports whether an earlier decision released the group.
func (in *Input) isReleased(index int32) bool {
	return index >= in.Current.Partition || slices.Contains(in.Also, index)
}

// lower moves the partition down, from where it is, over all groups that are up to date anyway or are replaced.
func (in *Input) lower(replicas int32, replaced replacement) int32 {
	partition := max(in.UserPartition, min(in.Current.Partition, replicas))
	partition = min(partition, max(in.UserPartition, replaced.from))
	for partition > in.UserPartition &&
		(replaced.includes(partition-1) || in.isReleased(partition-1) || in.group(partition-1).UpToDate) {
		partition--
	}
	return partition
}

// also returns the groups below the partition that are replaced, and those that were released before: they stay
// released until the partition has come down to them. A group whose leader the API server refuses is taken back: the
// StatefulSet controller creates no other leader above it, and the earlier revision may be admitted.
func (in *Input) also(partition, replicas int32, replaced replacement) (also, takenBack []int32) {
	released := map[int32]bool{}
	for _, index := range in.Also {
		released[index] = true
	}
	candidates := slices.Collect(maps.Keys(replaced.groups))
	candidates = slices.Compact(slices.Sorted(slices.Values(slices.Concat(candidates, in.Also))))
	for _, index := range slices.Backward(candidates) {
		switch {
		case index < in.UserPartition || index >= min(partition, replicas):
		case released[index] && in.group(index).Refused:
			takenBack = append(takenBack, index)
		default:
			also = append(also, index)
		}
	}
	return also, takenBack
}

// reason returns why no more groups are replaced.
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

// outdated counts the groups from an index on that are of an earlier revision, without surge.
func (in *Input) outdated(from int32) int32 {
	known := in.known(in.Replicas)
	count := in.unreleased(max(from, known), in.Replicas)
	for index := from; index < known; index++ {
		if !in.Groups[index].UpToDate {
			count++
		}
	}
	return count
}

func isReady(group Group) bool  { return group.Ready }
func isBroken(group Group) bool { return !group.Ready && !group.UpToDate }
func isMoving(group Group) bool { return !group.Ready && group.UpToDate }
func isProof(group Group) bool  { return group.Ready && group.UpToDate }

// count counts the groups of which matches is true, among the first ones that are in Groups.
func (in *Input) count(first int32, matches func(Group) bool) int32 {
	count := int32(0)
	for index := range in.known(first) {
		if matches(in.Groups[index]) {
			count++
		}
	}
	return count
}

// group returns the group with that index; beyond those that exist, the one that will be created.
func (in *Input) group(index int32) Group {
	if int(index) < len(in.Groups) {
		return in.Groups[index]
	}
	return Group{UpToDate: in.isReleased(index)}
}
