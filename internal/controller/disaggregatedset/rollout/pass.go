// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rollout

import "slices"

// pass is one step with one active old revision, the others parked.
type pass struct {
	*world
	active *observed
	index  int
}

func (w *world) pass(index int) pass { return pass{world: w, active: &w.old[index], index: index} }

// size returns the size of a role in this pass: the larger of initialOld and target.
func (p pass) size(role int) int32 { return max(p.active.size[role], p.roles[role].Target) }

// ceiling returns how many groups of a role may exist.
func (p pass) ceiling(role int) int32 { return p.size(role) + p.roles[role].MaxSurge }

// floor returns how many groups of a role have to serve. A role that grows starts with the floor of its initial size.
//
// Worked example: a role of 4 groups that grows to 8, MaxUnavailable 1. 3 groups have to serve.
func (p pass) floor(role int) int32 {
	if p.allRenamed() {
		return p.renamedFloor(role)
	}
	return max(0, min(p.active.size[role], p.roles[role].Target)-p.roles[role].MaxUnavailable)
}

// allRenamed reports whether the active and the target revision have no role in common, and the target has groups.
func (p pass) allRenamed() bool {
	targets := int32(0)
	for role := range p.roles {
		targets += p.roles[role].Target
		if min(p.active.size[role], p.roles[role].Target) > 0 {
			return false
		}
	}
	return targets > 0
}

// renamedFloor returns the floor of a role if every role has another name: the old roles give up at most the fraction
// that the slowest new role has, its MaxUnavailable included. The floors of the single roles are 0, and would end the
// old revision before a new group exists.
//
// Worked example: a role of 8 that is replaced by one of 4, MaxUnavailable 1, 2 new groups ready. 3 of 4 may count, so
// 1/4 of 8 has to stay: 2.
func (p pass) renamedFloor(role int) int32 {
	floor := int64(0)
	for other, of := range p.roles {
		if of.Target > 0 {
			missing := max(0, of.Target-of.MaxUnavailable-p.new.capacity(other)-p.parked(p.index, other))
			floor = max(floor, ceilDiv(int64(p.active.size[role])*int64(missing), int64(of.Target)))
		}
	}
	return int32(floor)
}

// needed returns how many groups of a role have to serve after this step: the floor, or all that serve if they are
// fewer.
func (p pass) needed(role int) int32 {
	return min(p.floor(role), p.elsewhere(role)+p.active.capacity(role))
}

// elsewhere returns how many groups of a role serve outside the active revision.
func (p pass) elsewhere(role int) int32 { return p.new.capacity(role) + p.parked(p.index, role) }

// drain returns the replicas of the active revision: as low as possible. A revision whose status isn't known waits.
//
// A revision that drains may look unusable and isn't: a group that goes is no longer ready, and yet counts as one that
// will be taken from the ready ones. Such a revision waits until the group is gone.
func (p pass) drain() []int32 {
	switch {
	case !p.active.known:
		return slices.Clone(p.active.spec)
	case p.mayEnd():
		return make([]int32, len(p.roles))
	case !p.active.usable && p.active.draining:
		return slices.Clone(p.active.spec)
	case !p.active.usable:
		return make([]int32, len(p.roles))
	default:
		return p.partialDrain()
	}
}

// mayEnd reports whether the other revisions serve enough in every role for the active one to go at once.
func (p pass) mayEnd() bool {
	for role := range p.roles {
		if p.elsewhere(role) < p.floor(role) {
			return false
		}
	}
	return true
}

// partialDrain returns the replicas of the active revision when each role keeps a ready group. Each removed group may
// be a ready one. Groups beyond the role's size go first, and are no progress: a role that shrank just before the push
// may still have some.
//
// Worked example: a role with spec 4, 3 of them ready, floor 3, 1 new group ready. 1 ready group may go, so the spec is
// 3.
func (p pass) partialDrain() []int32 {
	lowest, removed := slices.Clone(p.active.spec), make([]int32, len(p.roles))
	for role, size := range p.active.size {
		ready := p.active.committed[role]
		spare := min(p.elsewhere(role)+ready-p.needed(role), ready-1)
		lowest[role] -= max(0, spare)
		removed[role] = max(0, size-lowest[role])
	}
	removed = lockstep(removed, p.active.size)
	for role, size := range p.active.size {
		lowest[role] = min(max(lowest[role], size-removed[role]), p.active.spec[role])
	}
	return lowest
}

// grow returns the replicas of the target revision: as high as possible, or lower where the target fell.
func (p pass) grow() []int32 {
	counts := make([]int32, len(p.roles))
	for role := range p.roles {
		limit := min(p.phaseTarget(role), p.ceiling(role)-p.oldSpec(role), p.new.committed[role]+p.pending(role))
		counts[role] = max(min(p.new.spec[role], p.roles[role].Target), limit)
	}
	targets := make([]int32, len(p.roles))
	for role, of := range p.roles {
		targets[role] = of.Target
	}
	grown := lockstep(counts, targets)
	for role := range p.roles {
		grown[role] = max(grown[role], p.shrunk(role))
	}
	return grown
}

// phaseTarget returns how many new groups of a role there may be beside the parked revisions. The first one doesn't
// wait for them: without it, the target revision serves nothing in any role, and nothing could replace the parked
// revisions.
func (p pass) phaseTarget(role int) int32 {
	target := p.roles[role].Target
	return max(min(p.new.spec[role], target), target-p.parked(p.index, role), min(1, target))
}

// pending returns how many new groups of a role may be not ready. All roles start the same fraction of their sizes.
//
// Worked example: roles of 8 and 4 groups, MaxSurge 2, MaxUnavailable 2. 4 groups of the first role and 2 of the second
// may be not ready.
func (p pass) pending(role int) int32 {
	scale := int32(1)
	for other := range p.roles {
		scale = max(scale, p.size(other))
	}
	budget := int64(p.roles[role].MaxSurge) + int64(p.roles[role].MaxUnavailable)
	return int32(ceilDiv(int64(p.size(role))*budget, int64(scale))) //nolint:gosec // At most the budget.
}

// shrunk returns to how many groups of a role the target revision may go down now: to the target, within the floor. The
// old groups go first. Each removed group may be a ready one. A revision that may only look unusable waits, as in
// drain.
func (p pass) shrunk(role int) int32 {
	spec, target := p.new.spec[role], p.roles[role].Target
	switch {
	case spec <= target, !p.new.known, !p.new.usable && p.new.draining:
		return spec
	case !p.new.usable:
		return target
	}
	ready := p.new.committed[role]
	spare := min(ready-p.kept(role), spec-target)
	if target > 0 {
		spare = min(spare, ready-1)
	}
	return spec - max(0, spare)
}

// kept returns how many ready new groups of a role have to stay beside what is left of the old ones after this step.
func (p pass) kept(role int) int32 {
	left := int32(0)
	if p.active.usable {
		gone := p.active.spec[role] - p.drain()[role]
		left = max(0, p.active.committed[role]-gone)
	}
	serving := p.new.capacity(role) + p.parked(p.index, role) + p.active.capacity(role)
	return max(0, min(p.floor(role), serving)-p.parked(p.index, role)-left)
}

func ceilDiv(value, by int64) int64 { return (value + by - 1) / by }
