// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rollout

import "slices"

// surge returns how many groups to have beyond Replicas: as many as there are groups that the rollout has yet to
// finish, within MaxSurge; none once no group is left to update. gaveWay is how many of them are reclaimed because
// another group lacks room, and withheld says that there would be more of them otherwise.
//
// A ready surge group stays while it stands in for another group: one that the partition protects, one that has yet to
// become ready, or a surge group that failed.
//
// None are wanted while another group lacks room. Otherwise each could hold room that the other needs, and
// neither would ever be complete. If the other group lacks room nevertheless, surge is of no harm to it (KeepSurge).
//
// Worked example: room for 2 groups of 3, MaxSurge 1, MaxUnavailable 1. Group 1 is replaced, and a surge group is
// created at the same time. The leaders of both start in the room of group 1, and 4 workers compete for the last place.
// The surge group gives way, and group 1 becomes ready.
//
// A surge group that lacks room itself gives its turn back, if the rollout can go on without it.
func (in *Input) surge() (surge, gaveWay int32, withheld bool) {
	existing := min(in.MaxSurge, max(in.Current.Replicas-in.Replicas, 0))
	wanted, lacksRoom := in.wantedSurge(), in.firstWithoutRoom(0, in.Replicas) >= 0 && !in.KeepSurge
	if in.replacesLast() {
		wanted = min(wanted, existing)
	}
	if lacksRoom {
		wanted, withheld = 0, wanted > 0
	}
	if lowest := in.firstWithoutRoom(in.Replicas, in.Replicas+existing); lowest >= 0 && in.goesOn() {
		wanted, lacksRoom = min(wanted, lowest-in.Replicas), true
	}
	kept := in.keptSurge(existing, wanted)
	if lacksRoom {
		gaveWay = existing - kept
	}
	return max(kept, wanted), gaveWay, withheld
}

// wantedSurge returns how many surge groups the rollout has a use for. Once no group is left to update, it has none: a
// Deployment has no more pods of its current revision than replicas, either. By then, surge may hold what another group
// needs: room in a quota on objects, or a turn in a queue. Nothing shows that as a lack of room.
func (in *Input) wantedSurge() int32 {
	if in.outdated(in.UserPartition) == 0 {
		return 0
	}
	known := in.known(in.Replicas)
	unfinished := max(in.Replicas-max(in.UserPartition, known), 0)
	for index := in.UserPartition; index < known; index++ {
		if group := in.Groups[index]; !group.Ready || !group.UpToDate {
			unfinished++
		}
	}
	return min(in.MaxSurge, unfinished)
}

// replacesLast reports whether this decision replaces all groups that are left to update. The next one would remove
// surge that this one adds.
func (in *Input) replacesLast() bool {
	known, replaced := in.known(in.Replicas), in.choose(in.Replicas)
	for index := in.UserPartition; index < known; index++ {
		if !in.Groups[index].UpToDate && !replaced.includes(index) {
			return false
		}
	}
	return in.unreleased(max(in.UserPartition, known), min(replaced.from, in.Replicas)) == 0
}

// goesOn reports whether the rollout goes on without surge: a group is moving to the current revision, or may be
// replaced.
func (in *Input) goesOn() bool {
	known := in.known(in.Replicas)
	return in.count(in.Replicas, isMoving) > 0 ||
		in.Replicas-known > in.unreleased(known, in.Replicas) || in.choose(in.Replicas).any()
}

// firstWithoutRoom returns the lowest group from one index up to another that lacks room; -1 if none does.
func (in *Input) firstWithoutRoom(from, to int32) int32 {
	for index := from; index < in.known(to); index++ {
		if in.Groups[index].LacksRoom {
			return index
		}
	}
	return -1
}

// keptSurge returns how many of the existing surge groups stay: those that are wanted, and those up to the highest that
// is needed. That one serves, and too few others below it are ready and stay. A released group may be deleted at any
// time.
func (in *Input) keptSurge(existing, wanted int32) int32 {
	stays := func(index int32) bool {
		group := in.Groups[index]
		return group.Ready && (group.UpToDate || !in.isReleased(index))
	}
	kept := max(min(existing, in.known(in.Replicas+existing)-in.Replicas), min(existing, wanted))
	staying := int32(0)
	for index := range in.known(in.Replicas + kept) {
		if stays(index) {
			staying++
		}
	}
	for ; kept > wanted; kept-- {
		highest := in.Replicas + kept - 1
		if stays(highest) {
			staying--
		}
		serves := in.Groups[highest].Ready || in.Groups[highest].Failed
		if serves && staying < in.Replicas-in.MaxUnavailable {
			break
		}
	}
	return kept
}

// deferred returns the groups that get no pods for now, highest first.
//
// Surge groups that are needed hold the room of as many others. Those that lack room would share the rest: each could
// hold a part of it, and none would ever be complete. So as many are deferred as surge groups stay, and one is always
// left that isn't. Once that one is ready, a surge group gives way, and the room of that is for a deferred one. A surge
// group that lacks room, and stays for the sake of a higher one, is deferred first.
//
// Worked example: room for 2 groups, MaxSurge 1, MaxUnavailable 1. Group 1 is replaced, and the surge group 2 becomes
// ready in the room of it. Then group 0 fails: group 2 has to stay, and groups 0 and 1 share the room of one. Group 1
// is deferred, and group 0 becomes ready. Group 2 gives way, and group 1 is no longer deferred.
func (in *Input) deferred(surge int32) []int32 {
	if !in.MayDefer || surge == 0 {
		return nil
	}
	var candidates []int32
	waiting := int32(0)
	for index := in.known(in.Replicas+surge) - 1; index >= 0; index-- {
		group := in.Groups[index]
		if group.LacksRoom {
			candidates = append(candidates, index)
		}
		if group.LacksRoom || (len(in.Deferred) > 0 && !group.Ready) { // It may just have got the room.
			waiting++
		}
	}
	many := min(surge, waiting-1, int32(len(candidates))) //nolint:gosec // No more than groups.
	return slices.Clip(candidates[:max(many, 0)])
}
