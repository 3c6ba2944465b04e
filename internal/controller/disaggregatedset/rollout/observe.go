// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rollout

import "slices"

// observed is a revision as a decision counts it, each slice in the order of Input.Roles.
type observed struct {
	// spec is how many groups each child has to have.
	spec []int32

	// size is the full size of each role: the target of the target revision, initialOld of an old one.
	size []int32

	// committed is committedReady: the groups that are ready and stay so without a further step.
	committed []int32

	// usable says that each role that the revision needs has a committed group. Otherwise the revision serves nothing.
	usable bool

	// known says that each child's status is of its spec.
	known bool

	// draining says that a child has more groups than its spec asks for.
	draining bool
}

// observe counts a revision. size returns the full size of a role.
//
// Worked example: spec 3, status.replicas 5, 4 of them ready. 2 groups are about to be deleted, and both may be ready
// ones. So 2 groups are committed.
func observe(children []Child, size func(role int, child Child) int32) observed {
	result := observed{usable: true, known: true}
	for role, child := range children {
		if child.Terminating {
			child = Child{Exists: true, InitialOld: child.InitialOld, Observed: true}
		}
		full := size(role, child)
		pendingDrain, committed := int32(0), int32(0)
		if child.Observed {
			pendingDrain = max(0, child.Replicas-child.Spec)
			committed = min(child.Spec, max(0, child.Ready-pendingDrain))
		}
		result.spec = append(result.spec, child.Spec)
		result.size = append(result.size, full)
		result.committed = append(result.committed, committed)
		result.usable = result.usable && (full == 0 || committed > 0)
		result.known = result.known && (!child.Exists || child.Observed)
		result.draining = result.draining || pendingDrain > 0
	}
	return result
}

// capacity returns how many groups of a role serve.
func (o *observed) capacity(role int) int32 {
	if !o.usable {
		return 0
	}
	return o.committed[role]
}

// empty reports whether the revision's children have to have no groups.
func (o *observed) empty() bool { return sum(o.spec) == 0 }

// world is all that a decision counts.
type world struct {
	roles []Role
	new   observed
	old   []observed
}

func newWorld(in Input) world {
	w := world{roles: in.Roles}
	w.new = observe(in.New.Children, func(role int, _ Child) int32 { return in.Roles[role].Target })
	for _, revision := range in.Old {
		w.old = append(w.old, observe(revision.Children, in.Baseline))
	}
	return w
}

// Baseline returns the baseline of an old child. One without the annotation was as large as the role is in all
// revisions now, up to the target.
//
// Worked example: a rollback in the middle of 4 groups. 2 groups are of the target revision, 2 of an old child without
// a baseline. The baseline is 4, so the floor is that of 4 groups.
func (in *Input) Baseline(role int, child Child) int32 {
	if child.InitialOld >= 0 || child.Spec == 0 {
		return max(0, child.InitialOld)
	}
	total := in.New.Children[role].counted()
	for _, revision := range in.Old {
		total += revision.Children[role].counted()
	}
	return max(child.Spec, min(total, in.Roles[role].Target))
}

// counted returns how many groups the child has to have. A terminating child counts nothing.
func (c Child) counted() int32 {
	if c.Terminating {
		return 0
	}
	return c.Spec
}

// candidates returns the old revisions that have groups, in the order in which one is chosen: those with no ready group
// first, then the newest.
func (w *world) candidates() []int {
	var without, others []int
	for index := range w.old {
		switch old := &w.old[index]; {
		case old.empty():
		case old.known && sum(old.committed) == 0:
			without = append(without, index)
		default:
			others = append(others, index)
		}
	}
	return slices.Concat(without, others)
}

// oldSpec returns how many groups of a role all old revisions have to have.
func (w *world) oldSpec(role int) int32 {
	total := int32(0)
	for index := range w.old {
		total += w.old[index].spec[role]
	}
	return total
}

// parked returns how many groups of a role serve in the old revisions but the active one.
func (w *world) parked(active, role int) int32 {
	total := int32(0)
	for index := range w.old {
		if index != active {
			total += w.old[index].capacity(role)
		}
	}
	return total
}

func sum(values []int32) int32 {
	total := int32(0)
	for _, value := range values {
		total += value
	}
	return total
}
