// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"strings"
	"testing"

	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/rollout"
)

// The rollout has two exceptions to its bounds: a group above the ceiling, and a first group beside parked revisions
// that have all groups already. The tests of this file prove that it needs both. A role of 1 and a role of 5 are in the
// middle of a rollout, with 3 old groups and 2 new ones of the second role, when another revision is pushed:
//
//	role          one  five
//	oldest         1    3
//	middle         1    2
//	new            0    0
//
// 5 groups of the second role have to serve, and the two old revisions have just as many. Each serves only while it has
// its group of the first role. So no old group may go before a new group serves, which needs a group of the first role.

// deadlock has the groups of the oldest, the middle and the new revision.
type deadlock [3][2]int32

var inTheMiddle = deadlock{{1, 3}, {1, 2}, {0, 0}}

// rules are those of the contract, as far as they matter here. MaxUnavailable is 0, and all groups are ready at once.
type rules struct {
	targets, surges [2]int32
	phaseTarget     bool // whether new groups are limited to the target less the groups of one of the old revisions
}

// serving returns how many groups of a role serve: those of revisions in which each role has one.
func (d deadlock) serving(role int) int32 {
	total := int32(0)
	for _, revision := range d {
		if revision[0] > 0 && revision[1] > 0 {
			total += revision[role]
		}
	}
	return total
}

// allows reports whether the rules allow a step.
func (r rules) allows(before, after deadlock) bool {
	drained := deadlock{after[0], after[1], before[2]} // New groups don't serve yet.
	for role := range r.targets {
		grown := after[2][role] > before[2][role]
		switch {
		case drained.serving(role) < r.targets[role]:
			return false
		case grown && before[0][role]+before[1][role]+after[2][role] > r.targets[role]+r.surges[role]:
			return false
		case grown && r.phaseTarget && after[2][role] > r.targets[role]-min(before[0][role], before[1][role]):
			return false // Either of them is active, and the other one parked.
		}
	}
	return true
}

// canEnd reports whether any series of steps that the rules allow removes all old groups. It tries them all.
func (r rules) canEnd(from deadlock) bool {
	known, queue := map[deadlock]bool{from: true}, []deadlock{from}
	for len(queue) > 0 {
		before := queue[0]
		queue = queue[1:]
		if before[0] == [2]int32{} && before[1] == [2]int32{} {
			return true
		}
		limits := []int32{
			before[0][0] + 1, before[0][1] + 1, before[1][0] + 1, before[1][1] + 1, r.targets[0] + 1, r.targets[1] + 1,
		}
		forEachBelow(limits, func(n []int32) {
			after := deadlock{{n[0], n[1]}, {n[2], n[3]}, {n[4], n[5]}}
			if !known[after] && r.allows(before, after) {
				known[after], queue = true, append(queue, after)
			}
		})
	}
	return false
}

// TestExceptionsAreNeeded tries all series of steps that keep the floor, with and without the exceptions.
func TestExceptionsAreNeeded(t *testing.T) {
	targets := [2]int32{1, 5}
	for name, tt := range map[string]struct {
		rules rules
		want  bool
	}{
		"within the ceiling":                         {rules{targets: targets, surges: [2]int32{1, 1}}, false},
		"one group above the ceiling":                {rules{targets: targets, surges: [2]int32{2, 1}}, true},
		"room, and new groups wait for parked ones":  {rules{targets, [2]int32{2, 1}, true}, false},
		"no other rule is in the way, and more room": {rules{targets: targets, surges: [2]int32{3, 3}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.rules.canEnd(inTheMiddle); got != tt.want {
				t.Errorf("the rollout can end: %t", got)
			}
		})
	}
}

// TestExceptionsAreSmall plays the rollout: the first role has one group above its ceiling, once.
func TestExceptionsAreSmall(t *testing.T) {
	in := rollout.Input{
		Roles: rolesOf(1, 0, 1, 5), New: revisionOf("new", 0, 0),
		Old: []rollout.Revision{
			{Name: "middle", Children: []rollout.Child{child(1, 1), child(5, 2)}},
			{Name: "oldest", Children: []rollout.Child{child(1, 1), child(5, 3)}},
		},
	}
	const want = "12/13/00 12/13/01 12/13/11"
	if got := steps(in); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "00/00/15 Complete") {
		t.Errorf("got %s, want %s …", got, want)
	}
}
