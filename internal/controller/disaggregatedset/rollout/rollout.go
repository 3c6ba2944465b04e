// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"slices"
	"strings"
)

// Next decides one step of one slice. Repeated on the result of the step before, it ends with all groups at the target
// revision, if the groups become ready and no old group is broken.
//
// Worked example: roles of 3 and 2 groups, MaxSurge 1, MaxUnavailable 0. No old group may go, and one of each role may
// be created. Once both are ready, one old group of each role may go. The pairs are old 32, new 00; 32, 11; 21, 11;
// 21, 22; 11, 22; 11, 32; 00, 32.
func Next(in Input) Decision {
	w := newWorld(in)
	candidates := w.candidates()
	if len(candidates) == 0 {
		return w.scale()
	}
	for _, index := range candidates {
		p := w.pass(index)
		drained, grown := p.drain(), p.grow()
		if !slices.Equal(drained, p.active.spec) || !slices.Equal(grown, w.new.spec) {
			decision := w.stay(index, Moving, "")
			decision.Old[index], decision.New = drained, grown
			decision.Message = in.message(index, p.active.spec, drained, w.new.spec, grown)
			return decision
		}
	}
	return w.bootstrap(candidates)
}

// scale decides for a slice without old groups: the target revision has all groups at once.
func (w *world) scale() Decision {
	decision := w.stay(NoActive, Complete, "All groups are of the target revision and ready")
	ready := true
	for role := range w.roles {
		target := w.roles[role].Target
		ready = ready && w.new.committed[role] >= target
		decision.New[role] = target
	}
	switch {
	case !slices.Equal(decision.New, w.new.spec):
		decision.Reason, decision.Message = Moving, "The target revision gets all groups"
	case !ready || !w.new.known:
		decision.Reason, decision.Message = Waiting, "The groups of the target revision aren't all ready"
	}
	return decision
}

// stay returns a decision that changes nothing.
func (w *world) stay(active int, reason Reason, message string) Decision {
	decision := Decision{New: slices.Clone(w.new.spec), Active: active, Reason: reason, Message: message}
	for index := range w.old {
		decision.Old = append(decision.Old, slices.Clone(w.old[index].spec))
	}
	return decision
}

// bootstrap decides for a slice in which nothing else moves: a role without surge gets its first group one above the
// ceiling, once. Otherwise no other role could go on. With several old revisions, the role that is furthest behind gets
// a group above the ceiling, up to one for each of them: each serves only while it has a group of the role, and these
// may fill the ceiling. No other step keeps the floor then.
//
// Worked example: roles of 1 and 5, MaxSurge 0, MaxUnavailable 1. The second role has 4 old groups and 1 new one. The
// first role has 1 old group, which may not go alone, and no room for a new one. It gets one.
func (w *world) bootstrap(candidates []int) Decision {
	active := candidates[0]
	if role := w.behind(len(candidates) > 1); role >= 0 && w.settled() {
		decision := w.stay(active, Bootstrap, fmt.Sprintf("Role %s gets a new group above the ceiling", w.roles[role].Name))
		decision.New[role]++
		return decision
	}
	if w.underWay() {
		return w.stay(active, Waiting, "The next step waits until groups are ready or deleted")
	}
	return w.stay(active, Blocked, "The budgets of the roles leave no step while groups aren't ready")
}

// behind returns the role that may get a group above the ceiling; -1 if none may. several says that several old
// revisions have groups.
func (w *world) behind(several bool) int {
	slowest := -1
	for role, of := range w.roles {
		spec := w.new.spec[role]
		switch {
		case spec >= of.Target || !slices.Equal(w.new.spec, w.new.committed):
		case !several && (spec > 0 || of.MaxSurge > 0 || of.MaxUnavailable == 0):
		case spec+w.oldSpec(role) >= w.highestCeiling(role) || !w.mayLead(role):
		case slowest < 0 || int64(spec)*int64(w.roles[slowest].Target) < int64(w.new.spec[slowest])*int64(of.Target):
			slowest = role
		}
	}
	return slowest
}

// mayLead reports whether a role stays within the window if it alone gets another new group. The slowest role may be at
// its highest ceiling.
func (w *world) mayLead(role int) bool {
	counts, targets := slices.Clone(w.new.spec), make([]int32, len(w.roles))
	for other, of := range w.roles {
		targets[other] = of.Target
	}
	counts[role]++
	return lockstep(counts, targets)[role] == counts[role]
}

// highestCeiling returns how many groups of a role may exist if nothing else moves: its largest size, and its surge or
// one group for each old revision that has groups of the role.
func (w *world) highestCeiling(role int) int32 {
	size, revisions := w.roles[role].Target, int32(0)
	for index := range w.old {
		if w.old[index].spec[role] > 0 {
			size, revisions = max(size, w.old[index].size[role]), revisions+1
		}
	}
	return size + max(w.roles[role].MaxSurge, revisions)
}

// settled reports whether every child's status is of its spec, and no group is about to be deleted.
func (w *world) settled() bool {
	settled := w.new.known && !w.new.draining
	for index := range w.old {
		settled = settled && w.old[index].known && !w.old[index].draining
	}
	return settled
}

// underWay reports whether the rollout may go on without a change to old groups.
func (w *world) underWay() bool {
	return !w.settled() || !slices.Equal(w.new.spec, w.new.committed)
}

// message says in words which groups a step moves.
func (in *Input) message(active int, oldSpec, drained, newSpec, grown []int32) string {
	var parts []string
	for role, of := range in.Roles {
		if drained[role] != oldSpec[role] {
			parts = append(parts, fmt.Sprintf("%s of %s from %d to %d",
				of.Name, in.Old[active].Name, oldSpec[role], drained[role]))
		}
		if grown[role] != newSpec[role] {
			parts = append(parts, fmt.Sprintf("%s of %s from %d to %d", of.Name, in.New.Name, newSpec[role], grown[role]))
		}
	}
	return "Scales " + strings.Join(parts, ", ")
}
